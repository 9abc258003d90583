"""The service over several shards: the same facade, over ports that divide and add up.

Each shard is a whole service over its own store, with its writer, its projections, its deadlines and its
tree, as where there is one server. This one has none of these.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final, cast

from offerlog_application.evidence.evidence import Evidence
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import Erasure, HeldRow, LegalHold
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import latest_position
from offerlog_application.ports.read_models import Freshness, Proof
from offerlog_application.ports.shards import MovesUpkeep, ShardProgress, ShardUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.ports.waiting import WaitAnnouncer
from offerlog_application.reading.performance_report import (
    DEFAULT_LIMITS,
    PerformanceReport,
    ReportLimits,
    report,
)
from offerlog_application.reading.read_budget import ReadBudget, current_budget
from offerlog_application.recording.expiry import Expired
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.schedule.periodic_thread import PeriodicThread
from offerlog_application.sharding.added_changes import CountsOfShards
from offerlog_application.sharding.added_counts import AddedCounts
from offerlog_application.sharding.divided_writer import DividedWriter
from offerlog_application.sharding.organizations_of_shards import DeletionOverShards
from offerlog_application.sharding.ports_of_visitors import RoutedReads, RoutedStreams, name_with_shard
from offerlog_application.sharding.reachable_shards import ReachableShards
from offerlog_application.sharding.router import OpenShards, Router
from offerlog_application.sharding.sharded_evidence import ShardedEvidence
from offerlog_application.sharding.sharded_store import make_sharded_store
from offerlog_application.sharding.sharded_waits import ShardedWaits
from offerlog_application.sharding.short_signal_release import ReleaseOverShards
from offerlog_application.sharding.side_by_side import ask_side_by_side
from offerlog_application.sharding.slices_of_shards import SlicesOfShards
from offerlog_domain.context import Rules
from offerlog_domain.identity import VisitorKey, parse_visitor_key

_PROGRESS_SECONDS: Final = 1.0
"""Seconds for which the progress of a shard is waited for: monitors ask for it, and have time limits."""

_CATCH_UP_SECONDS: Final = 60.0

_MOVES_SECONDS: Final = 1.0
"""Seconds between two looks for moves that were interrupted."""

_CLOSING_SECONDS: Final = 2.0
"""Seconds for which `close` waits for each of these looks. What one was doing, the next process does."""

_RELEASE_SECONDS: Final = 5.0
"""Seconds between two looks for the actions of short signals that wait."""


class ShardedOfferlog(Offerlog):
    """The log of web chat offers on several servers; made by `open_offerlog` where the store is a home.

    What concerns one visitor is asked at the shard of the visitor; reports and lists add up over all shards.
    If a shard cannot be reached, its visitors get a `ShardUnavailableError`, and so does each report that
    would lack its slices. What does not work over several servers yet is a `NotOverShardsError`.

    Args:
        shards: The shards. `resources` closes them.
        moves: Ends moves of slices that were interrupted.
        clock: The service's clock.
        rules: The periods that an operator may set.
        organization: The organization of calls that name none.
        resources: Left at the end of `close`.
        announce: Makes the waits of callers that are announced once they last.
        refusal_policy: How long refusals are kept.
        webhook_retention: How long dead letters of webhooks are kept; zero for ever.
    """

    def __init__(
        self,
        shards: OpenShards,
        moves: MovesUpkeep,
        *,
        clock: Clock,
        rules: Rules,
        organization: str,
        resources: AbstractContextManager[object],
        announce: WaitAnnouncer,
        refusal_policy: RefusalPolicy,
        webhook_retention: timedelta,
    ) -> None:
        self._shards = shards
        self._moves = moves
        self._moves_keeper: PeriodicThread | None = None
        self._router = router = Router(shards)
        self._routed_reads = RoutedReads(router, RoutedStreams(router))
        store = make_sharded_store(router)
        writer = DividedWriter(router, clock, rules)
        self._short_signals = ReleaseOverShards(router, writer)
        self._short_signal_keeper: PeriodicThread | None = None
        super().__init__(
            store,
            clock=clock,
            rules=rules,
            organization=organization,
            resources=resources,
            announce=announce,
            refusal_policy=refusal_policy,
            webhook_retention=webhook_retention,
            writer=writer,
            waits=ShardedWaits(router),
        )
        self.organization_deletion = DeletionOverShards(router, store, clock)
        self.counts = CountsOfShards(router)
        self.evidence = cast("Evidence", ShardedEvidence(router))
        self.slices = SlicesOfShards(router)

    def erase(
        self,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
        timeout: float = 60.0,
    ) -> Erasure:
        """Erase a visitor on the visitor's shard; see `Offerlog.erase`.

        Signals that name an action of the visitor alone, and wait at the home, go to that shard before.
        """
        self._release_short_signals()
        return self._service_of(customer_id, customer_id_type, organization).erase(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            organization=self._of(organization),
            timeout=timeout,
        )

    def visitor_data(
        self, *, customer_id: str, customer_id_type: str = "cookie", organization: str | None = None
    ) -> Sequence[HeldRow]:
        """Return all that the visitor's shard holds of a visitor; see `Offerlog.visitor_data`."""
        return self._service_of(customer_id, customer_id_type, organization).visitor_data(
            customer_id=customer_id, customer_id_type=customer_id_type, organization=self._of(organization)
        )

    def hold_visitor(
        self,
        *,
        customer_id: str,
        reason: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> None:
        """Forbid on the visitor's shard to erase a visitor; see `Offerlog.hold_visitor`."""
        self._service_of(customer_id, customer_id_type, organization).hold_visitor(
            customer_id=customer_id,
            reason=reason,
            customer_id_type=customer_id_type,
            organization=self._of(organization),
        )

    def lift_hold(
        self, *, customer_id: str, customer_id_type: str = "cookie", organization: str | None = None
    ) -> bool:
        """Allow on the visitor's shard to erase a visitor again; see `Offerlog.lift_hold`."""
        return self._service_of(customer_id, customer_id_type, organization).lift_hold(
            customer_id=customer_id, customer_id_type=customer_id_type, organization=self._of(organization)
        )

    def legal_holds(self, organization: str | None = None) -> Sequence[LegalHold]:
        """Return the visitors of all shards who may not be erased, oldest hold first."""
        found = self._router.ask_all(lambda shard: shard.service.legal_holds(self._of(organization)))
        return sorted((hold for holds in found for hold in holds), key=lambda hold: hold.since)

    def remove_remains(self, *, rewrite: bool = False) -> None:
        """Remove former versions of rows on one shard after the other; see `Offerlog.remove_remains`."""
        self._router.ask_each(lambda shard: shard.service.remove_remains(rewrite=rewrite))

    def report(
        self, query: ReportQuery, limits: ReportLimits = DEFAULT_LIMITS, *, partial: bool = False
    ) -> PerformanceReport:
        """Return the report of all shards; with `partial`, of those that can be reached (`Offerlog.report`).

        Raises:
            ShardUnavailableError: A shard cannot be reached; with `partial`, none can be.
        """
        if not partial:
            return super().report(query, limits)
        reachable = ReachableShards(self._router)
        with ExitStack() as held:
            if current_budget() is None:
                held.enter_context(ReadBudget(limits.seconds).active())
            made = report(query, AddedCounts(reachable), limits)
            short_by = sum(
                reachable.ask_all(
                    lambda shard: shard.store.dead_letters.short_by(
                        "performance", query.organization, query.action_maps
                    )
                )
            )
        return replace(made, short_by=short_by, missing_slices=tuple(reachable.missing))

    def catch_up(self, *, partial: bool = False) -> None:
        """Wait for the projections of all shards; with `partial`, of those that can be reached."""
        if partial:
            ReachableShards(self._router).catch_up(_CATCH_UP_SECONDS)
        else:
            super().catch_up()

    def proofs(self, name: str = "performance") -> Sequence[Proof]:
        """Return the proof of a projection on each shard, the home first."""
        return self._router.ask_each(lambda shard: shard.store.proofs.proof(name))

    def servers(self) -> Collection[int]:
        """Return the numbers of the home and of all other shards, by the map that was read last."""
        return {*self._router.map.numbers}

    def services_of_servers(self) -> Mapping[int, Offerlog | StoreUnavailableError]:
        """Return the service over each shard by its number; of one that cannot be reached, the error."""
        found: dict[int, Offerlog | StoreUnavailableError] = {}
        for number in self._router.read_map().numbers:
            try:
                found[number] = self._router.get(number).service
            except ShardUnavailableError as error:
                found[number] = error
        return found

    def progress_of_servers(self) -> Sequence[ShardProgress]:
        """Return the progress of the projections of each shard, within about a second.

        The names of the projections end with `@` and the number of the shard.
        """
        found = ask_side_by_side(self._router, lambda shard: shard.store.reads.status(), _PROGRESS_SECONDS)
        return [
            ShardProgress(number, [], one)
            if isinstance(one, ShardUnavailableError)
            else ShardProgress(number, [name_with_shard(status, number) for status in one])
            for number, one in found.items()
        ]

    def shards_of(self, visitors: Iterable[VisitorKey], *, organization: str | None = None) -> frozenset[int]:
        """Return the numbers of the shards that have these visitors, by the map as it was read last."""
        name, shard_map = self._of(organization), self._router.map
        return frozenset(shard_map.shard_of(self._service.digest(name, one)) for one in visitors)

    def freshness_of(self, shards: Collection[int]) -> Freshness:
        """Return the positions and the age of the suppression lists of some shards: the age of the oldest."""
        return self._routed_reads.freshness_of(shards)

    def expire(self) -> Expired:
        """Record what is due on one shard after the other; see `Offerlog.expire`."""
        ended, position = self._short_signals.release()
        found = self._router.ask_each(lambda shard: shard.service.expire())
        self.wait(position)
        return Expired(
            sum(one.timedout for one in found),
            sum(one.never_reachable for one in found) + ended,
            latest_position([position, *(one.position for one in found)]),
        )

    def keep_deadlines(self) -> None:
        """Start the upkeep in the background: of each shard, also of one that is reached later, and of all.

        That of all is about moves, short signals that wait, and webhooks. A process that keeps something
        serves: it waits for its shards now, for seconds, and never on its event loop.
        """
        self._shards.await_first_attempts()
        self._shards.keep_deadlines()
        self.webhooks.keep_delivering()
        if self._moves_keeper is None:
            self._moves_keeper = PeriodicThread(
                "offerlog-moves",
                _MOVES_SECONDS,
                lambda _: self._moves.end_interrupted(self._router.map.numbers),
                "interrupted moves could not be looked for, which will be tried again: %s",
            )
        if self._short_signal_keeper is None:
            self._short_signal_keeper = PeriodicThread(
                "offerlog-short-release",
                _RELEASE_SECONDS,
                lambda thread: self._short_signals.release(lambda: not thread.is_closing),
                "short signals could not be released, which will be tried again: %s",
            )

    def keep_key_uses(self) -> None:
        """Store from time to time on the home when keys were used in this process.

        Waits for the shards as `keep_deadlines` does.
        """
        self._shards.await_first_attempts()
        self._router.home.service.keep_key_uses()

    @property
    def keeps_deadlines(self) -> bool:
        """True if this process records due time-outs in the background."""
        return self._router.home.service.keeps_deadlines

    @property
    def runs_projector(self) -> bool:
        """True if this process runs the projectors of the shards."""
        return self._router.home.service.runs_projector

    def store_failures(self) -> Mapping[StoreTrouble, int]:
        """Return the number of calls of the home's store that failed in this process, by reason."""
        return self._router.home.service.store_failures()

    def close(self) -> None:
        """End the upkeep of moves and of short signals, and close; see `Offerlog.close`."""
        for keeper in (self._moves_keeper, self._short_signal_keeper):
            if keeper is not None:
                keeper.close(_CLOSING_SECONDS)
        super().close()

    def _release_short_signals(self) -> None:
        """Release short signals, as far as the shards can be reached."""
        with suppress(StoreUnavailableError):
            self._short_signals.release()

    def _service_of(self, customer_id: str, kind: str, organization: str | None) -> Offerlog:
        """Return the service of the visitor's shard.

        Raises:
            MalformedSignalError: An id is not valid.
        """
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=kind)
        digest = self._service.digest(self._of(organization), visitor)
        return self._router.ask_one(digest, lambda shard: shard).service
