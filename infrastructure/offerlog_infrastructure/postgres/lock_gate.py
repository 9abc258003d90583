"""One call waits for a locked table, and those behind it do not: they are told the reason at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble


class LockGate:
    """Remembers which statements have waited for a lock in vain; thread-safe.

    Without it, a line of callers in front of a few threads would wait the time of one lock for each place in
    the line.
    """

    def __init__(self) -> None:
        self._locked: dict[str, StoreUnavailableError] = {}
        self._trying: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def passing(self, statement: str) -> Iterator[None]:
        """Run a statement in this block; where it is known to be locked out, one caller tries for all.

        Raises:
            StoreUnavailableError: It was locked out, and another caller is waiting for the lock now.
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
                else:  # the lock is no longer what is in the way
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
