"""The port for tracing the work of the service, and its null implementation."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(slots=True)
class Commit:
    """The work of the writer on one group. The writer sets the fields while it works.

    Attributes:
        events: Number of events stored.
        retries: Number of times the group was decided and appended again.
        position: The last position drawn; None if nothing was appended.
    """

    events: int = 0
    retries: int = 0
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ProjectedPage:
    """A page of the log that a projection has applied.

    Attributes:
        projection: The projection's name.
        behind: Its position before the page.
        position: Its position after the page.
        events: Number of events in the page.
        began: The time of the beginning, in nanoseconds since 1970.
        ended: The time of the end, in nanoseconds since 1970.
    """

    projection: str
    behind: int
    position: int
    events: int
    began: int
    ended: int


class Trace(Protocol):
    """Tracing of the work from the caller to the projections. Each method is quick and raises no error."""

    def origin(self) -> object:
        """Return the span of the calling thread. `commit` gets it with the thread's submission."""

    def commit(self, origins: Sequence[object], commands: int) -> AbstractContextManager[Commit]:
        """Return a context for the writing of a group, until the group is durable.

        Args:
            origins: The origin of each submission of the group.
            commands: Number of commands in the group.
        """

    def page(self, page: ProjectedPage) -> None:
        """Note that a projection has moved, durably."""


class Untraced:
    """The null implementation: it traces nothing."""

    def origin(self) -> None:
        """Return nothing."""

    def commit(self, origins: Sequence[object], commands: int) -> AbstractContextManager[Commit]:
        """Return a context that does nothing."""
        del origins, commands
        return nullcontext(Commit())

    def page(self, page: ProjectedPage) -> None:
        """Do nothing."""


UNTRACED: Final[Trace] = Untraced()
