"""Logging a trouble that is tried again all the time: once, and not at every try.

Loads without third-party packages, as the embedded server's modules do.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final

_AGAIN_SECONDS: Final = 30.0
"""Seconds between two log lines about a trouble that lasts."""


_NUMBERS: Final = re.compile(r"\d+")
"""Processes and seconds: an error that differs from the one before in these alone is the same."""


class RepeatedTrouble:
    """One activity that is tried again until it works; for one thread.

    Args:
        log: Where its trouble is logged, as warnings.
        what: What happens, as it stands before the colon and the error.
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
        """Note that it works again."""
        self._last_text = None
