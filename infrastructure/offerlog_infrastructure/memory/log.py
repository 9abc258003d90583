"""The log in memory, with what the projections make of it."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from hashlib import sha256
from uuid import UUID

from offerlog_application.ports.event_log import HeldStreams, StaleEpochError, VersionConflictError
from offerlog_application.ports.write_fence import FENCE_SECONDS
from offerlog_application.projections.current_state import ParkedPlace, ParkedRow, current_state
from offerlog_application.projections.page import Page, Positioned, streams_with_repeats
from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow, suppressions
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.event_fields import Event, RecordedEvent, SealedEvent
from offerlog_domain.events import LifecycleEvent, is_sealed_lifecycle_event
from offerlog_domain.identity import OfferKey, VisitorKey
from offerlog_domain.outcomes import Refusal
from offerlog_domain.stream_ids import make_stream_id
from offerlog_domain.visitor_offer import Action, VisitorOffer, evolve
from offerlog_infrastructure.memory.counts import MemoryCounts
from offerlog_infrastructure.memory.visitors import MemoryVisitor, MemoryVisitors, close_private


class MemoryLog:
    """The application's `Log`, `StreamReader` and `WriteFence`; thread-safe.

    Attributes:
        lock: Guards everything below.
        events_in_order: Every event, by position, as projections read it.
        offers: Every visitor-offer as it stands, by the id of its name.
        named: The names of all visitor-offers that were loaded, by id.
        visitors: The visitors of whom an event was recorded.
        refusals: The refusal log; a refusal's number is its place in it, from 1.
        counts: Counts of the performance projection.
        suppressions: Rows of the suppression projection.
        parked: Signals that wait.
        secrets: Secrets for digests of visitors, by organization.
    """

    def __init__(self, policy: RefusalPolicy) -> None:
        self.lock = threading.RLock()
        self.events_in_order: list[Positioned] = []
        self.offers: dict[UUID, VisitorOffer] = {}
        self.named: dict[UUID, OfferKey] = {}
        self.visitors = MemoryVisitors()
        self.refusals: dict[int, Refusal] = {}
        self.refusal_tallies: list[Refusal] = []
        self.counts = MemoryCounts(self.lock)
        self.suppressions: dict[SuppressionKey, SuppressionRow] = {}
        self.parked: dict[ParkedPlace, ParkedRow] = {}
        self.secrets: dict[str, bytes] = {}
        self._streams: dict[UUID, list[RecordedEvent[Event]]] = {}
        self._lifecycles: dict[UUID, list[SealedEvent[LifecycleEvent]]] = {}
        self._text_bytes: dict[tuple[str, date], int] = {}
        self._policy = policy
        self._epoch = 1

    def epoch(self) -> int:
        """Return the epoch."""
        with self.lock:
            return self._epoch

    def fence(self, seconds: float = FENCE_SECONDS) -> int:
        """Raise the epoch, and return it: an append is over at once, so there is none to wait for."""
        del seconds
        with self.lock:
            self._epoch += 1
            return self._epoch

    def finish(self, seconds: float = FENCE_SECONDS) -> int:
        """Return the epoch: there is no writer to wait for."""
        del seconds
        return self.epoch()

    def load(self, offers: Collection[OfferKey]) -> Mapping[UUID, VisitorOffer]:
        """Return every visitor-offer asked for, by id; an unknown one is at version 0."""
        with self.lock:
            for offer in offers:
                if offer.visitor is not None or offer.id not in self.named:
                    self.named[offer.id] = offer
            return {offer.id: self.offers.get(offer.id, VisitorOffer(offer.id)) for offer in offers}

    def append(
        self,
        events: Sequence[RecordedEvent[Event]],
        refusals: Sequence[Refusal],
        offers: Iterable[VisitorOffer] = (),
        *,
        hurried: bool = False,
        epoch: int | None = None,
    ) -> int | None:
        """Store both, or neither where a version is taken; returns the last position, None without events.

        Raises:
            StaleEpochError: The epoch is not the one given; nothing was stored.
            VersionConflictError: A version is taken; nothing was stored.
        """
        del offers, hurried
        with self.lock:
            if epoch not in {None, self._epoch}:
                raise StaleEpochError(self._epoch)
            changed: dict[UUID, VisitorOffer] = {}
            for event in events:
                offer_id = event.originator_id
                offer = changed.get(offer_id) or self.offers.get(offer_id, VisitorOffer(offer_id))
                if event.originator_version != offer.version + 1:
                    raise VersionConflictError(offer_id, waiting=False)
                changed[offer_id] = evolve(offer, event)
            added = [Positioned(self.last() + place, self._seal(one)) for place, one in enumerate(events, 1)]
            self.offers |= changed
            self.events_in_order += added
            for event in events:
                self._streams.setdefault(event.originator_id, []).append(event)
            self._project(added)
            for refusal in refusals:
                self.refusal_tallies.append(refusal)
                self.refusals[len(self.refusal_tallies)] = self._within_quota(refusal)
            return self.last() if events else None

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Return that nobody holds anything: there is one writer."""
        del versions, seconds, urgent
        return HeldStreams()

    def newest_action(self, offer: OfferKey) -> Action | None:
        """Return the action that began last, None where none has begun."""
        with self.lock:
            return self.offers.get(offer.id, VisitorOffer(offer.id)).newest

    def events(self, offer: OfferKey) -> Sequence[RecordedEvent[Event]]:
        """Return the whole stream, in order."""
        with self.lock:
            return tuple(self._streams.get(offer.id, ()))

    def secret(self, organization: str) -> bytes:
        """Return the organization's secret for digests; 32 bytes, the same in every process."""
        with self.lock:
            return self.secrets.setdefault(organization, sha256(organization.encode()).digest())

    def find_visitor(self, organization: str, key: VisitorKey) -> MemoryVisitor | None:
        """Return a visitor by the identity; None if no event was recorded of such a one."""
        with self.lock:
            secret = self.secrets.get(organization)
            return None if secret is None else self.visitors.find(organization, secret, key)

    def last(self) -> int:
        """Return the last position in the log; 0 where the log is empty."""
        return len(self.events_in_order)

    def close(self) -> None:
        """Nothing is held."""

    def _seal(self, recorded: RecordedEvent[Event]) -> SealedEvent[Event]:
        """Return the event as projections read it."""
        offer, event = self.named[recorded.originator_id], recorded.event
        visitor = self.visitors.make(offer, event.recorded_at)
        stream = make_stream_id(visitor.token, event.action_map_id)
        return SealedEvent(stream, recorded.originator_version, event, close_private(recorded.private))

    def _project(self, added: Sequence[Positioned]) -> None:
        for _, sealed in added:
            if is_sealed_lifecycle_event(sealed):
                self._lifecycles.setdefault(sealed.originator_id, []).append(sealed)
        page = Page(added, {stream: self._lifecycles[stream] for stream in streams_with_repeats(added)})
        self.counts.apply(page)
        self.suppressions |= suppressions(page)
        change = current_state(page)
        over = set(change.over)
        self.parked = {place: row for place, row in self.parked.items() if place not in over}
        self.parked.update(change.parked)

    def _within_quota(self, refusal: Refusal) -> Refusal:
        """The refusal, without its text where the organization's quota of that day is used up."""
        day = refusal.organization, refusal.recorded_at.date()
        used = self._text_bytes.get(day, 0) + len(refusal.raw)
        if used > self._policy.text_bytes_a_day:
            length = len(refusal.raw) if refusal.raw_length is None else refusal.raw_length
            return Refusal(
                refusal.organization,
                refusal.recorded_at,
                refusal.reason,
                refusal.field,
                refusal.cause,
                b"",
                length,
            )
        self._text_bytes[day] = used
        return refusal
