"""Warnings about waits that last longer than a few seconds.

Every place where a caller may wait registers its wait here: the start of the store, locks of other processes,
connections, answers of the server, projections. One thread watches the waits. It logs the outermost wait of
each thread, with the waits inside it as reasons. So a waiting command shows one line at a time.

A command shows warnings on standard error; a service writes them to its log. This module needs no third-party
packages, like the modules of the embedded server.
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
"""Seconds of a wait before its first log line."""

_AGAIN_SECONDS: Final = 30.0
"""Seconds between two log lines about the same wait."""

_MAX_REMEMBERED: Final = 1_000
"""Most kinds of waits whose last log line is remembered."""

_TICK_SECONDS: Final = 0.25
"""Seconds between two checks of all waits."""

_log = logging.getLogger(__name__)

_waits: dict[int, list[AnnouncedWait]] = {}
"""Waits of each thread, outermost first, by the id of the thread."""

_last_logged: dict[str, float] = {}
"""Time of the last log line about each kind of wait."""

_start_lock = threading.Lock()
_watcher: threading.Thread | None = None


class AnnouncedWait:
    """Context manager of a wait; the wait lasts as long as its block.

    It is cheap, because it is entered for every statement.

    Attributes:
        what: The thing that is waited for.
        reason: Why the wait is not over yet, or a function that returns it; empty if unknown. It may be set
            at any time.
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
        if _watcher is None:
            _start_watcher()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = threading.get_ident()
        waits = _waits.get(thread, [])
        if self in waits:  # not in a child that was forked meanwhile
            waits.remove(self)
        if not waits:
            _waits.pop(thread, None)

    def is_due(self, now: float) -> bool:
        """Return whether a log line about this wait is due now; if so, set the time of the next one."""
        if now < self._due:
            return False
        self._due = now + _AGAIN_SECONDS
        return True

    def describe(self, now: float, inner: Sequence[AnnouncedWait], thread: str) -> str:
        """Describe the wait in words: its object, its age, its limit and its reasons.

        Args:
            now: Monotonic time in seconds.
            inner: The waits inside this one, in order.
            thread: The name of its thread; empty for a thread of the caller.
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
        """Return the reason in words."""
        return self.reason if isinstance(self.reason, str) else self.reason()


def announced(what: str, seconds: float | None = None) -> AnnouncedWait:
    """Build a context manager that logs a warning after three seconds, and again every half minute.

    Args:
        what: The thing that is waited for, as it stands behind "still waiting for".
        seconds: Limit of the wait in seconds; None without a limit, or if it is unknown.
    """
    return AnnouncedWait(what, seconds)


def _start_watcher() -> None:
    global _watcher  # noqa: PLW0603 - one for the process
    with _start_lock:
        if _watcher is None:
            _watcher = threading.Thread(target=_watch, name="offerlog-waiting", daemon=True)
            _watcher.start()


def _watch() -> None:
    while True:
        time.sleep(_TICK_SECONDS)
        now = time.monotonic()
        for number, waits in list(_waits.items()):
            current = list(waits)
            if current and current[0].is_due(now) and _is_new(current[0].what, now):
                _log.warning("still waiting for %s", _describe(current, now, number))


def _describe(waits: Sequence[AnnouncedWait], now: float, number: int) -> str:
    """Describe the waits of a thread; an error of a reason does not suppress the log line."""
    try:
        return waits[0].describe(now, waits[1:], _name(number))
    except Exception as error:  # noqa: BLE001 - the other waits must be logged too
        return f"{waits[0].what} (why is not known: {error})"


def _is_new(what: str, now: float) -> bool:
    """Return whether the wait was not logged just before; in an outage all requests wait for one thing."""
    if now - _last_logged.get(what, -math.inf) < _AGAIN_SECONDS:
        return False
    if len(_last_logged) > _MAX_REMEMBERED:
        _last_logged.clear()
    _last_logged[what] = now
    return True


def _name(number: int) -> str:
    """Return the name of a thread of offerlog; empty for a thread of the caller."""
    names = [thread.name for thread in threading.enumerate() if thread.ident == number]
    return "".join(name for name in names if name.startswith("offerlog-"))


def _forget() -> None:
    """Forget all waits in a forked child: their threads, and the watcher, belong to the parent."""
    global _watcher, _start_lock
    _waits.clear()
    _start_lock, _watcher = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
