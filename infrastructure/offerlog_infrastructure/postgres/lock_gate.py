"""A gate before locked tables: one call waits for the lock, and the others fail at once with the reason."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble


class LockGate:
    """Remembers the statements that have waited for a lock in vain; thread-safe.

    Without a gate, callers that queue for a few threads would each wait for the lock, one after the other.
    """

    def __init__(self) -> None:
        self._locked: dict[str, StoreUnavailableError] = {}
        self._trying: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def passing(self, statement: str) -> Iterator[None]:
        """Run a statement in this block; if its table is known to be locked, only one caller tries.

        Args:
            statement: The text of the statement, by which the gate knows it.

        Raises:
            StoreUnavailableError: The table is locked, and another caller waits for the lock already.
        """
        with self._lock:
            known = self._locked.get(statement)
            if known is not None:
                if statement in self._trying:
                    raise StoreUnavailableError(
                        known.detail, known.trouble, table=known.table, holder=known.holder
                    ) from known
                self._trying.add(statement)
        try:
            yield
        except StoreUnavailableError as error:
            with self._lock:
                if error.trouble is StoreTrouble.LOCKED:
                    self._locked[statement] = error
                else:  # another fault: it does not show that the table is still locked
                    self._locked.pop(statement, None)
            raise
        else:
            if self._locked:
                with self._lock:
                    self._locked.pop(statement, None)
        finally:
            if known is not None:
                with self._lock:
                    self._trying.discard(statement)
