"""The port to what one of several stores adds to answers about the offers of all.

Whatever a store can only count for itself is given as it is counted: values instead of a median, rows with
their places instead of a page. Each read sees one state of the projections, whose position it returns.
"""

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.offer_reads import ListedOffer, ListPlace, OfferNumber
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State


@dataclass(frozen=True, slots=True)
class CohortSeconds:
    """The seconds from the offer to each step, of the actions that were offered in a range.

    Attributes:
        position: The position of the log that they show.
        seconds: By map and step (`accepted`, `started`, `engaged`), ascending; maps without an accepted offer
            are left out.
    """

    position: LogPosition
    seconds: "Mapping[ActionMapId, Mapping[State, array[float]]]"


@dataclass(frozen=True, slots=True)
class NumberCounts:
    """A number of a report, by action map.

    Attributes:
        position: The position of the log that it shows.
        counts: The number of each map.
    """

    position: LogPosition
    counts: Mapping[ActionMapId, int]


@dataclass(frozen=True, slots=True)
class AskedNumber:
    """A number of the performance report or of the funnel.

    Attributes:
        query: The range, the cohort, the action maps, and what is counted.
        number: The number.
        touched_after: An open action that was heard of later than this is not lapsed.
    """

    query: ReportQuery
    number: OfferNumber
    touched_after: datetime


class OfferPlace(NamedTuple):
    """The place of an action among those of its map: the same in every store, and after a move.

    Attributes:
        offered_at: The time of the offer.
        stream: The action's stream.
        number: Its number in it.
    """

    offered_at: datetime
    stream: UUID
    number: int


@dataclass(frozen=True, slots=True)
class OfferRows:
    """Some of the offers behind a number, of one part of a map's list.

    Attributes:
        position: The position of the log that they show.
        count: The number of the map.
        rows: The offers by place, ascending; None for an offer of a visitor who was erased.
        looked_to: The last place that was looked at; None if there is no more in the part.
    """

    position: LogPosition
    count: int
    rows: Sequence[tuple[OfferPlace, ListedOffer | None]]
    looked_to: OfferPlace | None


class OfferParts(Protocol):
    """Reads what a store adds to the answers of several; thread-safe.

    Each method raises `ReadTimeoutError`, `ReadCancelledError` and `StoreUnavailableError`.
    """

    def media_types(
        self, query: ReportQuery, action_maps: Sequence[ActionMapId]
    ) -> Mapping[ActionMapId, Collection[str]]:
        """Return the media types that the actions of these maps had at any time."""

    def seconds(self, query: ReportQuery, most: int) -> CohortSeconds | None:
        """Measure the steps of the actions that were offered in a range; None if more were accepted."""

    def count_behind(self, asked: AskedNumber) -> NumberCounts:
        """Count the offers behind a number, by action map."""

    def some_behind(self, asked: AskedNumber, place: ListPlace, limit: int, most: int) -> OfferRows:
        """Return offers behind a number of the only map of the query, in one part of its list.

        Args:
            asked: The number.
            place: The part, and the place behind which the offers begin; `found` does not count.
            limit: Most offers.
            most: Most actions to look at.
        """
