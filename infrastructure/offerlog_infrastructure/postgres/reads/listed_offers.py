"""The offers behind a number of the performance report, page by page.

Actions are read in the order of their offers, by the index on them. A list by event looks first at those that
were offered shortly before and in the range. Only if the number is not reached there, it looks at all others:
a wrong clock may have put any time between an offer and its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import Cursor
from psycopg.rows import DictRow

from offerlog_application.ports.offer_reads import ListedOffer, ListPlace, OfferNumber
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import ACCEPTED_IS_FINAL, Cohort, CountBy, OfferEnd
from offerlog_infrastructure.postgres.log.visitors import VisitorKeys
from offerlog_infrastructure.postgres.reads.read_transaction import limit_statements

_ACTIONS_AT_ONCE: Final = (2_000, 20_000, 20_000, 20_000, 20_000)
"""Actions that each statement of a page looks at: the first one mostly fills the page."""

_BEFORE: Final = timedelta(days=1)
"""The time before a range in which the offers of its events are looked for first."""

_TIMES: Final[dict[State, LiteralString]] = {
    State.OFFERED: "offered_at",
    State.ACCEPTED: "accepted_at",
    State.STARTED: "started_at",
}
"""The columns of the states on the way; that of every other state is `since`."""

_BEHIND_ACCEPTED: Final = frozenset({State.ACCEPTED, State.STARTED, State.ABANDONED, State.ENGAGED})

_SELECT: LiteralString = """
    WITH scanned AS MATERIALIZED (
        SELECT * FROM current_actions
        WHERE organization = %(organization)s AND action_map_id = %(action_map)s::uuid
          AND offered_at >= %(low)s::timestamptz AND offered_at < %(high)s::timestamptz
          AND (offered_at, originator_id, number)
              > (%(offered_at)s::timestamptz, %(stream)s::uuid, %(number)s)
          AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s) AND {among}
        ORDER BY offered_at, originator_id, number LIMIT %(most)s
    ), matching AS (
        SELECT * FROM scanned
        WHERE {matches} AND {time} >= %(start)s::timestamptz AND {time} < %(until)s::timestamptz {first}
        ORDER BY offered_at, originator_id, number LIMIT %(limit)s
    ), last AS (
        SELECT count(*) OVER () AS actions, offered_at, originator_id, number FROM scanned
        ORDER BY offered_at DESC, originator_id DESC, number DESC LIMIT 1
    )
    SELECT last.actions, last.offered_at AS last_offered_at, last.originator_id AS last_stream,
        last.number AS last_number, m.originator_id, m.number, m.state, m.offered_at,
        m.{reached} AS reached_at, v.token, v.kek, v.wrapped_key, v.names
    FROM last LEFT JOIN matching m ON true LEFT JOIN visitors v
        ON v.token = ('x' || left(replace(m.originator_id::text, '-', ''), 16))::bit(64)::bigint
    ORDER BY m.offered_at, m.originator_id, m.number
"""

_IS_NOT_OVER: LiteralString = """
    state IN ('offered', 'accepted', 'started')
    AND NOT (state = 'accepted' AND media_type = ANY (%(accepted_is_final)s))
"""
_STILL_OPEN: LiteralString = f"""
    {_IS_NOT_OVER} AND EXISTS (
        SELECT FROM current_offers o WHERE o.originator_id = scanned.originator_id
          AND o.actions = scanned.number AND o.touched_at > %(touched_after)s
    )
"""
_LAPSED: LiteralString = f"""
    {_IS_NOT_OVER} AND NOT EXISTS (
        SELECT FROM current_offers o WHERE o.originator_id = scanned.originator_id
          AND o.actions = scanned.number AND o.touched_at > %(touched_after)s
    )
"""

_IS_FIRST: LiteralString = """
    AND (scanned.number = 1 OR NOT EXISTS (
        SELECT FROM current_actions AS scanned_before
        WHERE originator_id = scanned.originator_id AND number < scanned.number
          AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s)
          AND {matches} AND {time} >= %(start)s::timestamptz AND {time} < %(until)s::timestamptz
    ))
"""
"""Of the actions of a visitor-offer that a number counts, the first one stands for the visitor.

Most are the first one of all. The `OR` has the server look up the others row by row, by the primary key."""

_Part = tuple[datetime | None, datetime | None]
"""The first and the last time of offers in a part of a list; None where it has no bound."""


@dataclass(frozen=True, slots=True)
class AskedNumber:
    """A number of the performance report or of the funnel, by action map.

    Attributes:
        query: The range and the cohort.
        number: The number.
        touched_after: An open action that was heard of later than this is not lapsed.
        counts: The number of each action map.
    """

    query: ReportQuery
    number: OfferNumber
    touched_after: datetime
    counts: Mapping[ActionMapId, int]


def select_offers_behind(
    cursor: Cursor[DictRow], keys: VisitorKeys, asked: AskedNumber, behind: ListPlace, limit: int
) -> tuple[Sequence[ListedOffer], ListPlace | None]:
    """Select a page of the offers behind a number, and the place where the next page begins, if any.

    Args:
        cursor: Of a transaction that sees one state.
        keys: Open the names of visitors.
        asked: The number.
        behind: The place where the page begins.
        limit: Most offers of the page.
    """
    maps = sorted(one for one, count in asked.counts.items() if count and one >= behind.action_map_id)
    if not maps:
        return [], None
    place: ListPlace | None = behind if behind.action_map_id == maps[0] else ListPlace(maps[0])
    found: list[ListedOffer] = []
    for most in _ACTIONS_AT_ONCE:
        assert place is not None  # noqa: S101 - the loop ends with the last map
        offers, place = _select_some(cursor, keys, asked, place, (limit - len(found), most))
        found += offers
        if place is None:  # this map's offers are complete
            del maps[0]
            if not maps:
                return found, None
            place = ListPlace(maps[0])
        if len(found) >= limit:
            break
    return found, place


def _select_some(
    cursor: Cursor[DictRow], keys: VisitorKeys, asked: AskedNumber, place: ListPlace, bounds: tuple[int, int]
) -> tuple[Sequence[ListedOffer], ListPlace | None]:
    """Select offers of one action map by one statement; the place behind the last of them is None.

    `bounds` are the most offers to select, and the most actions to look at.
    """
    parts, count, action_map = (
        _parts(asked),
        asked.counts[ActionMapId(place.action_map_id)],
        place.action_map_id,
    )
    wanted, most = bounds
    if place.part >= len(parts) or place.found >= count:
        return [], None
    limit_statements(cursor)
    where = _parameters(asked, parts[place.part], place) | {"limit": wanted, "most": most}
    rows = cursor.execute(_build(asked), where).fetchall()
    matching = [row for row in rows if row["originator_id"] is not None]
    offers = [_open(keys, action_map, row) for row in matching if row["names"] is not None]
    seen = place.found + len(matching)
    if len(matching) == wanted:
        last = matching[-1]
        at = last["offered_at"], last["originator_id"], last["number"]
    elif rows and rows[0]["actions"] == most:
        last = rows[0]
        at = last["last_offered_at"], last["last_stream"], last["last_number"]
    else:
        is_over = place.part + 1 >= len(parts) or seen >= count
        return offers, None if is_over else ListPlace(action_map, place.part + 1, found=seen)
    return offers, ListPlace(action_map, place.part, *at, seen) if seen < count else None


def _build(asked: AskedNumber) -> LiteralString:
    """Build the statement for a number."""
    metric, stage, end = asked.number
    reached = "since" if end is not None else _TIMES.get(metric, "since")
    is_accepted = metric in _BEHIND_ACCEPTED or stage is Stage.FORM
    matches: LiteralString = "true"
    if end is not None:
        matches = _STILL_OPEN if end is OfferEnd.OPEN else _LAPSED
    elif metric not in _TIMES:
        matches = "state = %(state)s"
    elif metric is not State.OFFERED:
        matches = "accepted_at IS NOT NULL" if metric is State.ACCEPTED else "started_at IS NOT NULL"
    if stage is not None:
        matches += " AND stage = 'form'" if stage is Stage.FORM else " AND stage = 'invitation'"
    time: LiteralString = "offered_at" if asked.query.cohort is Cohort.OFFERED else reached
    by_visitors = asked.query.count_by is CountBy.VISITORS
    return _SELECT.format(
        among="accepted_at IS NOT NULL" if is_accepted else "true",
        matches=matches,
        time=time,
        first=_IS_FIRST.format(matches=matches, time=time) if by_visitors else "",
        reached=reached,
    )


def _parts(asked: AskedNumber) -> Sequence[_Part]:
    """Return the parts of a list: the offers near the range, then those before, then those behind it."""
    start, end = asked.query.start, asked.query.end
    if asked.query.cohort is Cohort.OFFERED or asked.number.state is State.OFFERED:
        return [(start, end)]
    low = None if start is None else start - _BEFORE
    parts: list[_Part] = [(low, end)]
    if low is not None:
        parts.append((None, low))
    if end is not None:
        parts.append((end, None))
    return parts


def _parameters(asked: AskedNumber, part: _Part, place: ListPlace) -> dict[str, Any]:
    (low, high), query = part, asked.query
    return {
        "organization": query.organization,
        "action_map": place.action_map_id,
        "low": low or "-infinity",
        "high": high or "infinity",
        "offered_at": place.offered_at or "-infinity",
        "stream": place.stream,
        "number": place.number,
        "start": query.start or "-infinity",
        "until": query.end or "infinity",
        "state": asked.number.state.value,
        "touched_after": asked.touched_after,
        "media_type": query.media_type,
        "accepted_is_final": list(ACCEPTED_IS_FINAL),
    }


def _open(keys: VisitorKeys, action_map: str, row: DictRow) -> ListedOffer:
    visitor = keys.open_names(row["token"], row["kek"], bytes(row["wrapped_key"]), bytes(row["names"]))
    return ListedOffer(
        visitor.id,
        visitor.type,
        ActionMapId(action_map),
        row["number"],
        State(row["state"]),
        row["reached_at"],
        row["offered_at"],
    )
