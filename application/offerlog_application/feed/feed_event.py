"""An event as the feed hands it out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from offerlog_application.ports.positions import LogPosition
from offerlog_domain.event_fields import Event, PrivateFields, SignalEvent
from offerlog_domain.identity import VisitorKey

TYPE_PREFIX: Final = "io.offerlog."
"""The beginning of every type in the feed; the name of the kind and the version of its data follow."""


def make_type(name: str, version: int = 1) -> str:
    """Return the CloudEvents type of a kind of events and a version of its data."""
    return f"{TYPE_PREFIX}{name}.v{version}"


UNREADABLE: Final = "unreadable"
"""The name of a damaged event, of which only the place is known."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event of the feed.

    Attributes:
        position: Its position in the log; later events have higher ones.
        name: The name of its kind, such as `offered`.
        subject: The id of the visitor-offer; of an erasure, the id of the visitor's own stream.
        version: Its place in the stream of the subject, from 1. Some places have no event in the feed.
        organization: The tenant.
        event: The public fields; None for a damaged event.
        identity: The visitor; None unless it was asked for, and for a visitor who has been erased.
        private: The fields that identify somebody; None in the same cases.
        vector: The positions of several servers up to this event, as it came; None where there is one server.
    """

    position: int
    name: str
    subject: str
    version: int
    organization: str
    event: Event | None
    identity: VisitorKey | None = None
    private: PrivateFields | None = None
    vector: LogPosition | None = None

    @property
    def cursor(self) -> LogPosition:
        """The position from which to read on behind this event. Over several servers, it is a vector."""
        return self.position if self.vector is None else self.vector

    @property
    def type(self) -> str:
        """The CloudEvents type, such as `io.offerlog.offered.v1`."""
        return make_type(self.name)

    @property
    def visitor(self) -> str:
        """The pseudonym of the visitor, 16 hexadecimal digits: the same in all events of one visitor.

        A visitor who comes back after an erasure has another one.
        """
        return self.subject.replace("-", "")[:16]

    @property
    def occurred_at(self) -> datetime | None:
        """The time at which it happened, UTC; None for a damaged event."""
        return self.event.occurred_at if isinstance(self.event, SignalEvent) else self.recorded_at

    @property
    def recorded_at(self) -> datetime | None:
        """The time at which the service recorded it, UTC; None for a damaged event."""
        return None if self.event is None else self.event.recorded_at
