"""The port to the log for those who follow it: the feed, webhooks and exports."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.positions import LogPosition, UnknownPositionError
from offerlog_domain.errors import OfferlogError
from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.identity import VisitorKey

SETTLING_SECONDS: Final = 1.0
"""Seconds that a read waits for writers who are about to commit, unless its caller says otherwise."""


class PositionAheadError(UnknownPositionError):
    """A position lies beyond the end of the log, so it is of another log, or the log has lost its end.

    Attributes:
        position: The position.
        end: The last position that was ever given out, as far as the log knows.
    """

    def __init__(self, position: int, end: int) -> None:
        super().__init__(
            f"after: {position} lies beyond the end of the log, {end}: it is of another log, or the log was"
            " restored from a backup; begin anew, or at a position that you trust",
        )
        self.position = position
        self.end = end


class LogRow(NamedTuple):
    """An event of the log, with what may be read of it.

    Attributes:
        position: Its position.
        stream: Its stream (see `stream_ids`).
        version: Its place in the stream, from 1.
        organization: The tenant; None for a damaged event of a visitor who is not known (any more).
        event: The public fields; None for a damaged event.
        visitor: The visitor's identity, where it was asked for and the visitor is known.
        private: The fields that identify somebody, where they were asked for and can be opened.
        vector: The positions of several servers up to this event, as a page has it; None where there is one.
    """

    position: int
    stream: UUID
    version: int
    organization: str | None
    event: Event | None
    visitor: VisitorKey | None = None
    private: PrivateFields | None = None
    vector: LogPosition | None = None

    @property
    def cursor(self) -> LogPosition:
        """The position from which to read on behind this event."""
        return self.position if self.vector is None else self.vector


class Tenure(NamedTuple):
    """The time for which a server has had a slice, from one move to the next.

    The events of a visitor are in order by tenure, and within one by position: a server has a slice alone.

    Attributes:
        epoch: The epoch under which the server took the slice; 0 for the first server that had it.
        earlier: Of each other server, the last event of the slice that it had recorded by then.
    """

    epoch: int
    earlier: Sequence[int]


FIRST_TENURE: Final = Tenure(0, ())


class LogPage(NamedTuple):
    """Consecutive events of the log.

    Attributes:
        rows: The events of all organizations, by position.
        position: Position of the last of them; without any, the position before the page.
        is_end: True if no further event could be read when the page was.
        waits_for: Errors of servers whose events are missing for now. They follow behind `position`, once
            those servers answer; such a page is not the end.
    """

    rows: Sequence[LogRow]
    position: LogPosition
    is_end: bool
    waits_for: Sequence[OfferlogError] = ()


class EventSource(Protocol):
    """The log, as its followers read it; thread-safe.

    A page never reaches beyond the safe horizon: no event can appear at or before its position any more.
    """

    def read_page(
        self,
        after: LogPosition,
        limit: int,
        *,
        identify: str | None = None,
        settling_seconds: float = SETTLING_SECONDS,
        leaving_out: Collection[int] = (),
    ) -> LogPage:
        """Read the events after a position, at most `limit`.

        A page that is the end of the log holds everything that was committed before the call, unless a writer
        does not end its transaction within `settling_seconds`.

        Args:
            after: The position of an event, or 0.
            limit: The most events.
            identify: The organization of which the identifying fields are wanted; None for none.
            settling_seconds: How long to wait for writers who are about to commit.
            leaving_out: Numbers of servers whose events are not wanted now: their parts of the position stay.

        Raises:
            PositionAheadError: No event has had that position yet.
            UnreadableEventError: The next event is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached.
            ClosedError: The service has been closed.
        """

    def find_end(self) -> LogPosition:
        """Return the position of the last event that can be read now; 0 if there is none.

        Waits as `read_page` does, so nothing that was committed before the call lies beyond it.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            ClosedError: The service has been closed.
        """

    def find_moved(self, after: int) -> int | None:
        """Look for events behind a position that this server has recorded, and that lie elsewhere by now.

        Returns:
            A position up to which none can appear here any more, 0 if that is not known; None if no event has
            moved.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            ClosedError: The service has been closed.
        """

    def read_moved(self, after: int, until: int, limit: int, *, identify: str | None) -> Sequence[LogRow]:
        """Read the events with positions of another server that lie here by now, in order.

        Args:
            after: A position of that server, or its beginning.
            until: The last position allowed; one of that server.
            limit: The most events.
            identify: The organization of which the identifying fields are wanted; None for none.

        Raises:
            UnreadableEventError: The next event is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached.
            ClosedError: The service has been closed.
        """

    def find_event(self, position: int) -> LogRow | None:
        """Return the event of a position that has been read before; None if it is not in the log any more.

        Raises:
            UnreadableEventError: It is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached; of several, one that may have the event.
            ClosedError: The service has been closed.
        """

    def find_tenures(self, events: Sequence[tuple[int, UUID]]) -> Mapping[int, Tenure]:
        """Return the tenures in which events were recorded, by position; without those of first tenures.

        Args:
            events: The position and the stream of each; they have been read before.

        Raises:
            StoreUnavailableError: The store cannot be reached; of several, one that has recorded some.
            ClosedError: The service has been closed.
        """

    def close(self) -> None:
        """End the reads under way, and release the connection."""
