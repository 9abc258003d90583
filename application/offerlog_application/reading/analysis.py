"""Analysts' questions to an open service: where offers end, how long they take, who is behind a number."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.offer_reads import (
    BlockedCount,
    ListPlace,
    OfferNumber,
    OfferOfVisitor,
    OfferPage,
    OfferReads,
    StepTimes,
)
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.projections import DeadLetters
from offerlog_application.ports.read_side import PerformanceSource
from offerlog_application.ports.recent_visitors import RecentVisitorPage, RecentVisitors, VisitorsPlace
from offerlog_application.reading.action_maps import (
    ActionMapsReport,
    blocked_by_row,
    check_baseline,
    make_rows,
)
from offerlog_application.reading.funnel import Funnel, make_funnel
from offerlog_application.reading.map_names import find_action_maps
from offerlog_application.reading.performance_report import DEFAULT_LIMITS, ReportTooLargeError
from offerlog_application.reading.read_budget import ReadBudget, current_budget
from offerlog_application.reading.report_range import Range, report_range
from offerlog_domain.errors import ArgumentError
from offerlog_domain.identity import ActionMapId, VisitorKey, parse_visitor_key
from offerlog_domain.lifecycle import BEFORE_OFFER, State
from offerlog_domain.metrics import Cohort, CountBy, Granularity

MAX_SESSIONS_READ: Final = 10_000
"""Most remembered blocked offers whose sessions are counted: each of them is decrypted."""

MAX_ACTIONS_MEASURED: Final = 1_000_000
"""Most accepted actions whose times are sorted."""

_MOST_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class BlockedOffers:
    """Offers that were not made: the offer rule, or the vendor, has blocked them.

    Attributes:
        query: The query.
        position: The position of the log that the counts show.
        total: All of them.
        reasons: By reason, the most frequent first.
        parts: By action map and reason: sorted by map, then the most frequent reason first.
        names: Newest known display names of the maps.
        unknown_media_type: Number of blocked offers of the range and maps whose media type is not known. If
            the query has a media type, they are left out of all counts.
        short_by: Number of dead-letter events of these maps, in any period: they are not counted.
    """

    query: ReportQuery
    position: LogPosition
    total: BlockedCount
    reasons: Sequence[BlockedCount]
    parts: Sequence[BlockedCount]
    names: Mapping[ActionMapId, str]
    unknown_media_type: int
    short_by: int = 0


@dataclass(frozen=True, slots=True)
class OfferTimes:
    """Seconds from the offer to each step, of the offers made in a range; exact.

    Attributes:
        query: The query.
        position: The position of the log that the times show.
        total: All action maps together, by step.
        parts: By action map, sorted by id; maps without an accepted offer are left out.
        names: Newest known display names of the maps.
        short_by: Number of dead-letter events of these maps, in any period: they are missing.
    """

    query: ReportQuery
    position: LogPosition
    total: Mapping[State, StepTimes]
    parts: Mapping[ActionMapId, Mapping[State, StepTimes]]
    names: Mapping[ActionMapId, str]
    short_by: int = 0


@dataclass(frozen=True, slots=True)
class VisitorOverview:
    """All visitor-offers of a visitor at once.

    Attributes:
        is_known: True if an event, a refused signal or a counted blocked offer of the visitor is held.
        offers: The visitor-offers, sorted by action map.
    """

    is_known: bool
    offers: Sequence[OfferOfVisitor]


class Analysis(OrganizationScope):
    """The part of a service that analysts ask; thread-safe.

    Every method works for the organization of the service unless the call names another. A read takes 30
    seconds at most, or as long as the current `ReadBudget` allows.

    Attributes:
        organization: That organization.
    """

    def __init__(
        self,
        offers: OfferReads,
        recent_visitors: RecentVisitors,
        performance: PerformanceSource,
        dead_letters: DeadLetters,
        clock: Clock,
        *,
        open_action_ttl: timedelta,
        digest: Callable[[str, VisitorKey], UUID],
        organization: str,
    ) -> None:
        self.organization = organization
        self._offers = offers
        self._recent_visitors = recent_visitors
        self._performance = performance
        self._dead_letters = dead_letters
        self._clock = clock
        self._open_action_ttl = open_action_ttl
        self._digest = digest

    def now(self) -> datetime:
        """Return the time by the service's clock, in UTC."""
        return self._clock.now()

    def range(
        self, zone: ZoneInfo, *, start: str | None = None, end: str | None = None, last: str | None = None
    ) -> Range:
        """Return the range that texts such as `yesterday` or `-7d` mean now; see `report_range`.

        Raises:
            CalendarError: A text is not such a time, or `last` is not alone.
        """
        return report_range(start, end, last, zone, self._clock.now())

    def find_action_maps(self, texts: Sequence[str], *, organization: str | None = None) -> tuple[str, ...]:
        """Return the ids of action maps that are given by id or by their newest display name.

        Raises:
            UnknownActionMapError: A text is not an id, and no map or more than one has it as its name.
        """
        return find_action_maps(self._performance, self._of(organization), texts)

    def funnel(self, query: ReportQuery) -> Funnel:
        """Return where the offers of a range ended, by action map and in all.

        Only organization, range, zone and maps of the query count. Open and lapsed actions are told apart as
        of the current minute.

        Raises:
            ReportTooLargeError: There are more than 50,000 maps.
        """
        asked = _by_offer(query)
        as_of = self._as_of()
        with _limited():
            counted = self._offers.cohort(asked, as_of - self._open_action_ttl, _MOST_ROWS)
            if len(counted.states) > _MOST_ROWS:
                raise ReportTooLargeError(asked, "rows", _MOST_ROWS)
            names = self._performance.names(asked.organization, sorted(counted.states))
            return make_funnel(asked, as_of, counted, names, self._short_by(asked))

    def blocked_offers(self, query: ReportQuery) -> BlockedOffers:
        """Return the offers that were blocked in a range, by reason; of remembered ones, the visitors.

        Only organization, range, zone, maps and media type of the query count.

        Raises:
            ReportTooLargeError: There are more than 50,000 rows.
        """
        with _limited():
            found = self._offers.blocked(query, _MOST_ROWS, MAX_SESSIONS_READ)
            if len(found.counts) > _MOST_ROWS:
                raise ReportTooLargeError(query, "rows", _MOST_ROWS)
            parts = [one for one in found.counts if one.action_map_id is not None]
            reasons = [one for one in found.counts if one.action_map_id is None and one.reason is not None]
            total = next(
                (one for one in found.counts if one.reason is None), BlockedCount(None, None, 0, 0, 0, 0)
            )
            maps = sorted({one.action_map_id for one in parts if one.action_map_id is not None})
            names = self._performance.names(query.organization, maps)
            return BlockedOffers(
                query,
                found.position,
                total,
                sorted(reasons, key=lambda one: (-one.blocked, one.reason)),
                sorted(parts, key=lambda one: (one.action_map_id or "", -one.blocked, one.reason)),
                names,
                found.unknown_media_type,
                self._short_by(query),
            )

    def action_maps_report(
        self, query: ReportQuery, *, by_version: bool | None = None, baseline: int | None = None
    ) -> ActionMapsReport:
        """Return what became of each action map, by media type, or also by version with a comparison.

        Everything of the query counts but the size of a bucket and the metric set. Offers that qualified or
        were blocked count at their own time in either cohort. Only the cohort `offered` compares versions.

        Args:
            query: The query.
            by_version: True to count each version of a map apart, and to compare it with another. None is
                True with a baseline, else False.
            baseline: The version to compare with; None for the version before that made an offer.

        Raises:
            ArgumentError: The baseline made no offer in the range, and other versions did. Or there is a
                baseline, and the report is not by version.
            ReportTooLargeError: There are more than 50,000 rows.
        """
        if by_version is None:
            by_version = baseline is not None
        if baseline is not None and not by_version:
            raise ArgumentError("baseline", "versions are compared only in a report by version")
        with _limited():
            found = self._offers.map_counts(query, _MOST_ROWS, by_version=by_version)
            blocked = blocked_by_row(query, found)
            # Before the rule is applied to them too: the store returns no more.
            if max(len(found.blocked), len({*found.counts, *blocked})) > _MOST_ROWS:
                raise ReportTooLargeError(query, "rows", _MOST_ROWS)
            if baseline is not None:
                check_baseline(baseline, found.counts)
            maps = sorted({group.action_map_id for group in (*found.counts, *blocked)})
            names = self._performance.names(query.organization, maps)
            rows = make_rows(query, found.counts, blocked, names, compares=by_version, baseline=baseline)
            return ActionMapsReport(query, by_version, baseline, found.position, rows, self._short_by(query))

    def times(self, query: ReportQuery) -> OfferTimes:
        """Return median and p90 of the time from the offer to each step, of the offers made in a range.

        Only organization, range, zone and maps of the query count.

        Raises:
            ReportTooLargeError: More than 1,000,000 of the offers were accepted.
        """
        asked = _by_offer(query)
        with _limited():
            found = self._offers.times(asked, MAX_ACTIONS_MEASURED)
            if found is None:
                raise ReportTooLargeError(asked, "accepted offers", MAX_ACTIONS_MEASURED)
            parts = {one: found.times[one] for one in sorted(filter(None, found.times))}
            names = self._performance.names(asked.organization, list(parts))
            total = found.times.get(None) or {step: StepTimes(0, None, None) for step in _STEPS}
            return OfferTimes(asked, found.position, total, parts, names, self._short_by(asked))

    def offers_behind(
        self,
        query: ReportQuery,
        number: OfferNumber,
        *,
        behind: ListPlace | None = None,
        limit: int = 100,
    ) -> OfferPage:
        """Return a page of the offers behind a number of the performance report or of the funnel.

        Args:
            query: The range, the cohort, the action maps, and what is counted. Of visitors, the first action
                of each visitor-offer is listed that the number counts.
            number: The number. A stage or an end needs the cohort `offered`.
            behind: The place where the page begins; None for the beginning.
            limit: Most offers of the page. It may have fewer, even none, where others follow.

        Raises:
            ArgumentError: The number has a stage or an end, and the cohort is another, or it counts visitors.
                Or it counts actions before an offer, which no list has.
        """
        if number.state in BEFORE_OFFER:
            raise ArgumentError("metric", "actions are listed from their offer on")
        if query.count_by is CountBy.VISITORS and (number.stage or number.end):
            raise ArgumentError("count_by", "an end counts actions, not visitors")
        if query.cohort is not Cohort.OFFERED and (number.stage or number.end):
            raise ArgumentError("metric", "an end is counted by the time of the offer: give cohort offered")
        asked = replace(query, by=Granularity.TOTAL)
        touched_after = self._as_of() - self._open_action_ttl
        with _limited():
            return self._offers.offers_behind(asked, number, touched_after, behind or ListPlace(), limit)

    def visitor(
        self,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
        behind: str | None = None,
        limit: int = 1_000,
    ) -> VisitorOverview:
        """Return all visitor-offers of a visitor, after an action map if given.

        Raises:
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
        """
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
        name = self._of(organization)
        digest = self._digest(name, visitor)
        after = None if behind is None else ActionMapId(behind)
        with _limited():
            offers = self._offers.offers_of_visitor(name, digest, after, limit, now=self._clock.now())
            return VisitorOverview(bool(offers) or self._offers.is_known(name, digest), offers)

    def recent_visitors(
        self,
        *,
        organization: str | None = None,
        behind: VisitorsPlace | None = None,
        limit: int = 100,
        media_type: str | None = None,
    ) -> RecentVisitorPage:
        """Return a page of the visitors with the newest events of the log, the newest first.

        Args:
            organization: The tenant.
            behind: The place where the page begins; None for the newest visitors.
            limit: Most visitors of the page. It may have fewer, even none, where others follow.
            media_type: Only visitors who were made an offer of it, by the projections; None for all.
        """
        with _limited():
            return self._recent_visitors.recent(self._of(organization), behind, limit, media_type)

    def map_names(
        self, action_maps: Sequence[ActionMapId], *, organization: str | None = None
    ) -> Mapping[ActionMapId, str]:
        """Return the newest known display names of these maps; maps without one are left out."""
        with _limited():
            return self._performance.names(self._of(organization), sorted(set(action_maps)))

    def _as_of(self) -> datetime:
        """Return the current minute, as of which open and lapsed offers are told apart."""
        return self._clock.now().replace(second=0, microsecond=0)

    def _short_by(self, query: ReportQuery) -> int:
        return self._dead_letters.short_by("performance", query.organization, query.action_maps)


_STEPS: Final = (State.ACCEPTED, State.STARTED, State.ENGAGED)


def _by_offer(query: ReportQuery) -> ReportQuery:
    """Return the query of a cohort: each action's states stand at the time of its offer."""
    return replace(query, cohort=Cohort.OFFERED, by=Granularity.TOTAL, count_by=CountBy.ACTIONS)


@contextmanager
def _limited() -> Iterator[None]:
    """Limit a read to the time of the current budget, or else to that of a report."""
    with ExitStack() as held:
        if current_budget() is None:
            held.enter_context(ReadBudget(DEFAULT_LIMITS.seconds).active())
        yield
