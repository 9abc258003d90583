"""The port for announcements of long waits for the store or the projections."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self


class Wait(AbstractContextManager["Wait", None], Protocol):
    """A wait. It is a context manager, and lasts as long as its block.

    Attributes:
        reason: The reason why the wait is not over yet, or a function that finds it; empty if it is not
            known. It may be set at any time.
    """

    reason: str | Callable[[], str]


class WaitAnnouncer(Protocol):
    """A maker of waits that are announced after some seconds."""

    def __call__(self, what: str, seconds: float | None = None) -> Wait:
        """Make a wait.

        Args:
            what: The words that follow "still waiting for" in the announcement.
            seconds: Seconds after which the wait is given up; None if it may last for ever.
        """


class _SilentWait:
    """A wait that is not announced."""

    def __init__(self) -> None:
        self.reason: str | Callable[[], str] = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def _make_silent_wait(what: str, seconds: float | None = None) -> _SilentWait:
    del what, seconds
    return _SilentWait()


SILENT: Final[WaitAnnouncer] = _make_silent_wait
"""Makes waits that are not announced."""
