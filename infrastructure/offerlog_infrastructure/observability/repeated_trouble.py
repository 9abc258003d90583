"""Log lines about an activity that fails and is tried again: one line, and not one for every try.

This module needs no third-party packages, like the modules of the embedded server.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final

_AGAIN_SECONDS: Final = 30.0
"""Seconds between two log lines about a lasting trouble."""


_NUMBERS: Final = re.compile(r"\d+")
"""Numbers, such as processes and seconds. Errors that differ only in numbers count as the same."""


class RepeatedTrouble:
    """Trouble of one activity that is tried again until it works; for one thread.

    Args:
        log: The logger of its warnings.
        what: The first part of a warning, before a colon and the error.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._last_text: str | None = None
        self._due = 0.0

    def note(self, error: BaseException) -> None:
        """Log an error, unless the same one was logged within half a minute."""
        text, now = _NUMBERS.sub("", str(error)), time.monotonic()
        if text != self._last_text or now >= self._due:
            self._last_text, self._due = text, now + _AGAIN_SECONDS
            self._log.warning("%s: %s", self._what, error)

    def over(self) -> None:
        """Note that the activity works again."""
        self._last_text = None
