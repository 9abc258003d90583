"""Long reads of all shards, during which no slice may move."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from offerlog_application.ports.shards import HOME, SliceInMotionError
from offerlog_application.sharding.in_motion import (
    ADDING_SECONDS,
    Patience,
    find_changed,
    find_in_motion,
)
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.errors import OfferlogError


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
