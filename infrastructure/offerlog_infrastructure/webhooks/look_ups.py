"""Look-ups of names that their caller can give up: the system's own cannot be ended."""

import threading
from collections.abc import Callable, Sequence

from offerlog_infrastructure.webhooks.networks import Address, AddressRefusedError


class LookUp:
    """A look-up in a thread of its own, which ends when the system answers or gives up.

    Args:
        find: Finds the addresses.
        on_end: Called at the end.
    """

    def __init__(self, find: Callable[[], Sequence[Address]], on_end: Callable[[], object]) -> None:
        self._find = find
        self._on_end = on_end
        self._found: Sequence[Address] = ()
        self._trouble: Exception | None = None
        self._is_done = threading.Event()
        threading.Thread(target=self._run, name="offerlog-look-up", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """True at the end."""
        return self._is_done.is_set()

    def addresses(self) -> Sequence[Address]:
        """Return what was found; only once the look-up is done.

        Raises:
            AddressRefusedError: The name has no address, or one to which nothing may be sent.
        """
        if self._trouble is not None:
            raise self._trouble
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._find()
        except AddressRefusedError as error:
            self._trouble = error
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it
            self._trouble = AddressRefusedError(f"the look-up failed: {error}")
        self._is_done.set()
        self._on_end()
