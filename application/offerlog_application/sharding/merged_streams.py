"""The logs of all shards stream by stream, and the cursors of those who follow them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from offerlog_application.ports.event_source import LogRow
from offerlog_application.ports.positions import (
    SHARD_BITS,
    LogPosition,
    by_shard,
    latest_position,
    only_position,
)
from offerlog_application.ports.shards import HOME
from offerlog_application.ports.stream_source import StreamPlace
from offerlog_application.ports.subscriptions import Subscription
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.stream_ids import SLICES, slice_of

_SLICE_SHIFT: Final = 124
"""The slice is the first digit of a stream's id, so streams are ordered by slices."""


class MergedStreams:
    """The application's `StreamSource` over several shards; thread-safe.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def read_streams(
        self, behind: StreamPlace, as_of: LogPosition, limit: int, *, identify: str | None = None
    ) -> Sequence[LogRow]:
        """Return the next lifecycle events, ordered by stream and version; each slice is read from its shard.

        An event counts by the log that has recorded it, wherever it lies by now. A slice may move between two
        calls.

        Raises:
            ShardUnavailableError: The shard of a slice cannot be reached.
            SliceInMotionError: A slice has had no owner for some seconds.
            UnreadableEventError: An event is of a kind that this build does not know.
            ReadTimeoutError: The page takes longer than the current `ReadBudget` allows.
        """
        found = list[LogRow]()
        for slice_number in range(slice_of(behind.stream), SLICES):
            first = StreamPlace(UUID(int=slice_number << _SLICE_SHIFT), 0)
            rows = self._router.ask_slice(
                slice_number, _reader(max(behind, first), as_of, limit - len(found), identify)
            )
            found += [row for row in rows if slice_of(row.stream) == slice_number]
            if len(found) == limit:
                break
        return found


def _reader(
    behind: StreamPlace, as_of: LogPosition, limit: int, identify: str | None
) -> Callable[[Shard], Sequence[LogRow]]:
    return lambda shard: shard.store.stream_source.read_streams(behind, as_of, limit, identify=identify)


class SubscriptionsOfShards:
    """The application's `SubscriptionStore` over several shards: each keeps its own part of a cursor.

    A subscription is there if the home has it. A shard that was added later gets it at its
    beginning. Each method raises `ShardUnavailableError` if a shard cannot be reached.
    Thread-safe.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def put(self, organization: str, name: str, position: LogPosition, now: datetime) -> None:
        """Make a subscription at a position, or move it there, on every shard; the home comes first.

        Raises:
            PositionAheadError: No event has had that position yet.
            SubscriptionLimitError: It is a new one, and the organization has too many.
        """
        parts = by_shard(position)
        for shard in self._router.all():
            own = parts.get(shard.number, 0)
            self._router.ask(
                shard,
                _putter(organization, name, 0 if own == shard.number << SHARD_BITS else own, now),
            )

    def all(self, organization: str | None = None) -> Sequence[Subscription]:
        """List the subscriptions of one organization, or of all, sorted by organization and name."""
        found = self._select(organization)
        if self._add_missing(found):
            found = self._select(organization)
        home = found[HOME]
        return [
            _join({number: own[key] for number, own in found.items() if key in own}) for key in sorted(home)
        ]

    def _select(self, organization: str | None) -> Mapping[int, Mapping[tuple[str, str], Subscription]]:
        return {
            shard.number: {
                (one.organization, one.name): one
                for one in self._router.ask(shard, lambda asked: asked.store.subscriptions.all(organization))
            }
            for shard in self._router.all()
        }

    def _add_missing(self, found: Mapping[int, Mapping[tuple[str, str], Subscription]]) -> bool:
        """Make the parts that a shard does not have, at its beginning; returns True if there were any."""
        missing = [
            (number, one)
            for number, own in found.items()
            for key, one in found[HOME].items()
            if key not in own
        ]
        for number, one in missing:
            add = _putter(one.organization, one.name, 0, one.created_at)
            self._router.ask(self._router.get(number), add)
        return bool(missing)

    def find(self, organization: str, name: str) -> Subscription | None:
        """Return a subscription; None if there is none of that name."""
        found = [one for one in self.all(organization) if one.name == name]
        return found[0] if found else None

    def delete(self, organization: str, name: str) -> bool:
        """Delete a subscription on all shards, the home last; returns False if there is none of that name."""
        home, *others = self._router.all()
        for shard in others:
            self._router.ask(shard, lambda one: one.store.subscriptions.delete(organization, name))
        return self._router.ask(home, lambda one: one.store.subscriptions.delete(organization, name))

    def delete_all(self, organization: str) -> int:
        """Delete the subscriptions of an organization on all shards, the home last; returns their number."""
        home, *others = self._router.all()
        for shard in others:
            self._router.ask(shard, lambda one: one.store.subscriptions.delete_all(organization))
        return self._router.ask(home, lambda one: one.store.subscriptions.delete_all(organization))


def _putter(organization: str, name: str, position: int, now: datetime) -> Callable[[Shard], None]:
    return lambda shard: shard.store.subscriptions.put(organization, name, position, now)


def _join(parts: Mapping[int, Subscription]) -> Subscription:
    """Join the parts of a subscription, by number of the shard."""
    read_to = [max(number << SHARD_BITS, only_position(one.position)) for number, one in parts.items()]
    ages = [one.lag_seconds for one in parts.values()]
    return replace(
        parts[HOME],
        position=latest_position(read_to) or 0,
        moved_at=max((one.moved_at for one in parts.values() if one.moved_at is not None), default=None),
        lag_events=sum(one.lag_events for one in parts.values()),
        lag_seconds=None if None in ages else max(age for age in ages if age is not None),
    )
