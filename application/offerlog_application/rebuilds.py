"""What is said of a rebuild of projections: how far it is, and why it does not switch."""

from collections.abc import Sequence
from typing import NamedTuple


class RebuildProgress(NamedTuple):
    """How far a rebuild is.

    Attributes:
        stage: "loading", "indexing", "catching up" or "proving".
        events: How many events have been loaded, this time or before.
        total: How many positions there are to load from.
    """

    stage: str
    events: int
    total: int


class RebuildRunning(Exception):  # noqa: N818 - says what is the case
    """Another rebuild is at work on this log."""

    def __init__(self) -> None:
        super().__init__("another rebuild of this log is at work; wait until it has ended")


class ProjectionsDiffer(Exception):  # noqa: N818 - says what is the case
    """A rebuilt projection does not hold what the live one does; the live one stays in place.

    Attributes:
        differences: Some of the rows that only one of them has, for people.
    """

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__(
            "the rebuilt projection differs from the live one, which stays in place; to take the rebuilt one,"
            f" accept the difference ({differences[0]})"
        )
        self.differences = differences


class NotProjected(Exception):  # noqa: N818 - says what is the case
    """The live projection is behind and does not move, so that there is nothing to compare with."""

    def __init__(self, view: str, position: int) -> None:
        super().__init__(
            f"the live projection {view} stands at position {position} and does not move; see"
            " `offerlog projections status`"
        )
