"""Facts to stored events and back: stable names with a version, never import paths."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from offerlog_domain.event_fields import Fact
from offerlog_domain.events import FACTS
from offerlog_infrastructure.postgres.log.event_encoding import state_of, told_by

Upcaster = Callable[[bytes], bytes]
"""Turns the stored state of one version into that of the next."""

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""By stored name and the version it starts from; none are needed yet."""


class UnreadableEvent(Exception):  # noqa: N818 - says what is the case
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
    """A stored event in the order of the table's columns."""

    originator_version: int
    originator_id: UUID
    topic: str
    state: bytes


class FactMapper(Mapper[UUID]):
    """The library's mapper for our facts, under the topic `name.version`.

    `row` and `fact` do the same without the objects that the library puts in between.
    """

    def __init__(
        self,
        facts: Sequence[type[Fact]] = FACTS,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        super().__init__(JSONTranscoder())
        self._topics = {fact: f"{fact.stored_name}.{fact.stored_version}" for fact in facts}
        self._readers: dict[str, tuple[type[Fact], tuple[Upcaster, ...]]] = {
            topic: (fact, ()) for fact, topic in self._topics.items()
        }
        for fact in facts:
            for written in range(1, fact.stored_version):
                steps = tuple(
                    upcasters[fact.stored_name, version] for version in range(written, fact.stored_version)
                )
                self._readers[f"{fact.stored_name}.{written}"] = fact, steps

    def topics(self, kind: type[Fact]) -> list[str]:
        """Every stored name and version under which this kind of event, or a special case of it, is read."""
        return [topic for topic, (fact, _) in self._readers.items() if issubclass(fact, kind)]

    def row(self, fact: Fact) -> EventRow:
        """One fact as the log keeps it."""
        return EventRow(fact.originator_version, fact.originator_id, self._topics[type(fact)], state_of(fact))

    def fact(self, originator_id: UUID, originator_version: int, topic: str, state: bytes) -> Fact:
        """One stored event as a fact of today, upcast if it is of an older version.

        Raises:
            UnreadableEvent: Name or version are unknown, or the state does not hold what it must.
        """
        reader = self._readers.get(topic)
        if reader is None:
            raise UnreadableEvent(
                topic, originator_id, originator_version, "this build knows no such name and version"
            )
        fact, steps = reader
        try:
            for upcast in steps:
                state = upcast(state)
            told = told_by(state, fact)
        except (ValueError, TypeError, AttributeError, OverflowError, msgspec.MsgspecError) as error:
            raise UnreadableEvent(topic, originator_id, originator_version, str(error)) from error
        told["originator_id"] = originator_id
        told["originator_version"] = originator_version
        return fact.of(told)

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """One fact as the library keeps it."""
        assert isinstance(domain_event, Fact)  # noqa: S101 - the library's signature is wider
        row = self.row(domain_event)
        return StoredEvent(row.originator_id, row.originator_version, row.topic, row.state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """One of the library's stored events as a fact of today.

        Raises:
            UnreadableEvent: This build cannot read it.
        """
        stream = stored_event.originator_id
        assert isinstance(stream, UUID)  # noqa: S101 - our streams are UUIDs
        return self.fact(stream, stored_event.originator_version, stored_event.topic, stored_event.state)
