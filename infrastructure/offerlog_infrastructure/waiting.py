"""Saying what a wait is for, once it has lasted long enough for somebody to wonder.

Loads without third-party packages, as the embedded server's modules do.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_SECONDS: Final = 3.0
"""After how long a wait is spoken of."""

_AGAIN_SECONDS: Final = 30.0
"""How often it is spoken of again."""

_log = logging.getLogger(__name__)


class Wait:
    """A wait in progress.

    Attributes:
        reason: Why it is not over yet; empty where that is not known. May be set at any time.
    """

    def __init__(self) -> None:
        self.reason = ""


@contextmanager
def announced(what: str) -> Iterator[Wait]:
    """Log a warning when a block lasts more than three seconds, and again every half minute.

    A command shows warnings on standard error; a service writes them to its log.

    Args:
        what: What is waited for, as it goes on behind "still waiting for".
    """
    wait, over = Wait(), threading.Event()

    def speak() -> None:
        seconds, pause = 0.0, _FIRST_SECONDS
        while not over.wait(pause):
            seconds += pause
            why = f": {wait.reason}" if wait.reason else ""
            _log.warning("still waiting for %s (%.0f seconds so far)%s", what, seconds, why)
            pause = _AGAIN_SECONDS

    speaker = threading.Thread(target=speak, name="offerlog-waiting", daemon=True)
    speaker.start()
    try:
        yield wait
    finally:
        over.set()
        speaker.join()
