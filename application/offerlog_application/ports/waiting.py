"""Announcing waits: a call that waits long for the store or the projections says what it waits for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self


class Wait(AbstractContextManager["Wait", None], Protocol):
    """A wait, which lasts as long as the block that it is the context manager of.

    Attributes:
        reason: Why the wait is not over yet, or a function that finds out; empty where that is not known. It
            may be set at any time.
    """

    reason: str | Callable[[], str]


class WaitAnnouncer(Protocol):
    """Makes waits that are announced once they have lasted long enough for somebody to wonder."""

    def __call__(self, what: str, seconds: float | None = None) -> Wait:
        """Make a wait.

        Args:
            what: What is waited for, as it goes on behind "still waiting for".
            seconds: After how long the wait is given up; None where it may last for ever.
        """


class _SilentWait:
    """A wait that nobody hears of."""

    def __init__(self) -> None:
        self.reason: str | Callable[[], str] = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""


def _make_silent_wait(what: str, seconds: float | None = None) -> _SilentWait:
    del what, seconds
    return _SilentWait()


SILENT: Final[WaitAnnouncer] = _make_silent_wait
"""Announces nothing."""
