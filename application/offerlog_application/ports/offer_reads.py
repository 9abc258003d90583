"""The port to single offers and their ends, for analysts.

Each read sees one state of the projections, whose position it returns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import OfferEnd


@dataclass(frozen=True, slots=True)
class CohortCounts:
    """Counts of the actions that were offered in a range, by action map.

    Attributes:
        position: The position of the log that the counts show.
        states: Number of actions that reached each state.
        media_types: Media types of these actions.
        form_rejections: Number of actions that were rejected at the form; maps without one are left out.
        still_open: Number of actions that are open and not lapsed; maps without one are left out.
        taken: Number of actions that ended with their acceptance; maps without one are left out.
    """

    position: LogPosition
    states: Mapping[ActionMapId, Mapping[State, int]]
    media_types: Mapping[ActionMapId, Collection[str]]
    form_rejections: Mapping[ActionMapId, int]
    still_open: Mapping[ActionMapId, int]
    taken: Mapping[ActionMapId, int]


class MapVersion(NamedTuple):
    """A part of an action map's counts: those of a media type, or of a media type and version.

    Attributes:
        action_map_id: The action map.
        media_type: The vendor's `actionMediaType`; None where it is not known.
        version: The map's version; None where the signals named none, or for all versions.
    """

    action_map_id: ActionMapId
    media_type: str | None
    version: int | None


@dataclass(frozen=True, slots=True)
class MapCounts:
    """Counts of the states that actions of a range reached, and of its blocked offers, by action map.

    Attributes:
        position: The position of the log that all of them show.
        counts: Counts by state, of actions or of distinct visitors, by map and media type, or by version too.
        blocked: Numbers of blocked offers, likewise. The media type is None where it is not known. Empty
            where visitors are counted.
        media_types: Media types of the actions of all time, of maps with blocked offers of which it is not
            known.
    """

    position: LogPosition
    counts: Mapping[MapVersion, Mapping[State, int]]
    blocked: Mapping[MapVersion, int]
    media_types: Mapping[ActionMapId, Collection[str]]


class BlockedCount(NamedTuple):
    """A number of blocked offers.

    Attributes:
        action_map_id: The action map; None for all of them.
        reason: The reason; None for all of them.
        blocked: Number of offers.
        remembered: Number of those that are remembered in a visitor-offer, because their action id was named.
            Of the others, the log has a number alone.
        visitors: Number of distinct visitors of remembered offers.
        sessions: Number of distinct sessions of remembered offers; None where they were not counted.
    """

    action_map_id: ActionMapId | None
    reason: str | None
    blocked: int
    remembered: int
    visitors: int
    sessions: int | None = None


@dataclass(frozen=True, slots=True)
class BlockedCounts:
    """Blocked offers of a range.

    Attributes:
        position: The position of the log that the counts show.
        counts: By map and reason, by reason, and in all; groups without any are left out.
        unknown_media_type: Number of blocked offers of the range and maps whose media type is not known. A
            query with a media type leaves them out.
        sessions: The distinct sessions behind the numbers of `counts`, by map and reason. They may be those
            of another server, too.
    """

    position: LogPosition
    counts: Sequence[BlockedCount]
    unknown_media_type: int
    sessions: Mapping[tuple[ActionMapId | None, str | None], Collection[UUID]]


class StepTimes(NamedTuple):
    """The time from the offer to a step.

    Attributes:
        actions: Number of actions that took the step.
        median: Seconds that half of them took at most; None without any.
        p90: Seconds that nine of ten took at most; None without any.
    """

    actions: int
    median: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class CohortTimes:
    """Times of the actions that were offered in a range.

    Attributes:
        position: The position of the log that the times show.
        times: By map and step (`accepted`, `started`, `engaged`); the map None is all of them together.
    """

    position: LogPosition
    times: Mapping[ActionMapId | None, Mapping[State, StepTimes]]


class ListedOffer(NamedTuple):
    """An action behind a number of a report.

    Attributes:
        customer_id: The visitor's id.
        customer_id_type: The type of that id.
        action_map_id: The action map.
        action_number: Number of the action in its visitor-offer, from 1.
        state: The state now.
        reached_at: The time of the metric's state.
        offered_at: The time of the offer.
    """

    customer_id: str
    customer_id_type: str
    action_map_id: ActionMapId
    action_number: int
    state: State
    reached_at: datetime
    offered_at: datetime


class OfferNumber(NamedTuple):
    """A number of the performance report or of the funnel.

    Attributes:
        state: The state that it counts. Of an end it is `offered`.
        stage: Only rejections of this stage; None for any.
        end: `open` or `lapsed`: only offers at this end; None for any.
    """

    state: State
    stage: Stage | None = None
    end: OfferEnd | None = None


class ListPlace(NamedTuple):
    """A place in a list of offers: behind an action, in one of the parts of its map's list.

    Attributes:
        action_map_id: The action map; empty for the beginning of the list.
        part: The number of the part, from 0.
        offered_at: The time of the action's offer; None for the beginning of the part.
        stream: The action's stream.
        number: Its number in it.
        found: Number of the map's offers before this place.
    """

    action_map_id: str = ""
    part: int = 0
    offered_at: datetime | None = None
    stream: UUID = UUID(int=0)
    number: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True)
class OfferPage:
    """A page of the offers behind a number.

    Attributes:
        position: The position of the log that the page shows.
        count: The number of the report.
        offers: The offers; those of visitors who were erased are not listed.
        behind: The place where the next page begins; None on the last page.
    """

    position: LogPosition
    count: int
    offers: Sequence[ListedOffer]
    behind: ListPlace | None


class OfferOfVisitor(NamedTuple):
    """A visitor-offer as it is now.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        state: The state of the newest action.
        stage: The stage of a rejection.
        since: The time of that state.
        actions: Number of offers that were made.
        is_suppressed: True if the map does not offer to the visitor now, by a terminal state.
        blocked_offers: Number of refused offers that the log remembers.
    """

    action_map_id: ActionMapId
    action_map_name: str | None
    state: State
    stage: Stage | None
    since: datetime
    actions: int
    is_suppressed: bool
    blocked_offers: int


class OfferReads(Protocol):
    """Reads of offers; thread-safe.

    Each method raises `ReadTimeoutError`, `ReadCancelledError` and `StoreUnavailableError`.
    """

    def cohort(self, query: ReportQuery, touched_after: datetime, most: int | None) -> CohortCounts:
        """Count the actions of a query that were offered in its range; at most `most` maps and one more.

        Args:
            query: The range and the maps.
            touched_after: An open action that was heard of later than this is not lapsed.
            most: Number of maps to return, and one more.
        """

    def map_counts(self, query: ReportQuery, most: int, *, by_version: bool) -> MapCounts:
        """Count the actions or visitors of a query in its range, and blocked offers, by map and media type.

        Args:
            query: The range, the cohort, the maps, the media type, and what is counted. With a media type,
                blocked offers count of which it is not known, too.
            most: Number of groups to return, and one more; and as many of blocked offers.
            by_version: True to count each version of a map apart.
        """

    def blocked(self, query: ReportQuery, most: int, most_sessions: int) -> BlockedCounts:
        """Count the blocked offers of a query, by the time of the offer.

        Args:
            query: The range, the maps and the media type. With a media type, offers count whose media type
                is known.
            most: Number of groups by map and reason to return, and one more.
            most_sessions: Number of remembered offers up to which sessions are counted.
        """

    def times(self, query: ReportQuery, most: int) -> CohortTimes | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""

    def offers_behind(
        self, query: ReportQuery, number: OfferNumber, touched_after: datetime, behind: ListPlace, limit: int
    ) -> OfferPage:
        """Return a page of the offers behind a number, by action map.

        Args:
            query: The range, the cohort, the action maps, and what is counted. Of visitors, the first action
                of each visitor-offer is listed.
            number: The number.
            touched_after: An open action that was heard of later than this is not lapsed.
            behind: The place where the page begins.
            limit: Most offers of the page.
        """

    def offers_of_visitor(
        self,
        organization: str,
        visitor_digest: UUID,
        behind: ActionMapId | None,
        limit: int,
        *,
        now: datetime,
    ) -> Sequence[OfferOfVisitor]:
        """Return the visitor-offers of a visitor, sorted by action map, after `behind` if given.

        Suppressions are those at the time `now`.
        """

    def is_known(self, organization: str, visitor_digest: UUID) -> bool:
        """Return whether an event, a refused signal or a counted blocked offer of the visitor is held."""
