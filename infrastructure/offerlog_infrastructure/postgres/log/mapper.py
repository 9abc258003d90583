"""The mapper between events and stored events: stable names with a version, never import paths."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from offerlog_domain.errors import OfferlogError
from offerlog_domain.event_fields import Event
from offerlog_domain.events import EVENTS
from offerlog_infrastructure.postgres.log.event_encoding import decode_event, encode_event

Upcaster = Callable[[bytes], bytes]
"""Converts the stored state of one version into the state of the next version."""

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""Upcasters by stored name and the version that each starts from; none are needed yet."""


class UnreadableEventError(OfferlogError):
    """A stored event that this build cannot read.

    Attributes:
        topic: Its stored name and version.
        originator_id: Its stream.
        originator_version: Its place there.
    """

    def __init__(self, topic: str, originator_id: object, originator_version: int, cause: str) -> None:
        super().__init__(f"stored event {topic} ({originator_id}, version {originator_version}): {cause}")
        self.topic = topic
        self.originator_id = originator_id
        self.originator_version = originator_version


class EventRow(NamedTuple):
    """A stored event, its fields in the order of the table's columns."""

    originator_version: int
    originator_id: UUID
    topic: str
    state: bytes


class EventMapper(Mapper[UUID]):
    """The library's mapper for our events, under the topic `name.version`.

    `row` and `event` do the same as the library's methods, without its intermediate objects.
    """

    def __init__(
        self,
        events: Sequence[type[Event]] = EVENTS,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        super().__init__(JSONTranscoder())
        self._topics = {event: f"{event.stored_name}.{event.stored_version}" for event in events}
        self._readers: dict[str, tuple[type[Event], tuple[Upcaster, ...]]] = {
            topic: (event, ()) for event, topic in self._topics.items()
        }
        for event in events:
            for version in range(1, event.stored_version):
                steps = tuple(
                    upcasters[event.stored_name, step] for step in range(version, event.stored_version)
                )
                self._readers[f"{event.stored_name}.{version}"] = event, steps

    def topics(self, kind: type[Event]) -> list[str]:
        """List every stored name and version that is read as this class of events or a subclass."""
        return [topic for topic, (event, _) in self._readers.items() if issubclass(event, kind)]

    def row(self, event: Event) -> EventRow:
        """Encode an event as a row of the log."""
        return EventRow(
            event.originator_version, event.originator_id, self._topics[type(event)], encode_event(event)
        )

    def event(self, originator_id: UUID, originator_version: int, topic: str, state: bytes) -> Event:
        """Decode a stored event; one of an older version is upcast.

        Raises:
            UnreadableEventError: Its name or version is unknown, or its state is not valid.
        """
        reader = self._readers.get(topic)
        if reader is None:
            raise UnreadableEventError(
                topic, originator_id, originator_version, "this build knows no such name and version"
            )
        kind, steps = reader
        try:
            for upcast in steps:
                state = upcast(state)
            return decode_event(state, kind, originator_id, originator_version)
        except (ValueError, TypeError, AttributeError, OverflowError, msgspec.MsgspecError) as error:
            raise UnreadableEventError(topic, originator_id, originator_version, str(error)) from error

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Encode an event as the library's stored event."""
        assert isinstance(domain_event, Event)  # noqa: S101 - the library's signature is wider
        row = self.row(domain_event)
        return StoredEvent(row.originator_id, row.originator_version, row.topic, row.state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Decode one of the library's stored events.

        Raises:
            UnreadableEventError: This build cannot read it.
        """
        stream = stored_event.originator_id
        assert isinstance(stream, UUID)  # noqa: S101 - our streams are UUIDs
        return self.event(stream, stored_event.originator_version, stored_event.topic, stored_event.state)
