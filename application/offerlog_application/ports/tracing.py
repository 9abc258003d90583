"""The port for tracing the work of the service, and its null implementation."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(slots=True)
class Commit:
    """The work of the writer on one group; filled in as it goes.

    Attributes:
        events: How many events were stored.
        retries: How often it was decided and appended again.
        position: The last position drawn, None where nothing was appended.
    """

    events: int = 0
    retries: int = 0
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ProjectedPage:
    """A page of the log that a projection now shows.

    Attributes:
        projection: The projection's name.
        behind: The position that it was at.
        position: The position that it is at now.
        events: How many events there were in between.
        began: When it was begun, in nanoseconds since 1970; `ended` likewise.
        ended: When it was done.
    """

    projection: str
    behind: int
    position: int
    events: int
    began: int
    ended: int


class Trace(Protocol):
    """Follows the work from who asks to what readers see; every method is quick, and raises nothing."""

    def origin(self) -> object:
        """Return the span of the calling thread; `commit` gets it back with what the thread hands in."""

    def commit(self, origins: Sequence[object], commands: int) -> AbstractContextManager[Commit]:
        """Surrounds the writing of a group, up to its being durable.

        Args:
            origins: Who handed in its submissions, one for each.
            commands: How many decisions it takes.
        """

    def page(self, page: ProjectedPage) -> None:
        """A projection has moved, durably."""


class Untraced:
    """Nobody follows."""

    def origin(self) -> None:
        """Nothing."""

    def commit(self, origins: Sequence[object], commands: int) -> AbstractContextManager[Commit]:
        """Nothing around it."""
        del origins, commands
        return nullcontext(Commit())

    def page(self, page: ProjectedPage) -> None:
        """Nothing."""


UNTRACED: Final[Trace] = Untraced()
