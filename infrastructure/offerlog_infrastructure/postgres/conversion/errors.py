"""The errors of the conversion of a store."""

from collections.abc import Sequence
from uuid import UUID

from offerlog_domain.errors import OfferlogError

_GO_BACK = (
    "nothing of the old log was dropped. To go on working, restore the backup from before the upgrade with"
    " the offerlog that made it (docs/operations.md, Upgrading)"
)


class ConversionError(OfferlogError):
    """The conversion of a store cannot go on, or has found a difference."""


class UnreadableFirstEventError(ConversionError):
    """An old event cannot be read, so the conversion has stopped before it.

    Attributes:
        position: Its position.
        stream: Its stream, by the id of the first format.
        version: Its place there.
    """

    def __init__(self, position: int, stream: UUID, version: int, topic: str, cause: str) -> None:
        super().__init__(
            f"the store cannot be upgraded: the event at position {position} ({topic}, version {version} of"
            f" stream {stream}) cannot be read: {cause}; {_GO_BACK}, and look for the damage with `offerlog"
            " events check` there"
        )
        self.position = position
        self.stream = stream
        self.version = version


class RewrittenLogDiffersError(ConversionError):
    """The rewritten events are not the old ones, one for one."""

    def __init__(self, difference: str) -> None:
        super().__init__(f"the store cannot be upgraded: {difference}; {_GO_BACK}")


class FirstEventsInUseError(ConversionError):
    """Something in the database depends on the old tables, so they cannot be dropped."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the events are rewritten, but the old ones cannot be dropped: {cause}; drop what depends on"
            " them, and start again"
        )


class ConvertedCountsDifferError(ConversionError):
    """The performance counts made anew differ from those of before. The store can be used all the same.

    Attributes:
        differences: Some of the rows that differ, for people.
    """

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__(
            "the store is upgraded and can be used: every event is rewritten and counted. But its"
            f" performance counts differ from those before the upgrade, for instance {differences[0]}; the"
            " old ones stay in the table first_counts. This is said once: please report it"
        )
        self.differences = differences
