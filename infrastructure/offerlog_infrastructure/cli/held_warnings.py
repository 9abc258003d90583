"""Warnings of a command that may turn out to be the error that ends it: nobody should read a cause twice."""

import logging
import threading
from typing import Final

_HOLD_SECONDS: Final = 2.0
"""Most seconds for which such a warning is held. A command that goes on for longer shows it."""


class HeldWarnings(logging.Handler):
    """A handler that holds warnings with a cause for a moment, and passes on all others; thread-safe.

    Args:
        shown: Shows what is passed on.
    """

    def __init__(self, shown: logging.Handler) -> None:
        super().__init__(shown.level)
        self._shown = shown
        self._held: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Hold a warning that ends with a cause; show any other."""
        if not _cause_of(record):
            self._shown.handle(record)
            return
        self._held.append(record)
        if len(self._held) == 1:  # one thread for all: there may be thousands
            timer = threading.Timer(_HOLD_SECONDS, self.show_held)
            timer.daemon = True
            timer.start()

    def show_held(self, error: str = "") -> None:
        """Show what is held.

        Args:
            error: The error that ends the command. A warning whose cause it names is left out.
        """
        self.acquire()
        held, self._held = self._held, []
        self.release()
        for record in held:
            if _cause_of(record) not in error:
                self._shown.handle(record)


def _cause_of(record: logging.LogRecord) -> str:
    """Return the cause at the end of a warning on one line; empty without one.

    It is an error, or a text behind a colon. A text elsewhere, such as a path, may be part of any error.
    """
    last = record.args[-1] if isinstance(record.args, tuple) and record.args else None
    is_cause = isinstance(last, Exception) or (isinstance(last, str) and str(record.msg).endswith(": %s"))
    return " ".join(str(last).split()) if is_cause else ""
