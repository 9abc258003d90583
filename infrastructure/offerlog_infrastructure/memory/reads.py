"""Lists, look-ups and positions in memory."""

from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import OrganizationContent
from offerlog_application.ports.positions import LogPosition, only_position
from offerlog_application.ports.read_models import (
    MAX_SUPPRESSIONS,
    Freshness,
    KeptSignal,
    ProjectionStatus,
    Suppression,
    TooManySuppressionsError,
    UnknownVisitorError,
)
from offerlog_application.projections.current_state import ParkedRow, deadline_of
from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow
from offerlog_domain.identity import ActionMapId, OfferKey, VisitorKey, name_offer
from offerlog_domain.service_events import BlockedTally, ServiceEvent
from offerlog_domain.stream_ids import ALL_TOKENS, tokens_of_slice
from offerlog_domain.uuids import format_uuid
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.visitors import open_private

PROJECTIONS = ("current_state", "performance", "suppression")


class MemoryReads:
    """The application's `ReadSide`, `Organizations` and `Changes`; thread-safe.

    A method has the errors of the method of `ReadSide`, and those that it names.
    """

    def __init__(self, log: MemoryLog, clock: Clock | None = None) -> None:
        self._log = log
        self._clock = clock or SystemClock()
        self.known: set[str] = set()

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """Return the suppressions of a visitor, sorted by action map."""
        return self.suppressions_of_visitors(organization, [visitor])[visitor]

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """Return the suppressions of many visitors. Each visitor has an entry."""
        found: dict[VisitorKey, list[Suppression]] = {visitor: [] for visitor in visitors}
        now = self._clock.now()
        with self._log.lock:
            known = {one: self._log.find_visitor(organization, one) for one in found}
            tokens = {visitor.token: key for key, visitor in known.items() if visitor is not None}
            for key, row in sorted(self._log.suppressions.items(), key=_action_map):
                if key.visitor in tokens and self._log.is_suppressed(key, now):
                    visitor = tokens[key.visitor]
                    found[visitor].append(self._suppression(visitor, key, row))
        if sum(len(found[visitor]) for visitor in visitors) > MAX_SUPPRESSIONS:
            raise TooManySuppressionsError
        return found

    def suppressions_of_action_map(
        self,
        organization: str,
        action_map_id: ActionMapId,
        behind: VisitorKey | None = None,
        *,
        of_slice: int | None = None,
    ) -> Generator[Suppression]:
        """Stream the suppressions of an action map, or of a slice of it, sorted by token, after `behind`."""
        low, high = ALL_TOKENS if of_slice is None else tokens_of_slice(of_slice)
        start = None if behind is None else self._log.find_visitor(organization, behind)
        if behind is not None and start is None:
            raise UnknownVisitorError
        now = self._clock.now()
        with self._log.lock:
            rows = [
                (key, row)
                for key, row in sorted(self._log.suppressions.items())
                if low <= key.visitor <= high and self._log.is_suppressed(key, now)
            ]
            visitors = {key.visitor: self._log.visitors.of_token(key.visitor).key for key, _ in rows}
        for key, row in rows:
            where = row.organization, format_uuid(key.action_map_id)
            if where == (organization, action_map_id) and (start is None or key.visitor > start.token):
                yield self._suppression(visitors[key.visitor], key, row)

    def parked(
        self, organization: str, *, behind: tuple[datetime, int] | None = None
    ) -> Generator[KeptSignal]:
        """Stream the signals that wait for their action, in order of arrival; short ones come last."""
        with self._log.lock:
            rows = sorted(self._log.parked.values(), key=lambda row: (row.parked_at, row.position))
        for row in rows:
            if row.organization == organization and (not behind or (row.parked_at, row.position) > behind):
                raw = open_private(row.sealed).raw or b""
                length = len(raw) if row.raw_length is None else row.raw_length
                yield KeptSignal(row.parked_at, None, None, None, raw, length, row.position)
        for one in self._log.short_signals.waiting(organization):
            yield KeptSignal(one.parked_at, None, None, None, one.raw, one.raw_length or len(one.raw))

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[OfferKey] = (),
    ) -> Sequence[OfferKey]:
        """Return visitor-offers with an overdue invitation or an overdue parked signal."""
        excluded = {offer.id for offer in besides}
        with self._log.lock:
            waiting = {
                self._name(row).id for row in self._log.parked.values() if row.parked_at <= parked_before
            }
            due = [
                self._log.named[offer_id]._replace(visitor=None)  # as in a store, which knows the digest
                for offer_id, offer in self._log.offers.items()
                if offer_id not in excluded and (offer_id in waiting or _is_timed_out(offer, deadline_before))
            ]
        return due[:limit]

    def status(self) -> Sequence[ProjectionStatus]:
        """Return the position of every projection; none is ever behind."""
        return [ProjectionStatus(name, self.position(), 0, 0.0) for name in PROJECTIONS]

    def freshness(self) -> Freshness:
        """Return the position of the suppression list, which is never behind."""
        return Freshness(self.position(), 0.0, 0)

    def position(self) -> int:
        """Return the last position of the log: the projections have reached it."""
        return self._log.last()

    def close(self) -> None:
        """Nothing is held."""

    def _suppression(self, visitor: VisitorKey, key: SuppressionKey, row: SuppressionRow) -> Suppression:
        return Suppression(
            visitor.id,
            visitor.type,
            format_uuid(key.action_map_id),
            row.state.value,
            format_uuid(open_private(row.sealed).action_id),
            row.since,
            self._log.suppressed_until(key, row),
        )

    def _name(self, row: ParkedRow) -> OfferKey:
        visitor = self._log.visitors.of_token(row.visitor)
        return name_offer(visitor.organization, visitor.digest, row.action_map_id)

    def names(self) -> Sequence[str]:
        """List all organizations, sorted."""
        with self._log.lock:
            return sorted({*self._log.keys, *self.known})

    def contents(self) -> Sequence[OrganizationContent]:
        """Count what is held of each organization, sorted by name; keys are not counted."""
        with self._log.lock:
            visitors = Counter(one.organization for one in self._log.visitors.all())
            refusals = Counter(one.organization for one in self._log.refusals.values())
        return [OrganizationContent(name, visitors[name], refusals[name], 0) for name in self.names()]

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations that a signal came for; sorted."""
        names = self.names()
        with self._log.lock:
            counted = {one for one in names if self._log.counts.maps(one)}
            refused = {refusal.organization for refusal in self._log.refusals.values()}
            return sorted(counted | refused | {row.organization for row in self._log.parked.values()})

    def register(self, organization: str) -> None:
        """Make an organization known before anything is recorded for it; again changes nothing."""
        self._log.key(organization)

    def changed_maps(self, behind: LogPosition, position: LogPosition) -> Mapping[str, set[ActionMapId]]:
        """Return the action maps of the events in (behind, position], by organization."""
        changed: dict[str, set[ActionMapId]] = {}
        for _, recorded in self._log.events_in_order[only_position(behind) : only_position(position)]:
            event = recorded.event
            if isinstance(event, ServiceEvent) and not isinstance(event, BlockedTally):
                continue  # it is about no action map
            changed.setdefault(event.organization, set()).add(ActionMapId(str(event.action_map_id)))
        return changed

    def known_maps(self, organization: str, action_maps: Collection[ActionMapId]) -> set[ActionMapId]:
        """Return those of the action maps that the organization has events or blocked offers of."""
        with self._log.lock:
            counts = self._log.counts
            return {*action_maps} & {*counts.maps(organization), *counts.blocked_maps(organization)}


def _action_map(one: tuple[SuppressionKey, SuppressionRow]) -> UUID:
    return one[0].action_map_id


def _is_timed_out(offer: VisitorOffer, before: datetime) -> bool:
    """Return True if the newest action is an unanswered invitation whose deadline is over."""
    deadline = None if offer.newest is None else deadline_of(offer.newest.events[-1].event)
    return deadline is not None and deadline <= before
