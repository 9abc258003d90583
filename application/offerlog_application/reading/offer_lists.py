"""The offers behind a number of the performance report, page by page: map by map, and part by part of a map.

A list by event looks first at the actions that were offered shortly before and in the range. Only if the
number is not reached there, it looks at all others: a wrong clock may have put any time between an offer and
its end.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.offer_parts import OfferRows
from offerlog_application.ports.offer_reads import ListedOffer, ListPlace, OfferNumber
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort

_ACTIONS_AT_ONCE: Final = (2_000, 20_000, 20_000, 20_000, 20_000)
"""Actions that each read of a page looks at: the first one mostly fills the page."""

_BEFORE: Final = timedelta(days=1)
"""The time before a range in which the offers of its events are looked for first."""

OfferSpan = tuple[datetime | None, datetime | None]
"""The first and the last time of offers in a part of a list; None where it has no bound."""

SelectOffers = Callable[[ListPlace, int, int], OfferRows]
"""Reads offers of one part of a map's list, behind a place: at most so many, of at most so many actions."""


def parts_of_list(query: ReportQuery, number: OfferNumber) -> Sequence[OfferSpan]:
    """Return the parts of a map's list: the offers near the range, then those before and behind it."""
    start, end = query.start, query.end
    if query.cohort is Cohort.OFFERED or number.state is State.OFFERED:
        return [(start, end)]
    low = None if start is None else start - _BEFORE
    parts: list[OfferSpan] = [(low, end)]
    if low is not None:
        parts.append((None, low))
    if end is not None:
        parts.append((end, None))
    return parts


def list_offers(
    counts: Mapping[ActionMapId, int], parts: int, behind: ListPlace, limit: int, select: SelectOffers
) -> tuple[Sequence[ListedOffer], ListPlace | None]:
    """Return a page of the offers behind a number, and the place where the next page begins, if any.

    Args:
        counts: The number of each action map.
        parts: The number of parts of a map's list.
        behind: The place where the page begins.
        limit: Most offers of the page.
        select: Reads offers.
    """
    maps = sorted(one for one, count in counts.items() if count and one >= behind.action_map_id)
    if not maps:
        return [], None
    place: ListPlace | None = behind if behind.action_map_id == maps[0] else ListPlace(maps[0])
    found: list[ListedOffer] = []
    for most in _ACTIONS_AT_ONCE:
        assert place is not None  # noqa: S101 - the loop ends with the last map
        if place.part >= parts or place.found >= counts[ActionMapId(place.action_map_id)]:
            place = None
        else:
            rows = select(place, limit - len(found), most)
            found += [offer for _, offer in rows.rows if offer is not None]
            place = _next_place(place, rows, parts)
        if place is None:  # this map's offers are complete
            del maps[0]
            if not maps:
                return found, None
            place = ListPlace(maps[0])
        if len(found) >= limit:
            break
    return found, place


def _next_place(place: ListPlace, rows: OfferRows, parts: int) -> ListPlace | None:
    """Return the place behind what was read; None if the map's offers are complete."""
    seen = place.found + len(rows.rows)
    if seen >= rows.count:
        return None
    if rows.looked_to is not None:
        return ListPlace(place.action_map_id, place.part, *rows.looked_to, seen)
    return None if place.part + 1 >= parts else ListPlace(place.action_map_id, place.part + 1, found=seen)
