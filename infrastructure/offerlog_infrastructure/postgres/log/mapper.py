"""The mapper between events and stored events: stable names with a version, never import paths."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from offerlog_domain.errors import OfferlogError
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import EVENTS
from offerlog_infrastructure.postgres.log.event_encoding import decode_private, encode_event, event_decoder
from offerlog_infrastructure.postgres.log.first_format import UPCASTERS

Decoder = Callable[[bytes], tuple[Event, bytes]]
"""Decodes the public fields of a stored state, and returns them with the private part."""

Upcaster = Callable[[bytes], bytes]
"""Converts the stored state of one version into the state of the next version."""


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


def _upcast_and_decode(upcast: Upcaster, decode: Decoder, state: bytes) -> tuple[Event, bytes]:
    return decode(upcast(state))


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
        self._kinds = {topic: event for event, topic in self._topics.items()}
        self._decoders: dict[str, Decoder] = {}
        for event in events:
            decoder = event_decoder(event)
            self._decoders[self._topics[event]] = decoder
            for version in range(event.stored_version - 1, 0, -1):
                decoder = partial(_upcast_and_decode, upcasters[event.stored_name, version], decoder)
                topic = f"{event.stored_name}.{version}"
                self._decoders[topic], self._kinds[topic] = decoder, event

    def topics(self, kind: type[Event]) -> list[str]:
        """List every stored name and version that is read as this class of events or a subclass."""
        return [topic for topic, event in self._kinds.items() if issubclass(event, kind)]

    def row(self, recorded: RecordedEvent[Event]) -> EventRow:
        """Encode an event as a row of the log."""
        return EventRow(
            recorded.originator_version,
            recorded.originator_id,
            self._topics[type(recorded.event)],
            encode_event(recorded.event, recorded.private),
        )

    def event(
        self, originator_id: UUID, originator_version: int, topic: str, state: bytes
    ) -> RecordedEvent[Event]:
        """Decode a stored event; one of an older version is upcast.

        Raises:
            UnreadableEventError: Its name or version is unknown, or its state is not valid.
        """
        try:
            event, part = self._decoder(topic)(state)
            return RecordedEvent(originator_id, originator_version, event, decode_private(part))
        except (LookupError, ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
            raise UnreadableEventError(topic, originator_id, originator_version, str(error)) from error

    def public(self, topic: str, state: bytes) -> Event:
        """Decode the public fields of a stored event; one of an older version is upcast.

        Raises:
            LookupError: Its name or version is unknown.
            ValueError: Its state is not valid.
        """
        return self._decoder(topic)(state)[0]

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Encode an event as the library's stored event."""
        assert isinstance(domain_event, RecordedEvent)  # noqa: S101 - the library's signature is wider
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

    def _decoder(self, topic: str) -> Decoder:
        decoder = self._decoders.get(topic)
        if decoder is None:
            raise LookupError("this build knows no such name and version")
        return decoder
