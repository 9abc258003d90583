"""The refused and the parked signals of all shards, merged by their time and number.

No two shards draw the same number, and a signal keeps it when its slice moves. So a place in the list is the
same afterwards.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice, takewhile
from operator import attrgetter
from typing import Final
from uuid import UUID

from offerlog_application.ports.read_models import KeptSignal, Order
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.outcomes import Reason

_AT_ONCE: Final = 250
"""Signals that a shard is asked for at once: as many as a store reads."""

_Place = tuple[datetime, int]

_BEHIND_ALL: Final = datetime.max.replace(tzinfo=UTC), 0


class MergedRefusals:
    """The application's `RefusalLog` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def refusals(
        self,
        organization: str,
        *,
        reason: Reason | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = Order.OLDEST,
        behind: _Place | None = None,
        visitor_digest: UUID | None = None,
        action_map_id: UUID | None = None,
    ) -> Generator[KeptSignal]:
        """Stream the refusals of [since, until), those of a visitor from the visitor's shard alone.

        Raises:
            SliceInMotionError: A slice has been on its way for some seconds.
            ShardUnavailableError: A shard cannot be reached; what came before is not all.
        """
        place = behind

        def ask(shard: Shard) -> Sequence[KeptSignal]:
            found = shard.store.refusals.refusals(
                organization,
                reason=reason,
                since=since,
                until=until,
                order=order,
                behind=place,
                visitor_digest=visitor_digest,
                action_map_id=action_map_id,
            )
            with closing(found):
                return list(islice(found, _AT_ONCE))

        while True:
            if visitor_digest is None:
                rows, is_end = _merge(self._router.ask_all(ask), order)
            else:
                rows = self._router.ask_one(visitor_digest, ask)
                is_end = len(rows) < _AT_ONCE
            yield from rows
            if is_end:
                return
            place = _place_of(rows[-1])

    def prune(self, before: datetime) -> int:
        """Delete some refusals on each shard; return their number."""
        return sum(self._router.ask_each(lambda shard: shard.store.refusals.prune(before)))

    def prune_unattributed(self, before: datetime) -> int:
        """Delete some refusals without a visitor on each shard; return their number."""
        return sum(self._router.ask_each(lambda shard: shard.store.refusals.prune_unattributed(before)))


def iterate_parked(router: Router, organization: str, behind: _Place | None) -> Generator[KeptSignal]:
    """Stream the signals that wait for their action in order of arrival, and then the short ones of the home.

    Raises:
        SliceInMotionError: A slice has been on its way for some seconds.
        ShardUnavailableError: A shard cannot be reached; what came before is not all.
    """
    place, is_end = behind, False

    def ask(shard: Shard) -> Sequence[KeptSignal]:
        with closing(shard.store.reads.parked(organization, behind=place)) as found:
            return list(islice(takewhile(attrgetter("number"), found), _AT_ONCE))

    while not is_end:
        rows, is_end = _merge(router.ask_all(ask), Order.OLDEST)
        yield from rows
        if rows:
            place = _place_of(rows[-1])
    with closing(router.home.store.reads.parked(organization, behind=_BEHIND_ALL)) as short:
        yield from router.stream(router.home, short)


def _place_of(one: KeptSignal) -> _Place:
    return one.recorded_at, one.number


def _merge(found: Sequence[Sequence[KeptSignal]], order: Order) -> tuple[Sequence[KeptSignal], bool]:
    """Merge the next signals of all shards, as far as each has been read; True if there are no more."""
    newest_first = order is Order.NEWEST
    rows = sorted((one for some in found for one in some), key=_place_of, reverse=newest_first)
    ends = [_place_of(some[-1]) for some in found if len(some) == _AT_ONCE]
    if not ends:
        return rows, True
    if newest_first:
        return [one for one in rows if _place_of(one) >= max(ends)], False
    return [one for one in rows if _place_of(one) <= min(ends)], False
