"""Snapshots of the projections for reads of offers, and what these reads share."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString

from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor
from psycopg.rows import DictRow

from offerlog_application.ports.offer_parts import AskedNumber
from offerlog_application.ports.performance_counts import ReportQuery, RowCounts
from offerlog_application.projections.slots import slot
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import ACCEPTED_IS_FINAL, offer_ends
from offerlog_infrastructure.postgres.reads.performance import select_counts, select_slots
from offerlog_infrastructure.postgres.reads.read_transaction import (
    ONE_SNAPSHOT,
    limit_statements,
    read_transaction,
)

_SELECT_POSITION: LiteralString = """
    SELECT min(notification_id) AS position FROM offerlog_tracking
    WHERE application_name IN ('current_state', 'performance')
"""
_SELECT_FORMS: LiteralString = """
    SELECT action_map_id::text, sum(rejections)::bigint AS rejections FROM form_rejections
    WHERE organization = %(organization)s AND action_map_id = ANY (%(maps)s::uuid[])
      AND slot >= %(first)s AND slot < %(end)s
      AND (%(media_type)s::text IS NULL OR media_type = %(media_type)s)
    GROUP BY 1
"""
# Few rows at any time: those of which something was heard within the time of a lapse.
_SELECT_STILL_OPEN: LiteralString = """
    SELECT a.action_map_id::text, count(*) AS actions
    FROM current_offers o JOIN current_actions a ON a.originator_id = o.originator_id AND a.number = o.actions
    WHERE o.organization = %(organization)s AND o.touched_at > %(touched_after)s
      AND (%(start)s::timestamptz IS NULL OR a.offered_at >= %(start)s)
      AND (%(until)s::timestamptz IS NULL OR a.offered_at < %(until)s)
      AND a.action_map_id = ANY (%(maps)s::uuid[])
      AND (%(media_type)s::text IS NULL OR a.media_type = %(media_type)s)
    GROUP BY 1
"""


class OfferSnapshot:
    """Reads of offers in one transaction, which sees one state of the projections.

    Attributes:
        cursor: In the transaction.
        position: The position of the projections.
    """

    def __init__(self, cursor: Cursor[DictRow], position: int) -> None:
        self.cursor = cursor
        self.position = position

    def select(self, statement: LiteralString, parameters: Mapping[str, Any]) -> list[DictRow]:
        """Run a statement of a read with the time that is left."""
        limit_statements(self.cursor)
        return self.cursor.execute(statement, parameters).fetchall()

    def find_slots(self, query: ReportQuery) -> tuple[int, int]:
        """Find the slots of a query's range in which anything may have been counted."""
        first, end = select_slots(self.cursor, query)
        first = first if query.start is None else max(first, slot(query.start))
        return first, end if query.end is None else min(end, slot(query.end))

    def count(self, query: ReportQuery, most: int | None = None) -> Mapping[ActionMapId, RowCounts]:
        """Count the states that actions of a query's range reached, by action map."""
        first, end = self.find_slots(query)
        if first >= end:
            return {}
        limit_statements(self.cursor)
        counted = select_counts(self.cursor, query, first, end, [(first, 0)], most=most)
        return {action_map: counts for (action_map, _), counts in counted.items()}

    def count_forms(self, query: ReportQuery, maps: Sequence[ActionMapId]) -> Mapping[ActionMapId, int]:
        """Count the rejections at the form of the offers of a range; maps without one are left out."""
        first, end = self.find_slots(query)
        rows = self.select(_SELECT_FORMS, offer_parameters(query, maps) | {"first": first, "end": end})
        return {row["action_map_id"]: row["rejections"] for row in rows}

    def count_still_open(
        self, query: ReportQuery, maps: Sequence[ActionMapId], touched_after: datetime
    ) -> Mapping[ActionMapId, int]:
        """Count the offers of a range that are open and not lapsed; maps without one are left out."""
        parameters = offer_parameters(query, maps) | {"touched_after": touched_after}
        rows = self.select(_SELECT_STILL_OPEN, parameters)
        return {row["action_map_id"]: row["actions"] for row in rows}

    def count_taken(self, query: ReportQuery) -> Mapping[ActionMapId, int]:
        """Count the acceptances after which nothing follows, by action map."""
        found: Counter[ActionMapId] = Counter()
        for media_type in ACCEPTED_IS_FINAL:
            if query.media_type in {None, media_type}:
                for action_map, counts in self.count(replace(query, media_type=media_type)).items():
                    found[action_map] += counts.states.get(State.ACCEPTED, 0)
        return found

    def count_behind(self, asked: AskedNumber) -> Mapping[ActionMapId, int]:
        """Count the offers behind a number, by action map."""
        query, number = asked.query, asked.number
        states = {action_map: counts.states for action_map, counts in self.count(query).items()}
        maps = list(states)
        counts = {one: found.get(number.state, 0) for one, found in states.items()}
        if number.stage is not None:
            forms = self.count_forms(query, maps)
            for one, count in counts.items():
                at_form = forms.get(one, 0)
                counts[one] = at_form if number.stage is Stage.FORM else count - at_form
        elif number.end is not None:
            lasting, taken = self.count_still_open(query, maps, asked.touched_after), self.count_taken(query)
            for one, found in states.items():
                ends = offer_ends(found, 0, lasting.get(one, 0), taken.get(one, 0))
                counts[one] = ends[number.end]
        return counts


@contextmanager
def offer_snapshot(datastore: PostgresDatastore) -> Iterator[OfferSnapshot]:
    """Open a transaction that sees one state of the projections."""
    with read_transaction(datastore) as cursor:
        cursor.execute(ONE_SNAPSHOT)
        row = cursor.execute(_SELECT_POSITION).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        limit_statements(cursor)
        yield OfferSnapshot(cursor, int(row["position"] or 0))


def offer_parameters(query: ReportQuery, maps: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of statements about the offers of a range."""
    return {
        "organization": query.organization,
        "maps": maps,
        "start": query.start,
        "until": query.end,
        "media_type": query.media_type,
    }
