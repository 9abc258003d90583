"""The log's ports over plain dicts, with the doors through which tests get at the writer."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from offerlog_application.ports.event_log import HeldStreams, VersionConflictError
from offerlog_domain.event_fields import Event
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import Action, VisitorOffer, fold


class StoppedClock:
    """A clock that goes only when told."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        """The time it was set to."""
        return self.time


class MemoryLog:
    """`EventLog`, `Streams` and `Deadlines` in memory.

    Attributes:
        facts_of: Every stream, in order.
        refused: The refusal log.
        appends: How many events and refusals each append brought, also where it then failed.
        loads: Which streams each load asked for.
        held: What `find_held` finds, beside what `before_append` shows.
        looks: How many visitor-offers each `find_held` was asked about.
        before_append: Runs first in every append; may raise, or write as another writer would.
        open: Cleared, it holds every append until it is set again.
    """

    def __init__(self) -> None:
        self.facts_of: dict[UUID, list[Event]] = {}
        self.refused: list[Refusal] = []
        self.appends: list[tuple[int, int]] = []
        self.loads: list[set[UUID]] = []
        self.held: set[UUID] = set()
        self.looks: list[int] = []
        self.before_append: Callable[[Sequence[Event]], object] = len
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self._secrets: dict[str, bytes] = {}

    def load(self, streams: Collection[UUID]) -> Mapping[UUID, VisitorOffer]:
        """Every visitor-offer asked for, folded from its events."""
        self.loads.append(set(streams))
        return {stream: fold(self.events(stream), VisitorOffer(stream)) for stream in streams}

    def append(
        self,
        events: Sequence[Event],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer] = (),
        *,
        hurried: bool = False,
    ) -> int | None:
        """Store both, or neither where a version is taken."""
        del hurried
        self.appends.append((len(events), len(refusals)))
        self.entered.set()
        assert self.open.wait(10)
        self.before_append(events)
        self.write(events)
        self.refused.extend(refusals)
        known = {offer.id: offer for offer in offers}
        for stream in {event.originator_id for event in events} & known.keys():
            assert known[stream] == fold(self.events(stream), VisitorOffer(stream))
        return sum(map(len, self.facts_of.values())) if events else None

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Those of the visitor-offers that a test says are held."""
        del seconds, urgent
        self.looks.append(len(versions))
        return HeldStreams(frozenset(versions.keys() & self.held))

    def write(self, events: Sequence[Event]) -> None:
        """As another writer would."""
        sizes = {stream: len(known) for stream, known in self.facts_of.items()}
        for event in events:
            version = sizes.get(event.originator_id, 0) + 1
            if event.originator_version != version:
                raise VersionConflictError(event.originator_id, waiting=False)
            sizes[event.originator_id] = version
        for event in events:
            self.facts_of.setdefault(event.originator_id, []).append(event)

    def newest_action(self, stream: UUID) -> Action | None:
        """The action that began last."""
        return fold(self.events(stream), VisitorOffer(stream)).newest

    def events(self, stream: UUID) -> Sequence[Event]:
        """The whole stream, in order."""
        return tuple(self.facts_of.get(stream, ()))

    def secret(self, organization: str) -> bytes:
        """Another one for each organization, and the same in every run of a test."""
        return self._secrets.setdefault(organization, sha256(organization.encode()).digest())

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[UUID] = (),
    ) -> Sequence[tuple[UUID, str]]:
        """The visitor-offers of the port, without any lag."""
        waiting = [
            (stream, events[0].organization)
            for stream, events in self.facts_of.items()
            if stream not in besides
            and _is_due(fold(events, VisitorOffer(stream)), deadline_before, parked_before)
        ]
        return waiting[:limit]


def _is_due(offer: VisitorOffer, deadline_before: datetime, parked_before: datetime) -> bool:
    if offer.earliest_parked_at is not None and offer.earliest_parked_at <= parked_before:
        return True
    if offer.newest is None or offer.newest.state is not State.OFFERED:
        return False
    offered = offer.newest.events[0]
    if offered.timeout_seconds is None:
        return False
    begun = max(offered.occurred_at, offered.recorded_at)
    return begun + timedelta(seconds=offered.timeout_seconds) <= deadline_before
