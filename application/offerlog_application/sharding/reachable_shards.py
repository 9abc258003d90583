"""Answers of the shards that can be reached, for callers who ask for it: the missing slices are told."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.shards import HeldSlices, ShardUnavailableError
from offerlog_application.sharding.in_motion import ADDING_SECONDS, Patience, find_changed
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.stream_ids import SLICES

T = TypeVar("T")


class ReachableShards:
    """Asks the shards that can be reached, and remembers the slices that they do not have.

    For one answer of one caller: each of its reads may add missing slices, and none takes one away.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._missing: set[int] = set()

    @property
    def missing(self) -> Sequence[int]:
        """The slices that some answer so far lacks, ascending."""
        return sorted(self._missing)

    def ask_all(self, ask: Callable[[Shard], T]) -> Sequence[T]:
        """Ask the shards that can be reached for what adds up, as `Router.ask_all` asks all of them.

        Raises:
            SliceInMotionError: Slices move, and some have been there twice for some seconds.
            ShardUnavailableError: No shard can be reached.
        """
        patience = Patience(ADDING_SECONDS)
        while True:
            shards, before = self._find()
            counted = Counter(one for held in before for one in (*held.owned, *held.leaving))
            changed: Sequence[int] = [one for one in range(SLICES) if counted[one] > 1]
            if not changed:
                try:
                    answers = [self._router.ask(shard, ask) for shard in shards]
                    after = [self._router.ask(shard, lambda one: one.read_held()) for shard in shards]
                except ShardUnavailableError:  # since a moment ago: the others are asked again
                    patience.pause(self._router.map, range(SLICES))
                    continue
                if after == before:
                    self._missing |= {*range(SLICES)} - counted.keys()
                    return answers
                changed = find_changed(before, after)
            patience.pause(self._router.map, changed)

    def catch_up(self, timeout: float) -> None:
        """Wait until the projections of the shards that can be reached show what is in their logs now."""
        for shard in self._find()[0]:
            with suppress(StoreUnavailableError):
                shard.waits.wait(self._router.ask(shard, lambda one: one.store.log.last()), timeout)

    def _find(self) -> tuple[Sequence[Shard], Sequence[HeldSlices]]:
        """Return the shards that can be reached, and the slices that each of them has.

        Raises:
            ShardUnavailableError: There is none.
        """
        with suppress(StoreUnavailableError):  # else by the map as it was read last
            self._router.read_map()
        shards: list[Shard] = []
        held: list[HeldSlices] = []
        error: ShardUnavailableError | None = None
        for number in self._router.map.numbers:
            try:
                shard = self._router.get(number)
                held.append(self._router.ask(shard, lambda one: one.read_held()))
            except ShardUnavailableError as unavailable:
                error = unavailable
            else:
                shards.append(shard)
        if not shards and error is not None:
            raise error
        return shards, held
