"""The logs of all shards in slices, for a replay elsewhere: each shard with what it holds now."""

from collections.abc import Iterator, Mapping, Sequence

from offerlog_application.ports.shards import HOME, SliceInMotionError
from offerlog_application.ports.slices import LiveProjections, SliceBounds, SliceSource, StoredRow
from offerlog_application.sharding.in_motion import find_in_motion
from offerlog_application.sharding.router import Router, Shard


class SlicesOfShards:
    """The application's `SliceSources` over several shards; thread-safe.

    Each method raises `ShardUnavailableError` if a shard cannot be reached.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def all(self) -> Mapping[int, SliceSource]:
        """Return the log of each shard by its number."""
        return {shard.number: _SlicesOfShard(self._router, shard) for shard in self._router.all()}

    def read_placement(self) -> Mapping[int, Sequence[int]]:
        """Return the epochs of the slices on each shard: they change whenever a slice moves.

        Raises:
            SliceInMotionError: A slice is on its way, or its rows are on two shards.
        """
        shards = self._router.all()
        held = self._router.read_held(shards)
        moving = {*find_in_motion(held)}.union(*(one.leaving for one in held))
        if moving:
            raise SliceInMotionError(HOME, sorted(moving))
        return {shard.number: [*one.epochs] for shard, one in zip(shards, held, strict=True)}


class _SlicesOfShard:
    """The `SliceSource` of one shard, whose errors name it.

    Args:
        router: Finds the shards.
        shard: The shard.
    """

    def __init__(self, router: Router, shard: Shard) -> None:
        self._router = router
        self._shard = shard

    @property
    def _source(self) -> SliceSource:
        assert self._shard.service.slices is not None  # noqa: S101 - its log is not in memory
        (source,) = self._shard.service.slices.all().values()
        return source

    def live(self) -> LiveProjections:
        """Read the live projections of the shard, all at one moment."""
        return self._router.ask(self._shard, lambda _: self._source.live())

    def name_store(self) -> str:
        """Return what tells the store from others."""
        return self._router.ask(self._shard, lambda _: self._source.name_store())

    def code(self) -> str:
        """Return a digest of the code that decides what a projection holds."""
        return self._source.code()

    def divide(self, position: int) -> Sequence[SliceBounds]:
        """Divide the streams that the shard holds."""
        return self._router.ask(self._shard, lambda _: self._source.divide(position))

    def read(self, bounds: SliceBounds, position: int) -> Iterator[Sequence[StoredRow]]:
        """Read the events of a slice up to a position, and foreign ones."""
        return self._router.stream(self._shard, self._source.read(bounds, position))
