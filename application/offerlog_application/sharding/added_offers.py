"""The offers of all shards: counts that add up, times that are measured together, lists that are merged."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import merge
from typing import Final, TypeVar
from uuid import UUID

from offerlog_application.ports.offer_parts import AskedNumber, OfferParts, OfferRows
from offerlog_application.ports.offer_reads import (
    BlockedCount,
    BlockedCounts,
    CohortCounts,
    CohortTimes,
    ListPlace,
    MapCounts,
    MapVersion,
    OfferNumber,
    OfferPage,
)
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import latest_position
from offerlog_application.reading.offer_lists import list_offers, parts_of_list
from offerlog_application.reading.step_times import measure_times
from offerlog_application.sharding.ports_of_visitors import RoutedOffers
from offerlog_application.sharding.router import Shard
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import CountBy

K = TypeVar("K", bound=Hashable)

_STEPS: Final = (State.ACCEPTED, State.STARTED, State.ENGAGED)
_Group = tuple[ActionMapId | None, str | None]


class AddedOffers(RoutedOffers):
    """The application's `OfferReads` over several shards; thread-safe.

    A visitor-offer lies on one shard, so its actions, visitors and ends add up. Sessions and times do not:
    the shards give the sessions and the times themselves. Positions are those of all shards. Whatever is
    about all visitors raises `ShardUnavailableError` if a shard cannot be reached.
    """

    def cohort(self, query: ReportQuery, touched_after: datetime, most: int | None) -> CohortCounts:
        """Count the actions that were offered in a range; more than `most` maps if there are more."""
        found = self._router.ask_all(lambda shard: shard.store.offers.cohort(query, touched_after, most))
        media_types: defaultdict[ActionMapId, set[str]] = defaultdict(set)
        for one in found:
            for action_map, some in one.media_types.items():
                media_types[action_map].update(some)
        return CohortCounts(
            latest_position(one.position for one in found) or 0,
            _add_states(one.states for one in found),
            media_types,
            _add(one.form_rejections for one in found),
            _add(one.still_open for one in found),
            _add(one.taken for one in found),
        )

    def map_counts(self, query: ReportQuery, most: int, *, by_version: bool) -> MapCounts:
        """Count the actions or visitors of a range, by map and media type, or also by version."""
        found = self._router.ask_all(
            lambda shard: shard.store.offers.map_counts(query, most, by_version=by_version)
        )
        counts: Mapping[MapVersion, Mapping[State, int]] = _add_states(one.counts for one in found)
        blocked: Mapping[MapVersion, int] = _add(one.blocked for one in found)
        if query.count_by is CountBy.VISITORS or len(counts) > most:
            blocked = {}
        # A shard with such blocked offers need not know the actions of their map.
        unknown = sorted({group.action_map_id for group in blocked if group.media_type is None})
        media_types: defaultdict[ActionMapId, set[str]] = defaultdict(set)
        if unknown:
            for known in self._router.ask_all(lambda shard: _parts(shard).media_types(query, unknown)):
                for action_map, some in known.items():
                    media_types[action_map].update(some)
        position = latest_position(one.position for one in found) or 0
        return MapCounts(position, counts, blocked, media_types)

    def blocked(self, query: ReportQuery, most: int, most_sessions: int) -> BlockedCounts:
        """Count the blocked offers of a range; sessions are counted up to a number of remembered offers."""
        found = self._router.ask_all(lambda shard: shard.store.offers.blocked(query, most, most_sessions))
        sessions: defaultdict[_Group, set[UUID]] = defaultdict(set)
        added: dict[_Group, BlockedCount] = {}
        for of_shard in found:
            for group, some in of_shard.sessions.items():
                sessions[group].update(some)
            for one in of_shard.counts:
                group = one.action_map_id, one.reason
                known = added.get(group, BlockedCount(*group, 0, 0, 0))
                added[group] = BlockedCount(
                    *group,
                    known.blocked + one.blocked,
                    known.remembered + one.remembered,
                    known.visitors + one.visitors,
                )
        everything = added.get((None, None))
        is_counted = everything is None or everything.remembered <= most_sessions
        return BlockedCounts(
            latest_position(one.position for one in found) or 0,
            [
                one._replace(sessions=len(sessions.get(group, ())) if is_counted else None)
                for group, one in added.items()
            ],
            sum(one.unknown_media_type for one in found),
            sessions if is_counted else {},
        )

    def times(self, query: ReportQuery, most: int) -> CohortTimes | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""
        found = self._router.ask_all(lambda shard: _parts(shard).seconds(query, most))
        measured = [one for one in found if one is not None]
        steps: defaultdict[ActionMapId | None, dict[State, array[float]]] = defaultdict(
            lambda: {step: array("d") for step in _STEPS}
        )
        for one in measured:
            for action_map, seconds in one.seconds.items():
                for step, some in seconds.items():
                    steps[action_map][step].extend(some)
                    steps[None][step].extend(some)
        if len(measured) < len(found) or len(steps[None][State.ACCEPTED]) > most:
            return None
        return CohortTimes(
            latest_position(one.position for one in measured) or 0,
            {
                action_map: {step: measure_times(sorted(some)) for step, some in seconds.items()}
                for action_map, seconds in steps.items()
            },
        )

    def offers_behind(
        self, query: ReportQuery, number: OfferNumber, touched_after: datetime, behind: ListPlace, limit: int
    ) -> OfferPage:
        """Return a page of the offers behind a number, by action map.

        An action has the same place in the list of every shard, also after its slice has moved.
        """
        asked = AskedNumber(query, number, touched_after)
        found = self._router.ask_all(lambda shard: _parts(shard).count_behind(asked))
        counts = _add(one.counts for one in found)

        def select(place: ListPlace, limit: int, most: int) -> OfferRows:
            of_map = replace(asked, query=replace(query, action_maps=(place.action_map_id,)))
            return _merge(
                self._router.ask_all(lambda shard: _parts(shard).some_behind(of_map, place, limit, most)),
                limit,
            )

        offers, place = list_offers(counts, len(parts_of_list(query, number)), behind, limit, select)
        position = latest_position(one.position for one in found) or 0
        return OfferPage(position, sum(counts.values()), offers, place)


def _parts(shard: Shard) -> OfferParts:
    assert shard.store.offer_parts is not None  # noqa: S101 - a log in memory is no shard
    return shard.store.offer_parts


def _add(counts: Iterable[Mapping[K, int]]) -> Mapping[K, int]:
    added: Counter[K] = Counter()
    for one in counts:
        added.update(one)
    return added


def _add_states(counts: Iterable[Mapping[K, Mapping[State, int]]]) -> Mapping[K, Mapping[State, int]]:
    added: defaultdict[K, Counter[State]] = defaultdict(Counter)
    for one in counts:
        for group, states in one.items():
            added[group].update(states)
    return added


def _merge(found: Sequence[OfferRows], limit: int) -> OfferRows:
    """Merge the rows of all shards, as far as each of them was looked at."""
    looked_to = min((one.looked_to for one in found if one.looked_to is not None), default=None)
    merged = [
        row
        for row in merge(*(one.rows for one in found), key=lambda row: row[0])
        if looked_to is None or row[0] <= looked_to
    ]
    if len(merged) > limit:
        merged = merged[:limit]
        looked_to = merged[-1][0]
    return OfferRows(
        latest_position(one.position for one in found) or 0,
        sum(one.count for one in found),
        merged,
        looked_to,
    )
