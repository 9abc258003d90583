"""The counts of all shards, added up. A visitor lies on one shard, so distinct visitors add up as well."""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final

from offerlog_application.ports.performance_counts import ReportQuery, RowCounts
from offerlog_application.projections.slots import join_spans
from offerlog_application.sharding.router import AsksAll, Shard
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State

_MOST_NAMED: Final = 10
_NAMES_AT_ONCE: Final = 1_000


class AddedCounts:
    """The application's `PerformanceSource` over several shards; thread-safe.

    Every method raises `ShardUnavailableError` if a shard cannot be reached: what it has would be missing.
    """

    def __init__(self, router: AsksAll) -> None:
        self._router = router

    def slots(self, query: ReportQuery) -> tuple[int, int]:
        """Return the bounds of all days with counts; (0, 0) without any."""
        found = [
            one
            for one in self._router.ask_all(lambda shard: shard.store.performance.slots(query))
            if any(one)
        ]
        return (min(first for first, _ in found), max(end for _, end in found)) if found else (0, 0)

    def spans(self, query: ReportQuery, first: int, end: int, gap_days: int) -> Sequence[tuple[int, int]]:
        """Return the parts of [first, end) with anything in them on some shard, ascending."""
        found = self._router.ask_all(lambda shard: shard.store.performance.spans(query, first, end, gap_days))
        return join_spans(sorted(span for one in found for span in one), gap_days)

    def counts(
        self,
        query: ReportQuery,
        first: int,
        end: int,
        stretches: Sequence[tuple[int, int]],
        most: int | None,
    ) -> Mapping[tuple[ActionMapId, int], RowCounts]:
        """Return the counts of [first, end) by map and bucket number."""
        states: dict[tuple[ActionMapId, int], Counter[State]] = {}
        media_types: dict[tuple[ActionMapId, int], set[str]] = {}
        for found in self._router.ask_all(
            lambda shard: shard.store.performance.counts(query, first, end, stretches, most)
        ):
            for key, counts in found.items():
                states.setdefault(key, Counter()).update(counts.states)
                media_types.setdefault(key, set()).update(counts.media_types)
        return {key: RowCounts(states[key], media_types[key]) for key in states}

    def names(self, organization: str, action_maps: Sequence[ActionMapId]) -> Mapping[ActionMapId, str]:
        """Return the newest known display names of these maps, of all shards."""
        newest = self.dated_names(organization, action_maps)
        return {one: name for one, (_, name) in newest.items()}

    def dated_names(
        self, organization: str, action_maps: Sequence[ActionMapId]
    ) -> Mapping[ActionMapId, tuple[datetime, str]]:
        """Return the newest known display names of these maps, each with the time of its signal."""
        newest: dict[ActionMapId, tuple[datetime, str]] = {}
        for found in self._router.ask_all(
            lambda shard: shard.store.performance.dated_names(organization, action_maps)
        ):
            for one, name in found.items():
                newest[one] = max(name, newest.get(one, name))
        return newest

    def maps_named(self, organization: str, name: str) -> Sequence[ActionMapId]:
        """Return the maps with this newest known name, sorted by id; at most ten of them."""
        candidates = {
            one
            for found in self._router.ask_all(
                lambda shard: shard.store.performance.maps_named(organization, name)
            )
            for one in found
        }
        names = self.names(organization, sorted(candidates))
        return [one for one in sorted(candidates) if names.get(one) == name][:_MOST_NAMED]

    def action_maps(
        self, organization: str, behind: ActionMapId | None = None
    ) -> Generator[tuple[ActionMapId, str | None]]:
        """Stream the maps with counts on some shard, by id, with their newest known names.

        Each page is read while all slices are there: a map may have counts in one slice alone, which moves.
        """
        while True:
            pages = self._router.ask_all(partial(_read_page, organization, behind))
            end = min((page[-1] for page in pages if len(page) == _NAMES_AT_ONCE), default=None)
            found = sorted({one for page in pages for one in page if end is None or one <= end})
            yield from self._named(organization, found)
            if end is None:
                return
            behind = end

    def _named(
        self, organization: str, page: Sequence[ActionMapId]
    ) -> Sequence[tuple[ActionMapId, str | None]]:
        names = self.names(organization, page) if page else {}
        return [(one, names.get(one)) for one in page]


def _read_page(organization: str, behind: ActionMapId | None, shard: Shard) -> Sequence[ActionMapId]:
    found = shard.store.performance.action_maps(organization, behind)
    return [one for one, _ in islice(found, _NAMES_AT_ONCE)]
