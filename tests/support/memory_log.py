"""The log in memory, with the doors through which tests get at the writer."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.event_log import HeldStreams
from offerlog_application.ports.short_signals import NO_PARKINGS, Parkings
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import OfferKey
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import VisitorOffer, fold
from offerlog_infrastructure.memory import log as memory
from offerlog_infrastructure.memory.reads import MemoryReads


class MemoryLog(memory.MemoryLog):
    """The log in memory, with its `Deadlines`. It notes its calls, and stops where a test wants it to.

    Attributes:
        appends: How many events and refusals each append brought, also where it then failed.
        loads: Which visitor-offers each load asked for.
        held: What `find_held` finds.
        looks: How many visitor-offers each `find_held` was asked about.
        before_append: Runs first in every append; may raise, or write as another writer would.
        open: Cleared, it holds every append until it is set again.
    """

    def __init__(self) -> None:
        super().__init__(RefusalPolicy())
        self.appends: list[tuple[int, int]] = []
        self.loads: list[set[UUID]] = []
        self.held: set[UUID] = set()
        self.looks: list[int] = []
        self.before_append: Callable[[Sequence[RecordedEvent[Event]]], object] = len
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()

    @property
    def refused(self) -> list[Refusal]:
        """The refusal log, in order."""
        return list(self.refusals.values())

    @property
    def events_of(self) -> Mapping[UUID, Sequence[RecordedEvent[Event]]]:
        """Every stream, in order."""
        return self._streams

    def load(self, offers: Collection[OfferKey]) -> Mapping[UUID, VisitorOffer]:
        """Every visitor-offer asked for."""
        self.loads.append({offer.id for offer in offers})
        return super().load(offers)

    def append(
        self,
        events: Sequence[RecordedEvent[Event]],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer] = (),
        blocked: Sequence[BlockedOffer] = (),
        *,
        hurried: bool = False,
        epoch: int | None = None,
        parkings: Parkings = NO_PARKINGS,
    ) -> int | None:
        """Store both, or neither where a version is taken; what the writer makes of the events is right."""
        self.appends.append((len(events), len(refusals)))
        self.entered.set()
        assert self.open.wait(10)
        self.before_append(events)
        position = super().append(
            events, refusals, offers, blocked, hurried=hurried, epoch=epoch, parkings=parkings
        )
        known = {offer.id: offer for offer in offers}
        for stream in {event.originator_id for event in events} & known.keys():
            assert known[stream] == fold(self._streams[stream], VisitorOffer(stream))
        return position

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Those of the visitor-offers that a test says are held."""
        del seconds, urgent
        self.looks.append(len(versions))
        return HeldStreams(frozenset(versions.keys() & self.held))

    def write(self, events: Sequence[RecordedEvent[Event]]) -> None:
        """As another writer would."""
        super().append(events, ())

    def put(self, stream: UUID, events: Sequence[RecordedEvent[Event]]) -> None:
        """Give a stream these events instead of its own, as an older build had stored them."""
        self._streams[stream] = list(events)
        self.offers[stream] = fold(events, VisitorOffer(stream))

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[OfferKey] = (),
    ) -> Sequence[OfferKey]:
        """The visitor-offers of the port, without any lag."""
        return MemoryReads(self).due(
            deadline_before=deadline_before, parked_before=parked_before, limit=limit, besides=besides
        )
