"""The service in process: everything offerlog does, as methods of one thread-safe object."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self

from offerlog_application.audit import History, history
from offerlog_application.batches import Receipt
from offerlog_application.batches import Report as SignalReport
from offerlog_application.expiry import Expired, Expiry
from offerlog_application.listings import (
    Freshness,
    KeptSignal,
    Lookup,
    ProjectionStatus,
    Suppression,
)
from offerlog_application.offers import OfferService
from offerlog_application.ports import Clock
from offerlog_application.reads import ReadBudget, current_budget
from offerlog_application.refusal_policy import RefusalPolicy
from offerlog_application.reports import DEFAULT_LIMITS, Report, ReportLimits, ReportQuery, report
from offerlog_application.traces import UNTRACED, Trace
from offerlog_application.writer import GroupCommitWriter, WriterHealth
from offerlog_domain.outcomes import Blocker, OfferDecision, Reason
from offerlog_domain.rules import Rules
from offerlog_domain.wire import read_pair
from offerlog_infrastructure.deadlines import DeadlineKeeper
from offerlog_infrastructure.postgres.application import OfferlogApplication
from offerlog_infrastructure.postgres.changes import PostgresChanges
from offerlog_infrastructure.postgres.histories import StreamReader
from offerlog_infrastructure.postgres.keys import PostgresKeys
from offerlog_infrastructure.postgres.log import PostgresLog
from offerlog_infrastructure.postgres.performance import PostgresPerformance
from offerlog_infrastructure.postgres.projector import Projector
from offerlog_infrastructure.postgres.queries import PostgresReadSide
from offerlog_infrastructure.projection_upkeep import ProjectionUpkeep
from offerlog_infrastructure.refusal_access import RefusalAccess
from offerlog_infrastructure.refusal_upkeep import RefusalKeeper
from offerlog_infrastructure.replica import SuppressionReplica
from offerlog_infrastructure.showing import await_shown


class Offerlog(ProjectionUpkeep, RefusalAccess):
    """The log of web chat offers, in process; thread-safe. Made by `open_offerlog`.

    Every method works for the organization given there, unless it is told another.

    Attributes:
        organization: That organization.
        keys: Who may call the HTTP service.
        changes: What changes, by organization and action map.
    """

    def __init__(
        self,
        application: OfferlogApplication,
        *,
        clock: Clock,
        rules: Rules,
        organization: str,
        store: ExitStack,
        project: bool = True,
        replica: SuppressionReplica | None = None,
        trace: Trace = UNTRACED,
        refusal_policy: RefusalPolicy | None = None,
    ) -> None:
        self.organization = organization
        self._store = store
        ProjectionUpkeep.__init__(self, application)
        RefusalAccess.__init__(self, application, refusal_policy or RefusalPolicy(), clock)
        self._log = PostgresLog(application, self._text_quota.apply)
        self._streams = StreamReader(application)
        self._reads = PostgresReadSide(application, clock)
        self._performance = PostgresPerformance(application)
        self.changes = PostgresChanges(application)
        self._writer = GroupCommitWriter(self._log, trace=trace)
        self._service = OfferService(self._writer, self._log, clock, rules)
        self._expiry = Expiry(self._writer, self._reads, clock, rules)
        self._projector = Projector(application, trace=trace) if project else None
        self._replica = replica
        self.keys = PostgresKeys(application)
        self._keeper: DeadlineKeeper | None = None
        self._refusal_keeper: RefusalKeeper | None = None

    def submit(
        self,
        signals: Iterable[SignalReport],
        *,
        organization: str | None = None,
        from_widget: bool = False,
    ) -> Future[Receipt]:
        """Hand in signals as one batch; the future gets their outcomes once all of it is durable.

        Each signal is JSON text in either wire form, the decoded object, or a `Signal`.

        Args:
            signals: The reports.
            organization: The tenant; None for the service's own.
            from_widget: Whether they came with a widget key, which anybody may hold: those are refused as
                `too_old` when they are dated further back than `Rules.widget_max_age`.

        Raises:
            OrganizationName: The organization's name is no name of one.
            Overloaded: Too much is waiting; nothing was taken.
            Closed: The service has been closed.
        """
        return self._service.submit(signals, self._of(organization), from_widget=from_widget)

    def prepare(self, organization: str) -> None:
        """Read what `submit` needs of an organization, so that it does not wait for the store later.

        Raises:
            OrganizationName: The organization's name is not valid.
            StoreUnavailable: The store cannot be reached.
        """
        self._service.prepare(organization)

    def record(self, signals: Iterable[SignalReport], *, organization: str | None = None) -> Receipt:
        """As `submit`, and wait until it is durable."""
        return self.submit(signals, organization=organization).result()

    def offer(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        session_id: str,
        customer_id_type: str = "cookie",
        action_id: str | None = None,
        action_map_version: int | None = None,
        timeout_seconds: int | None = None,
        organization: str | None = None,
    ) -> OfferDecision:
        """Ask whether a map may offer to a visitor, and record the offer if so, in one step.

        With an `action_id` of your own, the same id again gets the same decision.

        Raises:
            MalformedSignal: Saying which argument, by its wire name, and why.
            Overloaded: Too much is waiting; nothing was taken.
        """
        return self.submit_offer(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
            session_id=session_id,
            action_id=action_id,
            action_map_version=action_map_version,
            timeout_seconds=timeout_seconds,
            organization=organization,
        ).result()

    def submit_offer(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        session_id: str,
        customer_id_type: str = "cookie",
        action_id: str | None = None,
        action_map_version: int | None = None,
        timeout_seconds: int | None = None,
        organization: str | None = None,
    ) -> Future[OfferDecision]:
        """Ask as `offer` does; the future gets the decision once it is durable.

        Raises:
            MalformedSignal: Saying which argument, by its wire name, and why.
            Overloaded: Too much is waiting; nothing was taken.
            Closed: The service has been closed.
        """
        return self._service.submit_offer(
            self._of(organization),
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
            session_id=session_id,
            action_id=action_id,
            action_map_version=action_map_version,
            timeout_seconds=timeout_seconds,
        )

    def eligibility(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> Blocker | None:
        """What stands against an offer to this visitor now, read from the log; None where it may be made.

        Raises:
            MalformedSignal: Saying which argument, by its wire name, and why.
        """
        return self._service.eligibility(
            self._of(organization),
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
        )

    def history(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        version: int | None = None,
        as_of: datetime | None = None,
        organization: str | None = None,
    ) -> History:
        """One visitor-offer rebuilt from the log: as it is, at a version, or as it was at a time.

        Raises:
            MalformedSignal: Saying which argument, by its wire name, and why.
            ValueError: A negative version, or a time without an offset.
        """
        stream = self._service.stream(
            self._of(organization),
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
        )
        return history(self._streams.facts(stream), version=version, as_of=as_of)

    def suppressions(
        self, customer_id: str, customer_id_type: str = "cookie", *, organization: str | None = None
    ) -> Sequence[Suppression]:
        """Which maps must not offer to this visitor, from the projection; sorted by map."""
        return self._reads.suppressions_of_visitor(self._of(organization), customer_id, customer_id_type)

    def suppressions_of(
        self, visitors: Sequence[tuple[str, str]], *, organization: str | None = None
    ) -> Mapping[tuple[str, str], Sequence[Suppression]]:
        """The same for many visitors at once, each given by id type and id; every one of them is answered."""
        return self._reads.suppressions_of_visitors(self._of(organization), visitors)

    def local_suppressions(
        self, customer_id: str, customer_id_type: str = "cookie", *, organization: str | None = None
    ) -> Lookup:
        """Which maps must not offer to this visitor, from this process's own copy, which asks nobody.

        Raises:
            ReplicaStale: The copy is older than it may be; ask `suppressions`, or offer nothing.
            RuntimeError: The service was opened without a copy.
        """
        if self._replica is None:
            raise RuntimeError(
                "open_offerlog was not given a folder for the local suppression list (`replica`)"
            )
        return self._replica.look_up(self._of(organization), customer_id, customer_id_type)

    def suppressed_visitors(
        self, action_map_id: str, *, organization: str | None = None, behind: tuple[str, str] | None = None
    ) -> Generator[Suppression]:
        """Whom a map must not offer to, from the projection; streamed, behind an id type and id if given."""
        return self._reads.suppressions_of_action_map(
            self._of(organization), self.action_map(action_map_id), behind
        )

    @staticmethod
    def action_map(text: str) -> str:
        """An action map's id as it is stored.

        Raises:
            MalformedSignal: It is none.
        """
        return read_pair("-", "-", text)[2]

    def report(self, query: ReportQuery, limits: ReportLimits = DEFAULT_LIMITS) -> Report:
        """The Action Map Performance report, from the projection; says by how many events it is short.

        Raises:
            ReportTooLargeError: It would have more buckets or rows than `limits` allows.
            ReadTimeoutError: It takes longer than `limits` allows, or than the current `ReadBudget` does.
            ReadCancelledError: The current `ReadBudget` was cancelled.
        """
        with ExitStack() as held:
            if current_budget() is None:
                held.enter_context(ReadBudget(limits.seconds).active())
            made = report(query, self._performance, limits)
            missing = self._dead_letters.short_by("performance", query.organization, query.action_maps)
        return replace(made, short_by=missing)

    def action_maps(
        self, *, organization: str | None = None, behind: str | None = None
    ) -> Generator[tuple[str, str | None]]:
        """The maps that have been counted, each with its newest known name; streamed, behind one if given."""
        return self._performance.action_maps(self._of(organization), behind)

    def parked(self, *, organization: str | None = None) -> Generator[KeptSignal]:
        """Signals that wait for their action, from the projection; streamed."""
        return self._reads.parked(self._of(organization))

    def expire(self) -> Expired:
        """Record all time-outs that are due and end all parkings that are over; waits for the projections."""
        self.catch_up()
        expired = self._expiry.expire(self.wait)
        self.wait(expired.position)
        return expired

    def wait(self, position: int | None, timeout: float = 60.0) -> None:
        """Wait until every projection shows a position of the log (read your own writes).

        Args:
            position: As a receipt gives it; None returns at once.
            timeout: Seconds without any progress.

        Raises:
            ProjectionsBehind: They made no progress for that long.
            StoreUnavailable: The store could not be reached for that long.
        """
        if position is None:
            return
        self._wake()
        projector = self._projector
        if projector is None:
            await_shown(position, timeout, shown=self._reads.position)
        else:
            await_shown(
                position,
                timeout,
                shown=self._reads.position,
                pause=projector.await_move,
                trouble=lambda: projector.error,
            )

    def catch_up(self) -> None:
        """Wait until every projection shows all that is in the log now.

        Raises:
            ProjectionsBehind: They made no progress for a minute.
        """
        self.wait(self._log.last())

    def position(self) -> int:
        """How far all projections have come."""
        return self._reads.position()

    def projections(self) -> Sequence[ProjectionStatus]:
        """How far every projection has come."""
        return self._reads.status()

    def freshness(self) -> Freshness:
        """How far `suppressions` goes; cheap, also where the projections are far behind."""
        return self._reads.freshness()

    def keep_deadlines(self) -> None:
        """From now on, expire what is overdue every few seconds, in the background."""
        if self._keeper is None:
            self._keeper = DeadlineKeeper(self._expiry, self.wait)
            self._refusal_keeper = RefusalKeeper(self._refusal_upkeep)

    def close(self) -> None:
        """Finish what was submitted, then let go of the store."""
        with self._store:
            if self._keeper is not None:
                self._keeper.close()
            if self._refusal_keeper is not None:
                self._refusal_keeper.close()
            self._writer.close()
            self._log.close()
            if self._projector is not None:
                self._projector.close()
            self._reads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def queue_depth(self) -> int:
        """How many signals and offers wait to be written in this process."""
        return self._writer.depth

    def writer_health(self) -> WriterHealth:
        """Whether this process's writer works now; asks nobody."""
        return self._writer.health

    def blocked_offers(self) -> Mapping[Reason, int]:
        """How many offers this process has blocked, by reason."""
        return dict(self._service.blocked)

    def _of(self, organization: str | None) -> str:
        """Whose data: an empty name is a wrong one, not none."""
        return self.organization if organization is None else organization

    def _wake(self) -> None:
        if self._projector is not None:
            self._projector.wake()
