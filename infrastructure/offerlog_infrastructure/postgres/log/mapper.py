"""The mapper between events and stored events: stable names with a version, never import paths.

Without the visitor's key, a stored event is read as a `SealedEvent`. With the key, as a `RecordedEvent`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_domain.event_fields import Event, RecordedEvent, SealedEvent
from offerlog_domain.events import EVENTS, LifecycleEvent
from offerlog_domain.service_events import SERVICE_EVENTS, ServiceEvent
from offerlog_infrastructure.postgres.log.event_encoding import (
    Decoder,
    compact_decoder,
    decode_private,
    encode_compact,
    encode_plain,
    encode_private,
    plain_decoder,
)
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from offerlog_infrastructure.sealing import UnsealError

FIRST_SEALED_VERSION: Final = 2
"""The first version with a sealed part, in the plain form. The conversion has rewritten older events."""

FIRST_COMPACT_VERSION: Final = 3
"""The first version of lifecycle events in the compact form."""

_UNREADABLE: Final = (LookupError, ValueError, TypeError, OverflowError, msgspec.MsgspecError)

Encoder = Callable[[Any, bytes], bytes]
"""Encodes an event of one kind with its sealed part."""

Upcaster = Callable[[bytes], bytes]
"""Converts the stored state of one version into the state of the next version."""


class EventRow(NamedTuple):
    """A stored event, its fields in the order of the table's columns."""

    originator_version: int
    originator_id: UUID
    topic: str
    state: bytes


def _upcast_and_decode(upcast: Upcaster, decode: Decoder, state: bytes) -> tuple[Event, bytes]:
    return decode(upcast(state))


def _encoder_of(kind: type[Event]) -> Encoder:
    return encode_compact if issubclass(kind, LifecycleEvent) else encode_plain


def _decoders_of(
    kind: type[Event], upcasters: Mapping[tuple[str, int], Upcaster]
) -> Iterator[tuple[int, Decoder]]:
    """Yield the versions that a kind of event was ever stored in, each with its decoder.

    Raises:
        LookupError: There is no upcaster for a version.
    """
    name, newest = kind.stored_name, kind.stored_version
    plain = plain_decoder(kind)
    first, decoder = FIRST_SEALED_VERSION, plain
    if issubclass(kind, LifecycleEvent):
        first, decoder = FIRST_COMPACT_VERSION, compact_decoder(kind)
        if newest > first:
            plain = partial(_upcast_and_decode, upcasters[name, FIRST_SEALED_VERSION], plain)
        yield FIRST_SEALED_VERSION, plain
    yield newest, decoder
    for version in range(newest - 1, first - 1, -1):
        decoder = partial(_upcast_and_decode, upcasters[name, version], decoder)
        yield version, decoder


class EventMapper(Mapper[UUID]):
    """The library's mapper for our events, under the topic `name.version`.

    `row`, `event` and `open_event` do the work of the library's methods, without its intermediate objects.

    Args:
        events: The kinds of events.
        upcasters: By name and version, the function that converts the state of a version into the next.
            The one for version 2 of a lifecycle event converts its plain form into the plain form of now.
    """

    def __init__(
        self,
        events: Sequence[type[Event]] = (*EVENTS, *SERVICE_EVENTS),
        upcasters: Mapping[tuple[str, int], Upcaster] = MappingProxyType({}),
    ) -> None:
        super().__init__(JSONTranscoder())
        topics = {event: f"{event.stored_name}.{event.stored_version}" for event in events}
        self._topics = {
            event: (topic, event.stored_name.encode(), _encoder_of(event)) for event, topic in topics.items()
        }
        self._kinds: dict[str, type[Event]] = {}
        self._readings: dict[str, tuple[Decoder, bytes]] = {}
        for event in events:
            name = event.stored_name
            for version, decoder in _decoders_of(event, upcasters):
                topic = f"{name}.{version}"
                self._readings[topic], self._kinds[topic] = (decoder, name.encode()), event

    def topics(self, kind: type[Event]) -> list[str]:
        """List every stored name and version that is read as this class of events or a subclass."""
        return [topic for topic, event in self._kinds.items() if issubclass(event, kind)]

    def row(self, recorded: RecordedEvent[Event], stream: OpenStream) -> EventRow:
        """Encode an event as a row of the log, its private fields sealed."""
        topic, name, encode = self._topics[type(recorded.event)]
        version = recorded.originator_version
        sealed = stream.seal(encode_private(recorded.private), version, name)
        return EventRow(version, stream.id, topic, encode(recorded.event, sealed))

    def service_row(self, stream: UUID, version: int, event: ServiceEvent) -> EventRow:
        """Encode an event that belongs to no visitor-offer; its sealed part is empty."""
        return EventRow(version, stream, self._topics[type(event)][0], encode_plain(event, b""))

    def open_event(
        self, offer_id: UUID, stream: OpenStream, originator_version: int, topic: str, state: bytes
    ) -> RecordedEvent[Event]:
        """Decode a stored event and open its private fields; one of an older version is upcast.

        Args:
            offer_id: The visitor-offer that the event shall belong to.
            stream: The stream, with the visitor's key.
            originator_version: The place in it.
            topic: The stored name and version.
            state: The stored state.

        Raises:
            UnreadableEventError: Its name or version is unknown, or its state is not valid.
        """
        try:
            decode, name = self._reading(topic)
            event, sealed = decode(state)
            private = decode_private(stream.open(sealed, originator_version, name))
        except (*_UNREADABLE, UnsealError) as error:
            raise UnreadableEventError(topic, stream.id, originator_version, str(error)) from error
        return RecordedEvent(offer_id, originator_version, event, private)

    def event(
        self, originator_id: UUID, originator_version: int, topic: str, state: bytes
    ) -> SealedEvent[Event]:
        """Decode the public fields of a stored event; one of an older version is upcast.

        Raises:
            UnreadableEventError: Its name or version is unknown, or its state is not valid.
        """
        try:
            event, sealed = self._reading(topic)[0](state)
        except _UNREADABLE as error:
            raise UnreadableEventError(topic, originator_id, originator_version, str(error)) from error
        return SealedEvent(originator_id, originator_version, event, sealed)

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Encode a sealed event as the library's stored event."""
        assert isinstance(domain_event, SealedEvent)  # noqa: S101 - the library's signature is wider
        topic, _, encode = self._topics[type(domain_event.event)]
        state = encode(domain_event.event, domain_event.sealed)
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, topic, state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Decode one of the library's stored events, which stays sealed.

        Raises:
            UnreadableEventError: This build cannot read it.
        """
        stream = stored_event.originator_id
        assert isinstance(stream, UUID)  # noqa: S101 - our streams are UUIDs
        return self.event(stream, stored_event.originator_version, stored_event.topic, stored_event.state)

    def _reading(self, topic: str) -> tuple[Decoder, bytes]:
        reading = self._readings.get(topic)
        if reading is None:
            raise LookupError("this build knows no such name and version")
        return reading
