"""The deadline worker: while a service is open, it ends what is overdue every few seconds."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.recording.expiry import Expiry

_EXPIRY_SECONDS: Final = 5.0
"""Seconds between two looks for what is overdue."""

_log = logging.getLogger(__name__)


class DeadlineKeeper:
    """A thread that expires what is overdue until it is closed.

    Args:
        expiry: Ends what is overdue.
        wait: Waits until the projections show a position.
    """

    def __init__(self, expiry: Expiry, wait: Callable[[int | None], None]) -> None:
        self._expiry = expiry
        self._wait = wait
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="offerlog-deadlines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the group that is being ended."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(_EXPIRY_SECONDS):
            try:
                self._expiry.expire(self._wait, goes_on=lambda: not self._closing.is_set())
            except ClosedError:  # the service closes: what is due stays due, for the next process
                return
            except Exception as error:  # noqa: BLE001 - what is due stays due; the next look is soon
                _log.warning("deadlines could not be kept and will be tried again: %s", error)
