"""Single offers and their ends, of a log in memory: each read goes over the whole log."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from offerlog_application.ports.offer_reads import (
    BlockedCount,
    BlockedCounts,
    CohortCounts,
    CohortTimes,
    ListedOffer,
    ListPlace,
    MapCounts,
    MapVersion,
    OfferNumber,
    OfferOfVisitor,
    OfferPage,
)
from offerlog_application.ports.performance_counts import ReportQuery, RowCounts
from offerlog_application.projections.performance import BlockedKey
from offerlog_application.projections.slots import counted_slot, slot
from offerlog_application.projections.suppression import SuppressionKey
from offerlog_application.reading.step_times import measure_times
from offerlog_domain.events import EventSinceOffer, LifecycleEvent, OfferRefused
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import LIFECYCLES, Stage, State
from offerlog_domain.metrics import Cohort, CountBy, OfferEnd
from offerlog_domain.stream_ids import token_of
from offerlog_domain.uuids import format_uuid, parse_uuid
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.visitors import open_private

_STEPS: Final = (State.ACCEPTED, State.STARTED, State.ENGAGED)
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Action:
    """An action, as the log tells it."""

    stream: UUID
    newest: LifecycleEvent
    reached: dict[State, datetime] = field(default_factory=dict)
    touched_at: datetime = _BEFORE_ALL

    @property
    def action_map_id(self) -> ActionMapId:
        return ActionMapId(format_uuid(self.newest.action_map_id))

    @property
    def is_over(self) -> bool:
        return LIFECYCLES[self.newest.media_type].is_final(self.newest.state)

    @property
    def place(self) -> tuple[str, datetime, UUID, int]:
        return self.action_map_id, self.newest.offered_at, self.stream, self.newest.action_number


class MemoryOfferReads:
    """The application's `OfferReads`; thread-safe."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def cohort(self, query: ReportQuery, touched_after: datetime, most: int | None) -> CohortCounts:
        """Count the actions that were offered in a range; at most `most` maps and one more."""
        with self._log.lock:
            counted = self._count(query, most)
            states = {action_map: counts.states for action_map, counts in counted.items()}
            media_types = {action_map: counts.media_types for action_map, counts in counted.items()}
            actions = [one for one in self._actions() if _is_asked(query, one)]
            forms = Counter(one.action_map_id for one in actions if one.newest.stage is Stage.FORM)
            newest = {one.stream: one for one in actions}
            still_open = Counter(
                one.action_map_id
                for one in newest.values()
                if not one.is_over
                and one.touched_at > touched_after
                and self._log.visitors.has_token(token_of(one.stream))
            )
            taken = Counter(
                one.action_map_id for one in actions if one.is_over and one.newest.state is State.ACCEPTED
            )
            return CohortCounts(self._log.last(), states, media_types, forms, still_open, taken)

    def map_counts(self, query: ReportQuery, most: int, *, by_version: bool) -> MapCounts:
        """Count the actions or visitors of a range, by map and media type, or also by version."""
        with self._log.lock:
            first, end = self._slots(query)
            counts = self._log.counts.map_counts(query, first, end, most, by_version=by_version)
            blocked: Counter[MapVersion] = Counter()
            if query.count_by is CountBy.ACTIONS:
                for key, number in self._blocked(replace(query, media_type=None)).items():
                    if query.media_type is None or key.media_type in {None, query.media_type}:
                        version = key.action_map_version if by_version else None
                        blocked[MapVersion(_map_of(key), key.media_type, version)] += number
            unknown = {group.action_map_id for group in blocked if group.media_type is None}
            media_types = self._log.counts.media_types(query.organization, unknown)
            return MapCounts(self._log.last(), counts, dict(list(blocked.items())[: most + 1]), media_types)

    def blocked(self, query: ReportQuery, most: int, most_sessions: int) -> BlockedCounts:
        """Count the blocked offers of a range; sessions are counted up to a number of offers."""
        counts: Counter[tuple[ActionMapId | None, str | None]] = Counter()
        remembered: Counter[tuple[ActionMapId | None, str | None]] = Counter()
        visitors: defaultdict[tuple[ActionMapId | None, str | None], set[int]] = defaultdict(set)
        sessions: defaultdict[tuple[ActionMapId | None, str | None], set[UUID]] = defaultdict(set)
        with self._log.lock:
            of_any_type = self._blocked(replace(query, media_type=None))
            for key, number in self._blocked(query).items():
                for group in ((_map_of(key), key.reason), (None, key.reason), (None, None)):
                    counts[group] += number
            for _, recorded in self._log.events_in_order:
                event, token = recorded.event, token_of(recorded.originator_id)
                if not isinstance(event, OfferRefused) or not _is_blocked_in(query, event):
                    continue
                action_map, reason = ActionMapId(format_uuid(event.action_map_id)), event.reason.value
                for group in ((action_map, reason), (None, reason), (None, None)):
                    remembered[group] += 1
                    visitors[group].add(token)
                    if self._log.visitors.has_token(token):
                        sessions[group].add(open_private(recorded.sealed).session_id)
        is_counted = remembered[None, None] <= most_sessions
        groups = sorted(counts, key=lambda group: (group[0] or "", -counts[group], group[1] or ""))
        return BlockedCounts(
            self._log.last(),
            [
                BlockedCount(
                    *group,
                    counts[group],
                    remembered[group],
                    len(visitors[group]),
                    len(sessions[group]) if is_counted else None,
                )
                for group in groups[: most + 1]
                if counts[group]
            ],
            sum(number for key, number in of_any_type.items() if key.media_type is None),
            sessions if is_counted else {},
        )

    def _blocked(self, query: ReportQuery) -> Mapping[BlockedKey, int]:
        first = -(1 << 31) if query.start is None else slot(query.start)
        return self._log.counts.blocked(query, first, (1 << 31) - 1 if query.end is None else slot(query.end))

    def times(self, query: ReportQuery, most: int) -> CohortTimes | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""
        measured: defaultdict[ActionMapId | None, dict[State, list[float]]] = defaultdict(
            lambda: {step: [] for step in _STEPS}
        )
        with self._log.lock:
            actions = [
                one for one in self._listed() if _is_asked(query, one) and State.ACCEPTED in one.reached
            ]
            if len(actions) > most:
                return None
            for one in actions:
                for step in _STEPS:
                    if step in one.reached:
                        seconds = (one.reached[step] - one.newest.offered_at).total_seconds()
                        measured[one.action_map_id][step].append(seconds)
                        measured[None][step].append(seconds)
            return CohortTimes(
                self._log.last(),
                {
                    action_map: {step: measure_times(sorted(steps[step])) for step in _STEPS}
                    for action_map, steps in measured.items()
                },
            )

    def offers_behind(
        self, query: ReportQuery, number: OfferNumber, touched_after: datetime, behind: ListPlace, limit: int
    ) -> OfferPage:
        """Return a page of the offers behind a number, by action map and time of the offer."""
        with self._log.lock:
            counted = self._actions()
            newest = {one.stream: one for one in counted}
            counted = [
                one
                for one in counted
                if _is_behind(query, one, number)
                and (number.end is None or number.end is _end_of(one, newest[one.stream], touched_after))
            ]
            if query.count_by is CountBy.VISITORS:
                counted = _first_of_each_stream(counted)
            start = behind.action_map_id, behind.offered_at or _BEFORE_ALL, behind.stream, behind.number
            found = sorted(
                (
                    one
                    for one in counted
                    if self._log.visitors.has_token(token_of(one.stream)) and one.place > start
                ),
                key=lambda one: one.place,
            )
            page = found[:limit]
            offers = [self._listed_offer(one, number) for one in page]
        place = None
        if len(found) > limit:
            action_map, offered_at, stream, action = page[-1].place
            place = ListPlace(action_map, 0, offered_at, stream, action)
        return OfferPage(self._log.last(), len(counted), offers, place)

    def offers_of_visitor(
        self,
        organization: str,
        visitor_digest: UUID,
        behind: ActionMapId | None,
        limit: int,
        *,
        now: datetime,
    ) -> Sequence[OfferOfVisitor]:
        """Return the visitor-offers of a visitor, sorted by action map, after `behind` if given.

        Suppressions are those at the time `now`.
        """
        with self._log.lock:
            visitor = self._log.visitors.of_digest(visitor_digest)
            if visitor is None:
                return []
            newest = {one.stream: one for one in self._listed() if token_of(one.stream) == visitor.token}
            blocked = Counter(
                recorded.originator_id
                for _, recorded in self._log.events_in_order
                if isinstance(recorded.event, OfferRefused)
            )
            names = self._log.counts.names(organization, [one.action_map_id for one in newest.values()])
            found = [
                OfferOfVisitor(
                    one.action_map_id,
                    names.get(one.action_map_id),
                    one.newest.state,
                    one.newest.stage,
                    one.newest.occurred_at,
                    one.newest.action_number,
                    self._log.is_suppressed(
                        SuppressionKey(visitor.token, parse_uuid(one.action_map_id)), now
                    ),
                    blocked[one.stream],
                )
                for one in newest.values()
                if behind is None or one.action_map_id > behind
            ]
        return sorted(found, key=lambda one: one.action_map_id)[:limit]

    def is_known(self, organization: str, visitor_digest: UUID) -> bool:
        """Return whether an event, a refused signal or a counted blocked offer of the visitor is held."""
        del organization  # the digest is keyed by it
        with self._log.lock:
            known = {one.visitor_digest for one in self._log.refusals.values()}
            known |= {key.visitor_digest for key in self._log.counted_blocks_at}
            return visitor_digest in known or self._log.visitors.of_digest(visitor_digest) is not None

    def _count(self, query: ReportQuery, most: int | None) -> Mapping[ActionMapId, RowCounts]:
        first, end = self._slots(query)
        if first >= end:
            return {}
        counted = self._log.counts.counts(query, first, end, [(first, 0)], most)
        return {action_map: counts for (action_map, _), counts in counted.items()}

    def _slots(self, query: ReportQuery) -> tuple[int, int]:
        """Return the slots of a query's range in which anything may have been counted."""
        first, end = self._log.counts.slots(query)
        first = first if query.start is None else max(first, slot(query.start))
        return first, end if query.end is None else min(end, slot(query.end))

    def _actions(self) -> Sequence[_Action]:
        """Return every action of the log, in the order of their offers' positions."""
        found: dict[tuple[UUID, int], _Action] = {}
        for _, recorded in self._log.events_in_order:
            event = recorded.event
            if isinstance(event, EventSinceOffer):
                key = recorded.originator_id, event.action_number
                action = found.setdefault(key, _Action(recorded.originator_id, event))
                action.newest = event
                action.reached[event.state] = event.occurred_at
                action.touched_at = max(action.touched_at, event.occurred_at, event.recorded_at)
        return list(found.values())

    def _listed(self) -> Iterator[_Action]:
        """Yield the actions of visitors who were not erased."""
        for one in self._actions():
            if self._log.visitors.has_token(token_of(one.stream)):
                yield one

    def _listed_offer(self, one: _Action, number: OfferNumber) -> ListedOffer:
        visitor = self._log.visitors.of_token(token_of(one.stream)).key
        return ListedOffer(
            visitor.id,
            visitor.type,
            one.action_map_id,
            one.newest.action_number,
            one.newest.state,
            one.newest.occurred_at if number.end is not None else one.reached[number.state],
            one.newest.offered_at,
        )


def _is_asked(query: ReportQuery, one: _Action) -> bool:
    """Return whether a query is about an action, by the time of its offer."""
    return _is_of(query, one) and _is_within(query, one.newest.offered_at)


def _is_behind(query: ReportQuery, one: _Action, number: OfferNumber) -> bool:
    """Return whether an action is one of those that a number counts, whatever its end."""
    is_of = number.state in one.reached and _is_of(query, one)
    if not is_of or number.stage not in {None, one.newest.stage}:
        return False
    by_offer = query.cohort is Cohort.OFFERED
    return _is_within(query, one.newest.offered_at if by_offer else one.reached[number.state])


def _first_of_each_stream(actions: Sequence[_Action]) -> list[_Action]:
    first: dict[UUID, _Action] = {}
    for one in sorted(actions, key=lambda action: action.newest.action_number):
        first.setdefault(one.stream, one)
    return list(first.values())


def _end_of(one: _Action, newest: _Action, touched_after: datetime) -> OfferEnd | None:
    """Return whether an action is open or lapsed; None where it is over."""
    if one.is_over:
        return None
    return OfferEnd.OPEN if one is newest and one.touched_at > touched_after else OfferEnd.LAPSED


def _is_of(query: ReportQuery, one: _Action) -> bool:
    asked = not query.action_maps or one.action_map_id in query.action_maps
    asked &= query.media_type in {None, one.newest.media_type}
    return asked and one.newest.organization == query.organization


def _map_of(key: BlockedKey) -> ActionMapId:
    return ActionMapId(format_uuid(key.action_map_id))


def _is_blocked_in(query: ReportQuery, event: OfferRefused) -> bool:
    asked = not query.action_maps or format_uuid(event.action_map_id) in query.action_maps
    asked &= query.media_type in {None, event.media_type}
    return asked and event.organization == query.organization and _is_within(query, event.occurred_at)


def _is_within(query: ReportQuery, moment: datetime) -> bool:
    at = counted_slot(moment)
    return (query.start is None or slot(query.start) <= at) and (query.end is None or at < slot(query.end))
