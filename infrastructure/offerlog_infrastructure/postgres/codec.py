"""Facts to stored events and back: stable names with a version, never import paths."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from offerlog_domain.events import FACTS, Fact, Visitor

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the fields of one stored version into those of the next."""

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""By stored name and the version it starts from; none are needed yet."""


class UnreadableEvent(Exception):  # noqa: N818 - says what is the case
    """A stored event that this build cannot read.

    Attributes:
        topic: Its stored name and version.
        originator_id: Its stream.
        originator_version: Its place there.
    """

    def __init__(self, stored: StoredEvent, cause: str) -> None:
        super().__init__(
            f"stored event {stored.topic} ({stored.originator_id}, version {stored.originator_version}):"
            f" {cause}"
        )
        self.topic = stored.topic
        self.originator_id = stored.originator_id
        self.originator_version = stored.originator_version


def _plain(value: Any) -> Any:
    if isinstance(value, Visitor):
        return _told(value)
    raise TypeError(f"{type(value).__name__} is never stored")


def _told(model: Visitor | Fact) -> dict[str, Any]:
    return {name: value for name, value in vars(model).items() if value is not None}


class FactMapper(Mapper[UUID]):
    """The library's mapper for our facts: MessagePack under the topic `name.version`."""

    def __init__(
        self,
        facts: Sequence[type[Fact]] = FACTS,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        super().__init__(JSONTranscoder())
        self._facts = {fact.stored_name: fact for fact in facts}
        self._topics = {fact: f"{fact.stored_name}.{fact.stored_version}" for fact in facts}
        self._upcasters = upcasters
        self._encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
        self._decode = msgspec.msgpack.Decoder(dict[str, Any]).decode

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """One fact as the log keeps it."""
        assert isinstance(domain_event, Fact)  # noqa: S101 - the library's signature is wider
        told = _told(domain_event)
        return StoredEvent(
            told.pop("originator_id"),
            told.pop("originator_version"),
            self._topics[type(domain_event)],
            self._encode(told),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """One stored event as a fact of today, upcast if it is of an older version.

        Raises:
            UnreadableEvent: Name or version are unknown, or the state does not hold what it must.
        """
        name, _, written = stored_event.topic.rpartition(".")
        fact = self._facts.get(name)
        if fact is None or not written.isdecimal() or int(written) > fact.stored_version:
            raise UnreadableEvent(stored_event, "this build knows no such name and version")
        try:
            told = self._decode(stored_event.state)
            for version in range(int(written), fact.stored_version):
                told = self._upcasters[name, version](told)
            return fact(
                originator_id=stored_event.originator_id,
                originator_version=stored_event.originator_version,
                **told,
            )
        except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
            raise UnreadableEvent(stored_event, str(error)) from error
