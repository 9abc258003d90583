"""Ports that are asked about one visitor, over several shards: the shard of the visitor answers."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from offerlog_application.ports.event_log import NewestAction, SliceElsewhereError
from offerlog_application.ports.offer_reads import OfferOfVisitor
from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.ports.read_models import (
    MAX_SUPPRESSIONS,
    Freshness,
    KeptSignal,
    PlacedEvent,
    ProjectionStatus,
    Suppression,
    TooManySuppressionsError,
)
from offerlog_application.ports.shards import HOME, NotOverShardsError
from offerlog_application.sharding.merged_signals import iterate_parked
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import ActionMapId, OfferKey, OrganizationKey, VisitorKey
from offerlog_domain.stream_ids import SLICES_BY_TOKEN, slice_of

_SUPPRESSIONS_AT_ONCE: Final = 2_000
"""Suppressions that are asked for at once: as many as a store reads."""


class RoutedStreams:
    """The application's `Streams` over several shards, and the ends of their logs; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def key(self, organization: str) -> OrganizationKey:
        """Return the organization's key for digests of visitors, which the home has made."""
        return self._router.home.store.log.key(organization)

    def remembers_key(self, organization: str) -> bool:
        """Return True if `key` would answer without asking the home."""
        return self._router.home.store.log.remembers_key(organization)

    def newest_action(self, offer: OfferKey) -> NewestAction:
        """Return the action that began last, from the shard of the visitor."""
        return self._router.ask_one(offer.visitor_digest, lambda shard: shard.store.log.newest_action(offer))

    def last(self) -> LogPosition:
        """Return the last positions of the logs of all shards; 0 if all are empty."""
        return latest_position(self._router.ask_each(lambda shard: shard.store.log.last())) or 0

    def close(self) -> None:
        """Do nothing: the shards close their logs."""


class RoutedHistories:
    """The application's `StreamReader` and `VisitorReader` over several shards; thread-safe."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def events(self, offer: OfferKey) -> Sequence[RecordedEvent[Event]]:
        """Return the events of a stream, in order."""
        return self._router.ask_one(offer.visitor_digest, lambda shard: shard.store.streams.events(offer))

    def events_of_visitor(
        self, visitor_digest: UUID, action_map_id: UUID | None = None, behind: int = 0
    ) -> Generator[PlacedEvent]:
        """Stream the events of a visitor behind a position, by position.

        Raises:
            SliceElsewhereError: The slice has gone elsewhere meanwhile: what came before is not all.
        """
        shard = self._router.ask_one(visitor_digest, lambda one: one)
        events = shard.store.visitors.events_of_visitor(visitor_digest, action_map_id, behind)
        yield from self._router.stream(shard, events)
        if slice_of(visitor_digest) not in self._router.ask(shard, lambda one: one.read_owned()):
            raise SliceElsewhereError([slice_of(visitor_digest)])


class RoutedReads:
    """The application's `ReadSide` over several shards, without its deadlines; thread-safe.

    Lists of all visitors come shard by shard.
    """

    def __init__(self, router: Router, streams: RoutedStreams) -> None:
        self._router = router
        self._streams = streams

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """Return the suppressions of a visitor, sorted by action map."""
        return self._router.ask_one(
            self._streams.key(organization).digest(visitor),
            lambda shard: shard.store.reads.suppressions_of_visitor(organization, visitor),
        )

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """Return the suppressions of many visitors. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 together.
        """
        key = self._streams.key(organization)

        def ask(shard: Shard, some: Sequence[VisitorKey]) -> Mapping[VisitorKey, Sequence[Suppression]]:
            return shard.store.reads.suppressions_of_visitors(organization, some)

        found = self._router.ask_many({one: key.digest(one) for one in visitors}, ask)
        if sum(len(found[one]) for one in visitors) > MAX_SUPPRESSIONS:
            raise TooManySuppressionsError
        return found

    def suppressions_of_action_map(
        self,
        organization: str,
        action_map_id: ActionMapId,
        behind: VisitorKey | None = None,
        *,
        of_slice: int | None = None,
    ) -> Generator[Suppression]:
        """Stream the suppressions of an action map, sorted by token, after the visitor `behind` if given.

        A token stays when its slice moves, so the list goes on at the slice's new shard.

        Raises:
            UnknownVisitorError: No event was recorded of the visitor `behind`.
            SliceInMotionError: A slice has had no owner for some seconds.
            ShardUnavailableError: A shard cannot be reached; what came before is not all.
        """
        self._router.read_held(self._router.all())  # so that a missing shard is an error of the first row
        slices = SLICES_BY_TOKEN if of_slice is None else (of_slice,)
        if behind is not None:
            slices = slices[slices.index(slice_of(self._streams.key(organization).digest(behind))) :]
        for number in slices:
            while True:
                rows = self._some_suppressions(organization, action_map_id, behind, number)
                yield from rows
                if len(rows) < _SUPPRESSIONS_AT_ONCE:
                    break
                behind = VisitorKey(rows[-1].customer_id_type, rows[-1].customer_id)
            behind = None

    def _some_suppressions(
        self, organization: str, action_map_id: ActionMapId, behind: VisitorKey | None, number: int
    ) -> Sequence[Suppression]:
        """Return the next suppressions of a slice."""

        def ask(shard: Shard) -> Sequence[Suppression]:
            found = shard.store.reads.suppressions_of_action_map(
                organization, action_map_id, behind, of_slice=number
            )
            with closing(found):
                return list(islice(found, _SUPPRESSIONS_AT_ONCE))

        return self._router.ask_slice(number, ask)

    def parked(
        self, organization: str, *, behind: tuple[datetime, int] | None = None
    ) -> Generator[KeptSignal]:
        """Stream the signals that wait for their action, in order of arrival; short ones come last."""
        return iterate_parked(self._router, organization, behind)

    def status(self) -> Sequence[ProjectionStatus]:
        """Return position and lag of each projection of each shard; the names end with `@` and its number."""
        return [
            name_with_shard(one, shard.number)
            for shard in self._router.all()
            for one in self._router.ask(shard, lambda asked: asked.store.reads.status())
        ]

    def freshness(self) -> Freshness:
        """Return positions and age of the suppression lists of all shards: the age of the oldest."""
        return _join_freshness(self._router.ask_each(lambda shard: shard.store.reads.freshness()))

    def freshness_of(self, shards: Collection[int]) -> Freshness:
        """Return the same for some shards; one alone where there are none."""
        numbers = sorted(shards) or [HOME]
        asked = [self._router.get(number) for number in numbers]
        return _join_freshness(
            [self._router.ask(shard, lambda one: one.store.reads.freshness()) for shard in asked]
        )

    def position(self) -> int:
        """Refuse: there are positions of several logs.

        Raises:
            NotOverShardsError: Always.
        """
        raise NotOverShardsError("one position of all projections")

    def close(self) -> None:
        """Do nothing: the shards release their connections."""


def name_with_shard(status: ProjectionStatus, number: int) -> ProjectionStatus:
    """Return the status of a projection of a shard, with a name that ends with `@` and its number."""
    return replace(status, name=f"{status.name}@{number}")


def _join_freshness(found: Sequence[Freshness]) -> Freshness:
    """Return the freshness of several lists: all positions, and the age of the oldest."""
    ages = [one.age_seconds for one in found]
    return Freshness(
        latest_position(one.position for one in found) or 0,
        None if None in ages else max(age for age in ages if age is not None),
        sum(one.short_by for one in found),
    )


class RoutedOffers:
    """The part of the application's `OfferReads` that is about one visitor, over several shards."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def offers_of_visitor(
        self,
        organization: str,
        visitor_digest: UUID,
        behind: ActionMapId | None,
        limit: int,
        *,
        now: datetime,
    ) -> Sequence[OfferOfVisitor]:
        """Return the visitor-offers of a visitor, sorted by action map, after `behind` if given."""
        return self._router.ask_one(
            visitor_digest,
            lambda shard: shard.store.offers.offers_of_visitor(
                organization, visitor_digest, behind, limit, now=now
            ),
        )

    def is_known(self, organization: str, visitor_digest: UUID) -> bool:
        """Return whether anything of the visitor is held."""
        return self._router.ask_one(
            visitor_digest, lambda shard: shard.store.offers.is_known(organization, visitor_digest)
        )
