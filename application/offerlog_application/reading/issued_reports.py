"""Reports that were given out: recorded as issued, replayed, and explained event by event."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.performance_counts import PerformanceCounts, ReportQuery
from offerlog_application.ports.positions import LogPosition, by_shard, is_up_to, latest_position
from offerlog_application.ports.projections import Proofs
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.read_side import PerformanceSource
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.replays import ReplayedEvent, Replays
from offerlog_application.ports.service_log import ServiceLog
from offerlog_application.ports.shards import HOME
from offerlog_application.projections.slots import counted_slot, slot
from offerlog_application.reading.canonical_reports import query_text, read_query, report_text
from offerlog_application.reading.performance_report import (
    DEFAULT_LIMITS,
    UNLIMITED,
    PerformanceReport,
    ReportLimits,
    report,
)
from offerlog_application.wording import format_count
from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, MetricSet
from offerlog_domain.service_events import ReportIssued
from offerlog_domain.stream_ids import make_organization_stream_id
from offerlog_domain.uuids import parse_uuid

_TRIES: Final = 50
"""Number of times that a report is read until the projection stands still meanwhile."""

_PROJECTION: Final = "performance"


class ReportNotIssuedError(OfferlogError):
    """A report cannot be recorded as issued, because nobody could replay it; nothing was recorded."""


@dataclass(frozen=True, slots=True)
class IssuedReport:
    """A report that was recorded as issued.

    Attributes:
        position: The position of the event that says so.
        as_of_position: The position of the log as of which the report counts; with several servers, a vector.
        query: The query, as JSON.
        digest: SHA-256 of the report's canonical text (`report_text`).
        issued_by: The person or program that issued it.
        issued_at: The time at which it was recorded as issued.
    """

    position: int
    as_of_position: LogPosition
    query: str
    digest: bytes
    issued_by: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class ComparedReport:
    """An issued report beside the same report of a replay.

    Attributes:
        issued: The issued report.
        digest: The digest of the report that the replay gives.
    """

    issued: IssuedReport
    digest: bytes

    @property
    def is_equal(self) -> bool:
        """True if the replay gives the report that was issued."""
        return self.digest == self.issued.digest


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay.

    Attributes:
        position: The position as of which everything was built.
        proofs: Number and digest of the events of each projection.
        reports: The reports of the organization that were issued as of that position, compared.
    """

    position: LogPosition
    proofs: Sequence[Proof]
    reports: Sequence[ComparedReport]


class ExplainedEvent(NamedTuple):
    """An event that a report counts. Nothing of it identifies a visitor.

    Attributes:
        position: Its position in the log.
        stream: Its stream.
        version: Its place there, from 1.
        state: The state that the action reached.
        action_number: Number of the action within its visitor-offer, from 1.
        occurred_at: The time at which it happened.
        offered_at: Time of the offer.
        recorded_at: The time by the service's clock.
    """

    position: int
    stream: UUID
    version: int
    state: State
    action_number: int
    occurred_at: datetime
    offered_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Explanation:
    """A count of a report, and the events behind it.

    Attributes:
        position: The position as of which both count.
        count: The count of the report; None as of an earlier position, which no projection shows any more.
        events: The events, in the order of positions. Their number is the count.
    """

    position: LogPosition
    count: int | None
    events: Generator[ExplainedEvent]


class IssuedReports:
    """The reports that were given out; thread-safe.

    Args:
        performance: The counts of the live projection.
        proofs: The proofs of the live projections.
        service_log: Keeps the issued reports.
        replays: The log as it stood.
        clock: The service's clock.
    """

    def __init__(
        self,
        performance: PerformanceSource,
        proofs: Proofs,
        service_log: ServiceLog,
        replays: Replays,
        clock: Clock,
    ) -> None:
        self._performance = performance
        self._proofs = proofs
        self._service_log = service_log
        self._replays = replays
        self._clock = clock

    def issue(
        self, query: ReportQuery, issued_by: str = "", limits: ReportLimits = DEFAULT_LIMITS
    ) -> tuple[PerformanceReport, IssuedReport]:
        """Make a report and record that it was issued: position, query, digest and who.

        Args:
            query: The query.
            issued_by: The person or program that gives it out. It stays in the log for good.
            limits: The size of the report.

        Raises:
            ReportNotIssuedError: Dead letters are missing from it, or the projection never stood still.
            ReportTooLargeError: It would have more buckets or rows than `limits` allows.
            StoreUnavailableError: The store cannot be reached.
        """
        made, proof = self._settled(query, limits)
        if proof.short_by:
            raise ReportNotIssuedError(
                f"the report is short by {format_count(proof.short_by, 'event')}: see `offerlog projections"
                " dead-letters`"
            )
        ends = {**by_shard(proof.position)}
        event = ReportIssued(
            organization=query.organization,
            recorded_at=self._clock.now(),
            as_of_position=ends.pop(HOME, 0),
            query=query_text(query),
            digest=sha256(report_text(made)).digest(),
            issued_by=issued_by,
            as_of_elsewhere=tuple(ends.values()),
        )
        stream = make_organization_stream_id(query.organization)
        return made, _issued(self._service_log.append_entry(stream, event).position, event)

    def all(self, organization: str, after: int = 0) -> Generator[IssuedReport]:
        """Stream the issued reports of an organization, in the order in which they were issued.

        Args:
            organization: Whose reports.
            after: Only those behind this position. If it is that of a report, nothing before is read.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        stream, last = make_organization_stream_id(organization), 0
        while entries := self._service_log.read_entries(stream, last, behind=after):
            for position, _, _, event in entries:
                if isinstance(event, ReportIssued) and event.organization == organization:
                    yield _issued(position, event)
            last = entries[-1].version

    def replay(
        self,
        organization: str,
        as_of: LogPosition | datetime,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    ) -> Replay:
        """Build all projections as they stood then, and compare with the reports issued as of that position.

        Works beside the live projections, and leaves nothing behind.

        Args:
            organization: Whose reports.
            as_of: A position of the log, or the time by which events were recorded.
            on_progress: Called with the progress, several times a second.

        Raises:
            ArgumentError: The log ends before the position; or, with several servers, it is not one of all
                logs at one moment.
            RebuildRunningError: Another replay is at work.
            RebuildWorkersError: The processes that load were killed, or failed.
            SchemaNotMadeError: The database's user may not make a schema.
            StoreUnavailableError: The store cannot be reached.
        """
        if isinstance(as_of, datetime):
            position = self._replays.settle(self._replays.position_at(as_of))
        else:
            position = self._settle_within_log(as_of)
        wanted = self._issued_as_of(organization, position)
        with self._replays.replay(position, on_progress) as replayed:
            compared = [
                ComparedReport(one, _digest(read_query(one.query, organization), replayed.performance))
                for one in wanted
            ]
            return Replay(position, replayed.proofs, compared)

    def explain(self, query: ReportQuery, state: State, as_of: LogPosition | None = None) -> Explanation:
        """Return a count of one map and metric, and the events that add up to it.

        Args:
            query: Names one action map; granularity and zone do not matter. It counts actions.
            state: The state that the metric counts.
            as_of: The position as of which to count; None for the position of the live projection.

        Raises:
            ArgumentError: As of `replay`; the events raise it, too.
            ReportNotIssuedError: The projection never stood still; only without `as_of`.
            StoreUnavailableError: The store cannot be reached.
        """
        (action_map,) = query.action_maps
        count = None
        if as_of is None:
            made, proof = self._settled(replace(query, view=MetricSet.ALL), UNLIMITED)
            as_of = proof.position
            count = sum(row.metrics[METRICS[state]] for row in made.rows)
            position = self._replays.settle(as_of)
        else:
            position = self._settle_within_log(as_of)
        events = self._replays.events_of(query.organization, parse_uuid(action_map), state, position)
        return Explanation(position, count, _explain(events, query))

    def _issued_as_of(self, organization: str, position: LogPosition) -> Sequence[IssuedReport]:
        """Return the reports that count up to a position: no event lies between it and theirs."""
        found: list[IssuedReport] = []
        beyond: LogPosition | None = None
        """A position behind a further event; so is each position that is not before it."""
        for one in self.all(organization):
            as_of = one.as_of_position
            if not is_up_to(position, as_of) or (beyond is not None and is_up_to(beyond, as_of)):
                continue
            if self._replays.settle(as_of) == position:
                found.append(one)
            else:
                beyond = as_of
        return found

    def _settle_within_log(self, as_of: LogPosition) -> LogPosition:
        """Return the position of the last event up to a position.

        Raises:
            ArgumentError: The log ends before it, so nobody can say what stood there.
        """
        last = self._replays.settle(None)
        if not is_up_to(as_of, last):
            asked, end = (f"{one:,}" if isinstance(one, int) else str(one) for one in (as_of, last))
            raise ArgumentError("as_of", f"the log ends before {asked}, at position {end}")
        return self._replays.settle(as_of)

    def _settled(self, query: ReportQuery, limits: ReportLimits) -> tuple[PerformanceReport, Proof]:
        """Read a report while the projection stands still, with its proof.

        Raises:
            ReportNotIssuedError: It has moved each time.
        """
        for _ in range(_TRIES):
            before = self._proofs.proof(_PROJECTION)
            made = report(query, self._performance, limits)
            after = self._proofs.proof(_PROJECTION)
            if before.mark == after.mark:
                return made, after
        raise ReportNotIssuedError(
            f"the projection has moved on each of {_TRIES} times that the report was read: ask for fewer"
            " buckets, or try again when less is recorded"
        )


def _explain(events: Generator[ReplayedEvent], query: ReportQuery) -> Generator[ExplainedEvent]:
    """Yield the events that a report counts in its time."""
    first = None if query.start is None else slot(query.start)
    end = None if query.end is None else slot(query.end)
    with closing(events):
        for position, sealed in events:
            event = sealed.event
            if not isinstance(event, LifecycleEvent):
                continue
            at = counted_slot(event.offered_at if query.cohort is Cohort.OFFERED else event.occurred_at)
            is_of = query.media_type in {None, event.media_type}
            if is_of and (first is None or at >= first) and (end is None or at < end):
                yield ExplainedEvent(
                    position,
                    sealed.originator_id,
                    sealed.originator_version,
                    event.state,
                    event.action_number,
                    event.occurred_at,
                    event.offered_at,
                    event.recorded_at,
                )


def _digest(query: ReportQuery, performance: PerformanceCounts) -> bytes:
    return sha256(report_text(report(query, performance, UNLIMITED))).digest()


def _issued(position: int, event: ReportIssued) -> IssuedReport:
    as_of = latest_position((event.as_of_position, *event.as_of_elsewhere)) or 0
    return IssuedReport(position, as_of, event.query, event.digest, event.issued_by, event.recorded_at)
