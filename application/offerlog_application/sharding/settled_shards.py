"""Long reads of all shards, during which no slice may move."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from offerlog_application.ports.shards import HOME, SliceInMotionError
from offerlog_application.sharding.in_motion import (
    ADDING_SECONDS,
    Patience,
    find_changed,
    find_in_motion,
)
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.errors import OfferlogError

T = TypeVar("T")


@contextmanager
def settled_shards(router: Router) -> Iterator[Sequence[Shard]]:
    """Lend all shards, the home first; waits some seconds for a slice that is on its way.

    It keeps nobody from moving a slice, unlike `Router.keeping_slices`, and disturbs nobody.

    Raises:
        SliceInMotionError: A slice has moved meanwhile, so what was read may not be all. It takes the place
            of an error of the block, which may be due to that.
        ShardUnavailableError: One of the shards cannot be reached.
    """
    patience = Patience(ADDING_SECONDS)
    shards = router.all()
    before = router.read_held(shards)
    while in_motion := find_in_motion(before):
        patience.pause(router.map, in_motion)
        before = router.read_held(shards)
    try:
        yield shards
    except OfferlogError as error:
        if changed := find_changed(before, router.read_held(shards)):
            raise SliceInMotionError(HOME, changed) from error
        raise
    if changed := find_changed(before, router.read_held(shards)):
        raise SliceInMotionError(HOME, changed)


def stream_all(router: Router, shards: Sequence[Shard], ask: Callable[[Shard], Iterable[T]]) -> Generator[T]:
    """Stream the rows of some shards, one shard after the other.

    Raises:
        SliceInMotionError: A slice has moved meanwhile: what came before is not all, or has rows twice.
        ShardUnavailableError: One of them cannot be reached; likewise.
    """
    with settled_shards(router):
        for shard in shards:
            yield from router.stream(shard, ask(shard))
