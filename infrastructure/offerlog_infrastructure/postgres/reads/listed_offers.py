"""Offers behind a number of the performance report, read in their order by the index on them."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg import Cursor
from psycopg.rows import DictRow

from offerlog_application.ports.offer_parts import AskedNumber, OfferPlace
from offerlog_application.ports.offer_reads import ListedOffer, ListPlace
from offerlog_application.reading.offer_lists import OfferSpan, parts_of_list
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import ACCEPTED_IS_FINAL, Cohort, CountBy, OfferEnd
from offerlog_infrastructure.postgres.log.visitors import VisitorKeys
from offerlog_infrastructure.postgres.reads.read_transaction import limit_statements

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


def select_some(
    cursor: Cursor[DictRow], keys: VisitorKeys, asked: AskedNumber, place: ListPlace, bounds: tuple[int, int]
) -> tuple[Sequence[tuple[OfferPlace, ListedOffer | None]], OfferPlace | None]:
    """Select offers of one part of a map's list, and the last place looked at; None if there are no more.

    Args:
        cursor: Of a transaction that sees one state.
        keys: Open the names of visitors.
        asked: The number.
        place: The place where the offers begin.
        bounds: The most offers to select, and the most actions to look at.
    """
    parts, (wanted, most) = parts_of_list(asked.query, asked.number), bounds
    limit_statements(cursor)
    where = _parameters(asked, parts[place.part], place) | {"limit": wanted, "most": most}
    rows = cursor.execute(_build(asked), where).fetchall()
    matching = [row for row in rows if row["originator_id"] is not None]
    found = [(_place(row), _open(keys, place.action_map_id, row)) for row in matching]
    if len(matching) == wanted:
        return found, found[-1][0]
    if rows and rows[0]["actions"] == most:
        last = rows[0]
        return found, OfferPlace(last["last_offered_at"], last["last_stream"], last["last_number"])
    return found, None


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


def _parameters(asked: AskedNumber, part: OfferSpan, place: ListPlace) -> dict[str, Any]:
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


def _place(row: DictRow) -> OfferPlace:
    return OfferPlace(row["offered_at"], row["originator_id"], row["number"])


def _open(keys: VisitorKeys, action_map: str, row: DictRow) -> ListedOffer | None:
    """Return an offer; None if the visitor was erased."""
    if row["names"] is None:
        return None
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
