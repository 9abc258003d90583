"""The progress of a rebuild of projections, and the errors that end one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from offerlog_application.wording import format_count
from offerlog_domain.errors import OfferlogError


class RebuildProgress(NamedTuple):
    """The progress of a rebuild.

    Attributes:
        stage: "loading", "indexing", "catching up" or "proving".
        events: How many events have been loaded, this time or before.
        total: How many positions there are to load from.
    """

    stage: str
    events: int
    total: int


def name_shard(
    on_progress: Callable[[RebuildProgress], None], number: int
) -> Callable[[RebuildProgress], None]:
    """Return a function that passes on the progress of one of several servers, with its number."""
    return lambda step: on_progress(step._replace(stage=f"shard {number}: {step.stage}"))


class RebuildRunningError(OfferlogError):
    """Another rebuild, or a verification of contents, is at work on this log."""

    def __init__(self) -> None:
        super().__init__(
            "another rebuild or verification of this log is at work, and nothing was compared; try again when"
            " it has ended"
        )


class TablesInUseError(OfferlogError):
    """The live tables could not be compared with, or replaced: somebody else kept them locked.

    Args:
        tries: How often it was tried.
        cause: What the store said last.
    """

    def __init__(self, tries: int, cause: str) -> None:
        super().__init__(
            f"the live projections are in use, by a backup or a long query for instance, and were not free in"
            f" {tries} tries ({cause}); they stay in place: try again later"
        )


class EndedWorker(NamedTuple):
    """A process of a rebuild that ended before its work was done.

    Attributes:
        process: Its number.
        how: How it ended, such as "was ended by SIGKILL".
        last_words: Its last words; empty where there are none.
    """

    process: int
    how: str
    last_words: str


class RebuildWorkersError(OfferlogError):
    """The processes that load a rebuild have ended before the last slice; the live projections stay in place.

    Attributes:
        workers: Those processes.
    """

    def __init__(self, workers: Sequence[EndedWorker], events: int, total: int) -> None:
        ended = "; ".join(
            f"process {one.process} {one.how}" + (f" ({one.last_words})" if one.last_words else "")
            for one in workers
        )
        super().__init__(
            f"the rebuild has stopped after {format_count(events, 'event')}, up to position {total:,}:"
            f" {ended}; the live projections stay in place: run the same command again, and it goes on from"
            " there"
        )
        self.workers = workers


class ProjectionsDifferError(OfferlogError):
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


class NotProjectedError(OfferlogError):
    """The live projection is behind and does not move, so that there is nothing to compare with."""

    def __init__(self, projection: str, position: int) -> None:
        super().__init__(
            f"the live projection {projection} stands at position {position} and does not move; see"
            " `offerlog projections status`"
        )
