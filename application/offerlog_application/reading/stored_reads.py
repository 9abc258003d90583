"""Answers of an open service from its projections: reports, lists and look-ups."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.projections import DeadLetters
from offerlog_application.ports.read_models import KeptSignal, Lookup, NoReplicaError, Suppression
from offerlog_application.ports.read_side import PerformanceSource, ReadSide, Replica
from offerlog_application.reading.performance_report import (
    DEFAULT_LIMITS,
    PerformanceReport,
    ReportLimits,
    report,
)
from offerlog_application.reading.read_budget import ReadBudget, current_budget
from offerlog_domain.identity import ActionMapId, VisitorKey, parse_action_map_id

_ONE_SERVER: Final = frozenset({0})


class StoredReads(OrganizationScope):
    """The part of `Offerlog` that answers reports, lists and look-ups.

    Attributes:
        organization: The organization that the methods work for unless they are given another.
    """

    def __init__(
        self,
        reads: ReadSide,
        performance: PerformanceSource,
        dead_letters: DeadLetters,
        *,
        organization: str,
        replica: Replica | None,
    ) -> None:
        self.organization = organization
        self._reads = reads
        self._performance = performance
        self._dead_letters = dead_letters
        self._replica = replica

    def suppressions(
        self, customer_id: str, customer_id_type: str = "cookie", *, organization: str | None = None
    ) -> Sequence[Suppression]:
        """Return the suppressions of a visitor, from the projection; sorted by map."""
        visitor = VisitorKey(customer_id_type, customer_id)
        return self._reads.suppressions_of_visitor(self._of(organization), visitor)

    def suppressions_of(
        self, visitors: Sequence[VisitorKey], *, organization: str | None = None
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """Return the suppressions of many visitors. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 together.
        """
        return self._reads.suppressions_of_visitors(self._of(organization), visitors)

    def shards_of(self, visitors: Iterable[VisitorKey], *, organization: str | None = None) -> frozenset[int]:
        """Return the numbers of the servers that have these visitors; 0 where there is one server."""
        del visitors, organization
        return _ONE_SERVER

    def local_suppressions(
        self, customer_id: str, customer_id_type: str = "cookie", *, organization: str | None = None
    ) -> Lookup:
        """Return the suppressions of a visitor from the local copy, without asking the store.

        Raises:
            ReplicaStaleError: The copy is older than it may be; ask `suppressions`, or offer nothing.
            NoReplicaError: The service was opened without a copy.
        """
        if self._replica is None:
            raise NoReplicaError
        return self._replica.look_up(self._of(organization), VisitorKey(customer_id_type, customer_id))

    def suppressed_visitors(
        self, action_map_id: str, *, organization: str | None = None, behind: VisitorKey | None = None
    ) -> Generator[Suppression]:
        """Stream the suppressions of an action map, from the projection, after the visitor `behind` if given.

        They come in the order in which the visitors came, slice by slice.

        Raises:
            MalformedSignalError: The id is not an action map's.
            UnknownVisitorError: Nothing was recorded of the visitor `behind`; raised by the first step.
        """
        return self._reads.suppressions_of_action_map(
            self._of(organization), parse_action_map_id(action_map_id), behind
        )

    def report(
        self, query: ReportQuery, limits: ReportLimits = DEFAULT_LIMITS, *, partial: bool = False
    ) -> PerformanceReport:
        """Return the Action Map Performance report, from the projection.

        Args:
            query: The query.
            limits: The size and time that it may take.
            partial: Of several servers, leave out those that cannot be reached. The report names their slices
                (`missing_slices`); without this, it is an error.

        Raises:
            ReportTooLargeError: The report would have more buckets or rows than `limits` allows.
            ReadTimeoutError: The report takes longer than `limits` or the current `ReadBudget` allows.
            ReadCancelledError: The current `ReadBudget` was cancelled.
            ShardUnavailableError: One of several servers cannot be reached, and `partial` is false.
        """
        del partial  # one server has all slices
        with ExitStack() as held:
            if current_budget() is None:
                held.enter_context(ReadBudget(limits.seconds).active())
            made = report(query, self._performance, limits)
            missing = self._dead_letters.short_by("performance", query.organization, query.action_maps)
        return replace(made, short_by=missing)

    def action_maps(
        self, *, organization: str | None = None, behind: str | None = None
    ) -> Generator[tuple[str, str | None]]:
        """Stream the counted action maps with their newest known names, after `behind` if given."""
        start = None if behind is None else ActionMapId(behind)
        return self._performance.action_maps(self._of(organization), start)

    def parked(self, *, organization: str | None = None) -> Generator[KeptSignal]:
        """Stream the signals that wait for their action, from the projection; short ones come last."""
        return self._reads.parked(self._of(organization))
