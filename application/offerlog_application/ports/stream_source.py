"""The port to the log stream by stream, for exports that look at whole visitor-offers."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.event_source import LogRow
from offerlog_application.ports.positions import LogPosition


class StreamPlace(NamedTuple):
    """The place of an event in the log, ordered by streams.

    Attributes:
        stream: Its stream.
        version: Its place there.
    """

    stream: UUID
    version: int


BEFORE_ALL_STREAMS = StreamPlace(UUID(int=0), 0)
"""The place before the first event."""


class StreamSource(Protocol):
    """The lifecycle events of the log, one stream after the other; thread-safe."""

    def read_streams(
        self, behind: StreamPlace, as_of: LogPosition, limit: int, *, identify: str | None = None
    ) -> Sequence[LogRow]:
        """Return the next lifecycle events, ordered by stream and version.

        Args:
            behind: The place of the event before the first one.
            as_of: The last position that is read; nothing may appear up to there any more.
            limit: The most events. Fewer are the end.
            identify: The organization of which the identifying fields are wanted; None for none.

        Raises:
            UnreadableEventError: An event is of a kind that this build does not know.
            ReadTimeoutError: The page takes longer than the current `ReadBudget` allows.
            StoreUnavailableError: The store cannot be reached.
        """
