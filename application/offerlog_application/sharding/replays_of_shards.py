"""The logs of all shards as they stood at earlier positions, one in each log.

An event keeps its position when its slice moves, and a position says which log has recorded it. So each shard
leaves out what stands behind the end of that log, of all events that it holds by now, and the results add up:
whoever had a slice at that time does not matter (docs/decisions/0077).
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import TypeVar
from uuid import UUID

from offerlog_application.ports.positions import (
    SHARD_BITS,
    LogPosition,
    PositionVector,
    begin_of_shard,
    by_shard,
    latest_position,
    only_position,
    split_position,
)
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.replays import ReplayedEvent, ReplayedProjections
from offerlog_application.reading.log_times import find_by_time
from offerlog_application.sharding.added_counts import AddedCounts
from offerlog_application.sharding.router import Router, Shard
from offerlog_application.sharding.settled_shards import settled_shards
from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import State

T = TypeVar("T")


class ReplaysOfShards:
    """The application's `Replays` over several shards; thread-safe.

    A method has the errors of the method of `Replays`, and these:

    - `SliceInMotionError`: a slice is on its way, or has moved meanwhile;
    - `ShardUnavailableError`: a shard cannot be reached. Without its slices there is no answer.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def settle(self, position: LogPosition | None) -> LogPosition:
        """Return the position of the last event of each log up to a position, wherever it lies by now.

        A log without an event up to there is left out.
        """
        ends = None if position is None else split_position(position)

        def settle_held(shard: Shard) -> Sequence[int]:
            wanted = [_end_of(one) for one in self._router.map.numbers] if ends is None else ends
            return [only_position(shard.store.replays.settle(one)) for one in wanted]

        found = self._router.ask_all(settle_held)
        return latest_position(one for held in found for one in held if one) or 0

    def position_at(self, moment: datetime) -> LogPosition:
        """Return the position of the last event of each log that was recorded by a time."""
        ends = self.settle(None)
        with settled_shards(self._router) as shards:
            found = [self._find_by_time(shards, one, moment) for one in split_position(ends)]
        return self.settle(latest_position(found))

    def last_event(self, position: int) -> tuple[int, datetime] | None:
        """Return position and time of the last event of one log up to a position, wherever it lies by now."""
        return max(filter(None, self._router.ask_all(_reader_of_last(position))), default=None)

    def check_position(self, position: LogPosition) -> None:
        """Check that a position says of each log how far it went, all of them at one moment."""
        at = PositionVector(split_position(position))
        with settled_shards(self._router) as shards:
            self._check_logs(shards, position)
            for shard in shards:
                self._router.ask(shard, lambda one: one.store.replays.check_position(at))

    @contextmanager
    def replay(
        self, position: LogPosition, on_progress: Callable[[RebuildProgress], None]
    ) -> Iterator[ReplayedProjections]:
        """Build all projections of each shard as they stood then, one shard after the other, and add up."""
        with settled_shards(self._router) as shards, ExitStack() as held:
            self._check_logs(shards, position)
            at = PositionVector(split_position(position))

            def replay_one(shard: Shard) -> ReplayedProjections:
                return held.enter_context(shard.store.replays.replay(at, on_progress))

            replayed = {shard.number: self._router.ask(shard, replay_one) for shard in shards}
            proofs = _add_proofs([one for each in replayed.values() for one in each.proofs], position)
            yield ReplayedProjections(
                position, AddedCounts(_ReplayedShards(self._router, shards, replayed)), proofs
            )

    def events_of(
        self, organization: str, action_map_id: UUID, state: State, position: LogPosition
    ) -> Generator[ReplayedEvent]:
        """Stream the events of a map that reached a state, from all shards, in the order of positions.

        An error at the end says that what came before is not all, or has events twice.
        """
        at = PositionVector(split_position(position))
        with settled_shards(self._router) as shards, ExitStack() as held:
            self._check_logs(shards, position)
            found = [
                held.enter_context(
                    closing(
                        self._router.stream(
                            shard, shard.store.replays.events_of(organization, action_map_id, state, at)
                        )
                    )
                )
                for shard in shards
            ]
            yield from heapq.merge(*found, key=attrgetter("position"))

    def _check_logs(self, shards: Sequence[Shard], position: LogPosition) -> None:
        """Check that no log is left out which had events when the last ones up to a position were recorded.

        A position of before a server was added does not name its log.

        Raises:
            ArgumentError: One is left out.
        """
        ends = by_shard(position)
        found = [self._find_last(shards, one) for one in ends.values()]
        times = [one[1] for one in found if one is not None]
        if not times:
            return
        for shard in shards:
            if shard.number in ends:
                continue
            last = _end_of(shard.number)
            if self._find_by_time(shards, last, max(times)) > begin_of_shard(last):
                raise ArgumentError(
                    "as_of",
                    f"{position} does not say how far the log of shard {shard.number} went, which had events"
                    " by then: give all of a position, as `offerlog audit reports` shows it",
                )

    def _find_by_time(self, shards: Sequence[Shard], end: int, moment: datetime) -> int:
        """Return a position of a log up to which its events were recorded by a time; at first its begin."""
        begin = begin_of_shard(end)
        last = self._find_last(shards, end)
        if last is None:
            return begin
        return find_by_time(begin, last[0], moment, lambda one: self._find_last(shards, one))

    def _find_last(self, shards: Sequence[Shard], position: int) -> tuple[int, datetime] | None:
        read = _reader_of_last(position)
        return max(filter(None, (self._router.ask(one, read) for one in shards)), default=None)


class _ReplayedShards:
    """Asks the replayed projections of all shards, as a router asks the live ones.

    Args:
        router: Names a shard that cannot be reached.
        shards: The shards.
        replayed: What was replayed, by number of the shard.
    """

    def __init__(
        self, router: Router, shards: Sequence[Shard], replayed: Mapping[int, ReplayedProjections]
    ) -> None:
        self._router = router
        self._shards = [
            replace(one, store=replace(one.store, performance=replayed[one.number].performance))
            for one in shards
        ]

    def ask_all(self, ask: Callable[[Shard], T]) -> Sequence[T]:
        """Return the answers of all shards."""
        return [self._router.ask(shard, ask) for shard in self._shards]


def _end_of(shard: int) -> int:
    """Return the last position that a shard can ever give."""
    return (shard + 1 << SHARD_BITS) - 1


def _reader_of_last(position: int) -> Callable[[Shard], tuple[int, datetime] | None]:
    return lambda shard: shard.store.replays.last_event(position)


def _add_proofs(proofs: Sequence[Proof], position: LogPosition) -> Sequence[Proof]:
    """Add up the proofs of each projection; no two shards draw the same position."""
    of_name: dict[str, list[Proof]] = defaultdict(list)
    for one in proofs:
        of_name[one.projection].append(one)
    return [
        Proof(
            name,
            position,
            sum(one.events for one in found),
            str(sum(int(one.digest) for one in found)),
            sum(one.short_by for one in found),
            0,
        )
        for name, found in of_name.items()
    ]
