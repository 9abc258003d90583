"""The visitors with the newest activity of all shards.

The logs are read backward as *lanes*: one for each shard, with the events that it has recorded, wherever they
lie by now. Lanes are merged by the time of recording. A place in the list has a position of each lane, and so
stays the same when a slice moves.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from offerlog_application.ports.positions import (
    SHARD_BITS,
    LogPosition,
    by_shard,
    latest_position,
    shard_of_position,
)
from offerlog_application.ports.recent_parts import PlacedActivity, RecentParts
from offerlog_application.ports.recent_visitors import (
    RecentVisitor,
    RecentVisitorPage,
    VisitorsPlace,
    show_activity,
)
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.identity import VisitorKey

_EVENTS_AT_ONCE: Final = (500, 2_000, 5_000)
"""Number of events of a lane that each step of a page reads. The first one usually fills the page."""

_NEWEST: Final = datetime.max.replace(tzinfo=UTC)

_Activities = Sequence[PlacedActivity]


class _Step(NamedTuple):
    """Some of the next events of all lanes.

    Attributes:
        events: The events, the newest first.
        heads: The position of the first event of each lane that has any.
        up_to: The position in each lane at which the next step begins.
        is_end: True if there are no more.
    """

    events: _Activities
    heads: Mapping[int, int]
    up_to: Mapping[int, int]
    is_end: bool


class MergedVisitors:
    """The application's `RecentVisitors` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def recent(
        self, organization: str, behind: VisitorsPlace | None, limit: int, media_type: str | None = None
    ) -> RecentVisitorPage:
        """Return a page of the visitors of an organization, each with the newest event, newest first.

        Raises:
            ShardUnavailableError: A shard cannot be reached.
            SliceInMotionError: A slice has been on its way for some seconds.
        """
        begins = {lane: lane << SHARD_BITS for lane in self._router.newest_map().numbers}
        up_to = {lane: (lane + 1 << SHARD_BITS) - 1 for lane in begins}
        top: dict[int, int] = {}
        if behind is not None:  # of a shard that was added since, the list knows nothing
            up_to, top = {**begins, **by_shard(behind.up_to)}, {**begins, **by_shard(behind.top)}
        found: list[RecentVisitor] = []
        seen: list[PlacedActivity] = []
        began = up_to
        for most in _EVENTS_AT_ONCE:
            step = self._read_step(up_to, most)
            if behind is None and not top:
                top = {**begins, **step.heads}
                up_to = began = dict(top)
            spans = {lane: (last, top[lane]) for lane, last in up_to.items()}
            seen += step.events
            found += self._open(organization, step.events, spans, media_type)
            if len(found) > limit:
                shown = found[:limit]
                up_to = _go_on_behind(began, seen, shown[-1].position)
                return RecentVisitorPage(_join(top), shown, VisitorsPlace(_join(up_to), _join(top)))
            if step.is_end:
                return RecentVisitorPage(_join(top), found, None)
            up_to = dict(step.up_to)
        return RecentVisitorPage(_join(top), found, VisitorsPlace(_join(up_to), _join(top)))

    def _read_step(self, up_to: Mapping[int, int], most: int) -> _Step:
        """Read the next events of each lane from all shards, and merge them as far as all lanes are known."""
        lanes: dict[int, _Activities] = {}
        endless: set[int] = set()
        found = self._router.ask_all(lambda shard: _parts(shard).newest_events(up_to, most))
        for lane in up_to:
            parts = [one[lane] for one in found]
            full = [part[-1].position for part in parts if len(part) >= most]
            if full:
                endless.add(lane)
            lowest = max(full, default=0)
            rows = (row for part in parts for row in part if row.position >= lowest)
            lanes[lane] = sorted(rows, key=lambda row: row.position, reverse=True)
        events, behind = _merge(lanes, endless)
        rest = {
            lane: lane << SHARD_BITS
            for lane, rows in lanes.items()
            if lane not in endless and behind[lane] == len(rows)
        }
        taken = {lane: lanes[lane][count - 1].position - 1 for lane, count in behind.items() if count}
        heads = {lane: rows[0].position for lane, rows in lanes.items() if rows}
        return _Step(events, heads, {**up_to, **taken, **rest}, len(rest) == len(lanes))

    def _open(
        self,
        organization: str,
        events: _Activities,
        spans: Mapping[int, tuple[int, int]],
        media_type: str | None,
    ) -> Sequence[RecentVisitor]:
        """Return the visitors of these events who were not shown before, each with the newest event."""
        newest: dict[int, PlacedActivity] = {}
        for one in events:
            newest.setdefault(one.token, one)
        tokens = list(newest)
        if not tokens:
            return []
        visitors: dict[int, VisitorKey] = {}
        for known in self._router.ask_all(
            lambda shard: _parts(shard).open_visitors(organization, tokens, spans, media_type)
        ):
            visitors |= known
        return [
            show_activity(visitors[token], one.position, one.event)
            for token, one in newest.items()
            if token in visitors and one.event is not None
        ]


def _parts(shard: Shard) -> RecentParts:
    assert shard.store.recent_parts is not None  # noqa: S101 - a log in memory is no shard
    return shard.store.recent_parts


def _merge(
    lanes: Mapping[int, _Activities], endless: Collection[int]
) -> tuple[_Activities, Mapping[int, int]]:
    """Merge lanes by the time of recording, each in its own order.

    Args:
        lanes: The events of each lane, the newest first.
        endless: The lanes that have more events: where one of them ends, nothing else is known to come next.

    Returns:
        The events, and the number of those that were taken of each lane.
    """
    taken = dict.fromkeys(lanes, 0)
    moments = dict.fromkeys(lanes, _NEWEST)
    merged: list[PlacedActivity] = []
    while True:
        waiting = [lane for lane, rows in lanes.items() if taken[lane] < len(rows)]
        if not waiting or any(lane in endless and taken[lane] == len(lanes[lane]) for lane in lanes):
            return merged, taken
        for lane in waiting:
            event = lanes[lane][taken[lane]].event
            if event is not None:  # a damaged one counts as recorded with the one before
                moments[lane] = event.recorded_at
        lane = max(waiting, key=lambda one: (moments[one], one))
        merged.append(lanes[lane][taken[lane]])
        taken[lane] += 1


def _go_on_behind(up_to: Mapping[int, int], events: _Activities, position: int) -> dict[int, int]:
    """Return the place behind the event with a position, which is one of these."""
    place = dict(up_to)
    for one in events:
        place[shard_of_position(one.position)] = one.position - 1
        if one.position == position:
            break
    return place


def _join(positions: Mapping[int, int]) -> LogPosition:
    return latest_position(positions.values()) or 0
