"""The log in memory, with what the projections make of it."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from offerlog_application.ports.event_log import (
    HeldStreams,
    NewestAction,
    StaleEpochError,
    VersionConflictError,
)
from offerlog_application.ports.read_models import PlacedEvent
from offerlog_application.ports.service_log import SERVICE_PAGE, ServiceEntry
from offerlog_application.ports.short_signals import NO_PARKINGS, FoundAction, NamedAction, Parkings
from offerlog_application.projections.current_state import ParkedPlace, ParkedRow, current_state
from offerlog_application.projections.page import Page, Positioned, streams_with_repeats
from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow, suppressions
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy
from offerlog_domain.blocked_offers import BlockedOffer, tally_blocked
from offerlog_domain.context import Rules
from offerlog_domain.event_fields import Event, RecordedEvent, SealedEvent
from offerlog_domain.events import EventSinceOffer, LifecycleEvent, Offered, is_sealed_lifecycle_event
from offerlog_domain.identity import BlockKey, OfferKey, OrganizationKey, VisitorKey
from offerlog_domain.outcomes import Refusal
from offerlog_domain.service_events import ActionMapPolicySet, ServiceEvent
from offerlog_domain.stream_ids import (
    make_action_map_stream_id,
    make_stream_id,
    make_tally_stream_id,
    token_of,
)
from offerlog_domain.visitor_offer import VisitorOffer, evolve
from offerlog_infrastructure.memory.counts import MemoryCounts
from offerlog_infrastructure.memory.epoch import MemoryEpoch
from offerlog_infrastructure.memory.short_signals import MemoryShortSignals
from offerlog_infrastructure.memory.visitors import MemoryVisitor, MemoryVisitors, close_private, open_private

_WRITER: Final = UUID(int=1)
"""There is one writer of tallies."""

_END: Final = datetime.max.replace(tzinfo=UTC)


class MemoryLog(MemoryEpoch):
    """The log, for the application's ports: thread-safe.

    It is a `Log`, `StreamReader`, `VisitorReader`, `ServiceLog`, `WriteFence` and `PolicyStore`.

    The lock guards everything below.

    Attributes:
        short_signals: The short signals that wait, and the actions that such signals find.
        events_in_order: Every event, by position, as projections read it.
        offers: Every visitor-offer as it stands, by the id of its name.
        named: The names of all visitor-offers that were loaded, by id.
        visitors: The visitors of whom an event was recorded.
        holds: Organization, time and reason of each legal hold, by the digest of the visitor.
        refusals: The refusal log; a refusal's number is its place in it, from 1.
        counts: Counts of the performance projection.
        suppressions: Rows of the suppression projection.
        parked: Signals that wait.
        keys: Keys for digests of visitors, by organization.
        policies_in_force: Policies of action maps, by organization and map.
        counted_blocks_at: Names of blocked offers that may be reported again, with the time of the count.
    """

    def __init__(self, policy: RefusalPolicy, rules: Rules | None = None) -> None:
        super().__init__()
        self.short_signals = MemoryShortSignals(self.lock, (rules or Rules()).named_action_time)
        self.events_in_order: list[Positioned] = []
        self.offers: dict[UUID, VisitorOffer] = {}
        self.named: dict[UUID, OfferKey] = {}
        self.visitors = MemoryVisitors()
        self.holds: dict[UUID, tuple[str, datetime, str]] = {}
        self.refusals: dict[int, Refusal] = {}
        self.refusal_tallies: list[Refusal] = []
        self.counts = MemoryCounts(self.lock)
        self.suppressions: dict[SuppressionKey, SuppressionRow] = {}
        self.parked: dict[ParkedPlace, ParkedRow] = {}
        self.keys: dict[str, OrganizationKey] = {}
        self.policies_in_force: dict[str, dict[UUID, ActionMapPolicy]] = {}
        self.counted_blocks_at: dict[BlockKey, datetime] = {}
        self._secrets_destroyed = 0
        self._streams: dict[UUID, list[RecordedEvent[Event]]] = {}
        self._lifecycles: dict[UUID, list[SealedEvent[LifecycleEvent]]] = {}
        self._entries: dict[UUID, list[ServiceEntry]] = {}
        self._text_bytes: dict[tuple[str, date], int] = {}
        self._policy = policy

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
        blocked: Sequence[BlockedOffer] = (),
        *,
        hurried: bool = False,
        epoch: int | None = None,
        parkings: Parkings = NO_PARKINGS,
    ) -> int | None:
        """Store all, or nothing where a version is taken; returns the last position, None without events.

        Raises:
            StaleEpochError: The epoch is not the one given; nothing was stored.
            VersionConflictError: A version is taken, a blocked offer was counted, or a parking has ended;
                nothing was stored.
        """
        del offers, hurried
        with self.lock:
            if epoch not in {None, self._epoch}:
                raise StaleEpochError(self._epoch)
            if not self.short_signals.can_store(parkings):
                raise VersionConflictError(waiting=False)
            changed: dict[UUID, VisitorOffer] = {}
            for event in events:
                offer_id = event.originator_id
                offer = changed.get(offer_id) or self.offers.get(offer_id, VisitorOffer(offer_id))
                if event.originator_version != offer.version + 1:
                    raise VersionConflictError(offer_id, waiting=False)
                changed[offer_id] = evolve(offer, event)
            for one in blocked:
                if one.key in self.counted_blocks_at:
                    raise VersionConflictError(one.offer.id, waiting=False)
            added = [Positioned(self.last() + place, self._seal(one)) for place, one in enumerate(events, 1)]
            self.offers |= changed
            self.events_in_order += added
            for event in events:
                self._streams.setdefault(event.originator_id, []).append(event)
                self.short_signals.note_offer(event, self.named[event.originator_id])
            self.short_signals.store(parkings)
            self._project(added)
            self._count_blocked(blocked)
            for refusal in refusals:
                self.refusal_tallies.append(refusal)
                self.refusals[len(self.refusal_tallies)] = self._within_quota(refusal)
            return self.last() if events or blocked else None

    def counted_blocks(self, keys: Collection[BlockKey]) -> Collection[BlockKey]:
        """Return those of these names of blocked offers that were counted before."""
        with self.lock:
            return self.counted_blocks_at.keys() & keys

    def _count_blocked(self, blocked: Sequence[BlockedOffer]) -> None:
        """Append the tallies of blocked offers, and remember the names."""
        for tally in tally_blocked(blocked):
            self.append_entry(make_tally_stream_id(tally.organization, _WRITER), tally)
        self.counted_blocks_at |= {one.key: one.recorded_at for one in blocked if one.key is not None}

    def append_entry(self, stream: UUID, event: ServiceEvent, *, version: int | None = None) -> ServiceEntry:
        """Append an event that belongs to no visitor-offer.

        Raises:
            VersionConflictError: The version is taken; nothing was stored.
        """
        with self.lock:
            entries = self._entries.setdefault(stream, [])
            if version not in {None, len(entries) + 1}:
                raise VersionConflictError(stream, waiting=False)
            entries.append(entry := ServiceEntry(self.last() + 1, stream, len(entries) + 1, event))
            added = [Positioned(entry.position, SealedEvent(stream, entry.version, event, b""))]
            self.events_in_order += added
            self._project(added)
            return entry

    def read_entries(
        self, stream: UUID, after: int = 0, limit: int = SERVICE_PAGE, *, behind: int = 0
    ) -> Sequence[ServiceEntry]:
        """Return the entries of a stream behind a version, in order."""
        with self.lock:
            return [one for one in self._entries.get(stream, [])[after:] if one.position > behind][:limit]

    def find_actions(self, actions: Collection[NamedAction]) -> Mapping[NamedAction, FoundAction]:
        """Return all these actions, as they are known now."""
        return self.short_signals.find(actions)

    def policies(self, organizations: Collection[str]) -> Mapping[str, Mapping[UUID, ActionMapPolicy]]:
        """Return the policies of these organizations, by action map."""
        return {organization: self.all_policies(organization) for organization in organizations}

    def put_policy(self, event: ActionMapPolicySet) -> int | None:
        """Put a policy in force and append its event; returns the position, None if it was in force."""
        with self.lock:
            policies = self.policies_in_force.setdefault(event.organization, {})
            if policies.get(event.action_map_id, NO_POLICY) == event.policy:
                return None
            policies[event.action_map_id] = event.policy
            self._epoch += 1
            stream = make_action_map_stream_id(event.organization, event.action_map_id)
            return self.append_entry(stream, event).position

    def delete_policies(self, organization: str) -> None:
        """Forget the policies that give no state an end."""
        with self.lock:
            known = self.policies_in_force.get(organization, {})
            self.policies_in_force[organization] = {n: one for n, one in known.items() if one != NO_POLICY}

    def find_policy(self, organization: str, action_map_id: UUID) -> ActionMapPolicy:
        """Return the policy of an action map that is in force."""
        with self.lock:
            return self.policies_in_force.get(organization, {}).get(action_map_id, NO_POLICY)

    def all_policies(self, organization: str) -> Mapping[UUID, ActionMapPolicy]:
        """Return the policies of an organization that are in force, by action map."""
        with self.lock:
            return dict(self.policies_in_force.get(organization, {}))

    def suppressed_until(self, key: SuppressionKey, row: SuppressionRow) -> datetime | None:
        """Return the end of a suppression by the policy in force; None for never."""
        return self.find_policy(row.organization, key.action_map_id).suppressed_until(row.state, row.since)

    def is_suppressed(self, key: SuppressionKey, now: datetime) -> bool:
        """Return True if the map does not offer to the visitor at a time, by a terminal state."""
        with self.lock:
            row = self.suppressions.get(key)
            until = None if row is None else self.suppressed_until(key, row)
            return row is not None and (until is None or until > now)

    def find_held(self, versions: Mapping[UUID, int], seconds: float, *, urgent: bool) -> HeldStreams:
        """Return that nobody holds anything: there is one writer."""
        del versions, seconds, urgent
        return HeldStreams()

    def newest_action(self, offer: OfferKey) -> NewestAction:
        """Return the action that began last, and the policy of its action map."""
        with self.lock:
            newest = self.offers.get(offer.id, VisitorOffer(offer.id)).newest
            if newest is None:
                return NewestAction()
            return NewestAction(newest, self.find_policy(offer.organization, offer.action_map_id))

    def events(self, offer: OfferKey) -> Sequence[RecordedEvent[Event]]:
        """Return the whole stream, in order."""
        with self.lock:
            return tuple(self._streams.get(offer.id, ()))

    def events_of_visitor(
        self, visitor_digest: UUID, action_map_id: UUID | None = None, behind: int = 0
    ) -> Generator[PlacedEvent]:
        """Stream the events of a visitor behind a position; of one action map if it is given."""
        with self.lock:
            visitor = self.visitors.of_digest(visitor_digest)
            events = () if visitor is None else tuple(self.events_in_order)
        newest: dict[UUID, RecordedEvent[Event]] = {}
        for position, sealed in events:
            event, stream = sealed.event, sealed.originator_id
            if visitor is None or token_of(stream) != visitor.token or isinstance(event, ServiceEvent):
                continue
            private = open_private(sealed.sealed)
            recorded = RecordedEvent(stream, sealed.originator_version, event, private)
            before = newest.get(stream) if isinstance(event, Offered) else None
            if isinstance(event, EventSinceOffer):
                newest[stream] = recorded
            if position > behind and action_map_id in {None, event.action_map_id}:
                yield PlacedEvent(position, recorded, before)

    def remembers_key(self, organization: str) -> bool:
        """Return True: memory is not waited for."""
        del organization
        return True

    def key(self, organization: str) -> OrganizationKey:
        """Return the organization's key, the same in every process; another one after a deletion."""
        with self.lock:
            key = self.keys.get(organization)
            if key is None:
                secret = sha256(b"%d %b" % (self._secrets_destroyed, organization.encode())).digest()
                key = self.keys[organization] = OrganizationKey(organization, secret)
            return key

    def is_current(self, key: OrganizationKey) -> bool:
        """Return False if the secret of a key was destroyed."""
        with self.lock:
            return self.keys.get(key.organization) is key

    def destroy_key(self, organization: str) -> bool:
        """Destroy the key of an organization, and raise the epoch; returns False if it has none."""
        with self.lock:
            if self.keys.pop(organization, None) is None:
                return False
            self.short_signals.forget_organization(organization)
            self._secrets_destroyed += 1
            self._epoch += 1
            return True

    def find_visitor(self, organization: str, key: VisitorKey) -> MemoryVisitor | None:
        """Return a visitor by the identity; None if no event was recorded of such a one."""
        with self.lock:
            names = self.keys.get(organization)
            return None if names is None else self.visitors.of_digest(names.digest(key))

    def forget_visitor(self, digest: UUID) -> MemoryVisitor | None:
        """Remove a visitor and the visitor-offers, not the events; returns None for an unknown visitor."""
        with self.lock:
            visitor = self.visitors.remove(digest)
            self.short_signals.forget_visitor(digest)
            for offer in [one for one in self.named.values() if one.visitor_digest == digest]:
                del self.named[offer.id]
                self.offers.pop(offer.id, None)
                self._streams.pop(offer.id, None)
            return visitor

    def forget_blocks(self, digest: UUID, until: datetime = _END) -> int:
        """Remove the names of a visitor's blocked offers that were counted until a time; returns how many."""
        with self.lock:
            found = [
                key
                for key, counted_at in self.counted_blocks_at.items()
                if key.visitor_digest == digest and counted_at <= until
            ]
            for key in found:
                del self.counted_blocks_at[key]
            return len(found)

    def forget_refusals(self, digest: UUID, until: datetime = _END) -> int:
        """Remove the texts of a visitor's refusals until a time, and whose they are; returns how many."""

        def is_meant(one: Refusal) -> bool:
            return one.visitor_digest == digest and one.recorded_at <= until

        with self.lock:
            found = {number: one for number, one in self.refusals.items() if is_meant(one)}
            self.refusals |= {number: _without_text(one) for number, one in found.items()}
            self.refusal_tallies = [
                _without_text(one) if is_meant(one) else one for one in self.refusal_tallies
            ]
            return len(found)

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
        listed, change = suppressions(page), current_state(page)
        for key in listed.offered_again:
            self.suppressions.pop(key, None)
        self.suppressions |= listed.added
        over, erased = set(change.over), set(change.erased)
        self.parked = {place: row for place, row in self.parked.items() if place not in over}
        self.parked.update(change.parked)
        if erased:
            self.suppressions = {
                key: row for key, row in self.suppressions.items() if key.visitor not in erased
            }
            self.parked = {place: row for place, row in self.parked.items() if row.visitor not in erased}

    def _within_quota(self, refusal: Refusal) -> Refusal:
        """The refusal, without its text where the organization's quota of that day is used up."""
        day = refusal.organization, refusal.recorded_at.date()
        used = self._text_bytes.get(day, 0) + len(refusal.raw)
        if used > self._policy.text_bytes_a_day:
            length = len(refusal.raw) if refusal.raw_length is None else refusal.raw_length
            return replace(refusal, raw=b"", raw_length=length)
        self._text_bytes[day] = used
        return refusal


def _without_text(refusal: Refusal) -> Refusal:
    length = len(refusal.raw) if refusal.raw_length is None else refusal.raw_length
    return replace(refusal, raw=b"", raw_length=length, visitor_digest=None)
