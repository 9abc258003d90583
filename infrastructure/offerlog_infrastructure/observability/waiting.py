"""Saying what a wait is for, once it has lasted long enough for somebody to wonder.

All places where a caller may wait enter their waits here: the start of the store, locks of other processes,
connections, answers of the server, projections. One thread looks at them. It speaks of the outermost wait
of each thread and gives the wait inside it as the reason, so a command that waits says one thing at a time.

A command shows warnings on standard error; a service writes them to its log. Loads without third-party
packages, as the embedded server's modules do.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_FIRST_SECONDS: Final = 3.0
"""After how long a wait is spoken of."""

_AGAIN_SECONDS: Final = 30.0
"""Seconds between two log lines about the same wait."""

_MOST_REMEMBERED: Final = 1_000
"""Number of kinds of waits that are remembered."""

_TICK_SECONDS: Final = 0.25
"""Seconds between two looks at the waits."""

_log = logging.getLogger(__name__)

_waits: dict[int, list[Wait]] = {}
"""The waits of each thread, outermost first, by the thread's number."""

_last_logged: dict[str, float] = {}
"""Time of the last log line about each kind of wait."""

_start_lock = threading.Lock()
_speaker: threading.Thread | None = None


class Wait:
    """A wait, which lasts as long as the block that it is the context manager of.

    Cheap: it is entered for every statement.

    Attributes:
        what: What is waited for.
        reason: Why it is not over yet, or a function that finds out; empty where that is not known. It may be
            set at any time.
    """

    __slots__ = ("_began", "_due", "_seconds", "reason", "what")

    def __init__(self, what: str, seconds: float | None) -> None:
        self.what = what
        self._seconds = seconds
        self.reason: str | Callable[[], str] = ""

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._due = self._began + _FIRST_SECONDS
        _waits.setdefault(threading.get_ident(), []).append(self)
        if _speaker is None:
            _start_speaker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mine = threading.get_ident()
        waits = _waits.get(mine, [])
        if self in waits:  # not in a child that was forked meanwhile
            waits.remove(self)
        if not waits:
            _waits.pop(mine, None)

    def is_due(self, now: float) -> bool:
        """Say whether this wait is to be spoken of now, and if so, set the next time."""
        if now < self._due:
            return False
        self._due = now + _AGAIN_SECONDS
        return True

    def described(self, now: float, inner: Sequence[Wait], thread: str) -> str:
        """The wait in words: for what, since when, until when, and why.

        Args:
            now: The time, by the monotonic clock.
            inner: The waits inside this one, in order.
            thread: The name of its thread; empty for one that nobody has named.
        """
        waited = now - self._began
        limits = [f"{waited:.0f} seconds so far"]
        if self._seconds is not None:
            limits.append(f"at most {self._seconds:.0f}")
        if thread:
            limits.append(f"thread {thread}")
        reasons = [self.why, *(part for wait in inner for part in (wait.what, wait.why))]
        because = "".join(f": {reason}" for reason in reasons if reason)
        return f"{self.what} ({', '.join(limits)}){because}"

    @property
    def why(self) -> str:
        """The reason in words."""
        return self.reason if isinstance(self.reason, str) else self.reason()


def announced(what: str, seconds: float | None = None) -> Wait:
    """Log a warning when a block lasts more than three seconds, and again every half minute.

    Args:
        what: What is waited for, as it goes on behind "still waiting for".
        seconds: After how long the wait is given up; None where it may last for ever, or nobody knows.
    """
    return Wait(what, seconds)


def _start_speaker() -> None:
    global _speaker  # noqa: PLW0603 - one for the process
    with _start_lock:
        if _speaker is None:
            _speaker = threading.Thread(target=_speak, name="offerlog-waiting", daemon=True)
            _speaker.start()


def _speak() -> None:
    while True:
        time.sleep(_TICK_SECONDS)
        now = time.monotonic()
        for number, waits in list(_waits.items()):
            current = list(waits)
            if current and current[0].is_due(now) and _is_news(current[0].what, now):
                _log.warning("still waiting for %s", _described(current, now, number))


def _described(waits: Sequence[Wait], now: float, number: int) -> str:
    """The words for the waits of a thread; a reason that cannot be found out silences nobody."""
    try:
        return waits[0].described(now, waits[1:], _name(number))
    except Exception as error:  # noqa: BLE001 - the next waits have to be spoken of
        return f"{waits[0].what} (why is not known: {error})"


def _is_news(what: str, now: float) -> bool:
    """Say whether no other thread has just said the same: in an outage, all requests wait for one thing."""
    if now - _last_logged.get(what, -math.inf) < _AGAIN_SECONDS:
        return False
    if len(_last_logged) > _MOST_REMEMBERED:
        _last_logged.clear()
    _last_logged[what] = now
    return True


def _name(number: int) -> str:
    """The name of one of our threads; empty for those of the caller."""
    names = [thread.name for thread in threading.enumerate() if thread.ident == number]
    return "".join(name for name in names if name.startswith("offerlog-"))


def _forget() -> None:
    """In a forked child: the threads that waited, and the one that speaks, are the parent's."""
    global _speaker, _start_lock
    _waits.clear()
    _start_lock, _speaker = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
