"""Writing the projections' tables: one change of a view, in the transaction that moves its position."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Cursor

from offerlog_application.projections.current_state import current_state
from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import performance
from offerlog_application.projections.suppression import suppressions
from offerlog_domain.metrics import METRICS

_PUT_OFFERS: LiteralString = """
    INSERT INTO current_offers AS c (originator_id, organization, customer_id_type, customer_id,
        action_map_id, action_id, state, stage, since, actions, lifecycle_version, withdrawn_at)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[], %s::bytea[], %s::uuid[], %s::uuid[], %s::text[],
        %s::text[], %s::timestamptz[], %s::int[], %s::int[], %s::timestamptz[])
    ON CONFLICT (originator_id) DO UPDATE SET
        action_id = excluded.action_id, state = excluded.state, stage = excluded.stage,
        since = excluded.since, actions = excluded.actions, withdrawn_at = excluded.withdrawn_at,
        lifecycle_version = c.lifecycle_version + excluded.lifecycle_version
"""
_PUT_ACTIONS: LiteralString = """
    INSERT INTO current_actions (originator_id, action_id, number, state, stage, since, offered_at)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::text[], %s::text[], %s::timestamptz[],
        %s::timestamptz[])
    ON CONFLICT (originator_id, action_id) DO UPDATE SET
        state = excluded.state, stage = excluded.stage, since = excluded.since
"""
_DROP_REFUSED: LiteralString = """
    DELETE FROM parked_signals USING unnest(%s::uuid[], %s::uuid[]) AS gone (stream, action)
    WHERE originator_id = gone.stream AND action_id = gone.action
"""
_DROP_PARKED: LiteralString = """
    DELETE FROM parked_signals
    USING unnest(%s::uuid[], %s::uuid[], %s::text[]) AS gone (stream, action, reached)
    WHERE originator_id = gone.stream AND action_id = gone.action AND state = gone.reached
"""
_PUT_PARKED: LiteralString = """
    INSERT INTO parked_signals (originator_id, action_id, state, organization, parked_at, position, raw)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[],
        %s::bytea[])
    ON CONFLICT (originator_id, action_id, state) DO UPDATE SET
        parked_at = excluded.parked_at, position = excluded.position, raw = excluded.raw
"""
_PUT_SUPPRESSIONS: LiteralString = """
    INSERT INTO suppressions (organization, customer_id_type, customer_id, action_map_id, state, action_id,
        since)
    SELECT * FROM unnest(%s::text[], %s::bytea[], %s::bytea[], %s::uuid[], %s::text[], %s::uuid[],
        %s::timestamptz[])
"""
_PUT_COUNTS: LiteralString = """
    INSERT INTO performance_counts AS c (organization, cohort, action_map_id, slot, offered, accepted,
        rejected, started, abandoned, engaged, ignored, errored, timedout)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::int[], %s::int[], %s::int[], %s::int[],
        %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[])
    ON CONFLICT (organization, cohort, action_map_id, slot) DO UPDATE SET
        offered = c.offered + excluded.offered, accepted = c.accepted + excluded.accepted,
        rejected = c.rejected + excluded.rejected, started = c.started + excluded.started,
        abandoned = c.abandoned + excluded.abandoned, engaged = c.engaged + excluded.engaged,
        ignored = c.ignored + excluded.ignored, errored = c.errored + excluded.errored,
        timedout = c.timedout + excluded.timedout
"""
_PUT_REPEATS: LiteralString = """
    INSERT INTO performance_repeats (originator_id, state, ordinal, organization, action_map_id, slot,
        first_slot, offered_slot, first_offered_slot)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::text[], %s::uuid[], %s::int[], %s::int[],
        %s::int[], %s::int[])
"""
_PUT_NAMES: LiteralString = """
    INSERT INTO action_map_names AS n (organization, action_map_id, name, named_at, position)
    SELECT * FROM unnest(%s::text[], %s::uuid[], %s::bytea[], %s::timestamptz[], %s::bigint[])
    ON CONFLICT (organization, action_map_id) DO UPDATE SET
        name = excluded.name, named_at = excluded.named_at, position = excluded.position
    WHERE (n.named_at, n.position) < (excluded.named_at, excluded.position)
"""


@dataclass(frozen=True, slots=True)
class View:
    """One projection's tables.

    Attributes:
        name: The projection; its position stands under it.
        tables: What a rebuild empties.
        apply: Writes the change that a page brings about.
    """

    name: str
    tables: tuple[LiteralString, ...]
    apply: Callable[[Cursor[Any], Page], None]


def _put(cursor: Cursor[Any], statement: LiteralString, rows: Iterable[Sequence[Any]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        cursor.execute(statement, columns, prepare=True)


def _apply_current_state(cursor: Cursor[Any], page: Page) -> None:
    change = current_state(page)
    _put(cursor, _PUT_OFFERS, ((stream, *row) for stream, row in change.offers.items()))
    _put(cursor, _PUT_ACTIONS, ((*key, *row) for key, row in change.actions.items()))
    _put(cursor, _DROP_REFUSED, change.refused_actions)
    _put(cursor, _DROP_PARKED, (key for key, row in change.parked.items() if row is None))
    _put(cursor, _PUT_PARKED, ((*key, *row) for key, row in change.parked.items() if row is not None))


def _apply_suppression(cursor: Cursor[Any], page: Page) -> None:
    _put(cursor, _PUT_SUPPRESSIONS, ((*key, *row) for key, row in suppressions(page).items()))


def _apply_performance(cursor: Cursor[Any], page: Page) -> None:
    change = performance(page)
    _put(
        cursor,
        _PUT_COUNTS,
        ((*key, *(counts.get(state, 0) for state in METRICS)) for key, counts in change.counts.items()),
    )
    _put(cursor, _PUT_REPEATS, change.repeats)
    _put(cursor, _PUT_NAMES, ((*key, *row) for key, row in change.names.items()))


VIEWS: Final = (
    View("current_state", ("current_offers", "current_actions", "parked_signals"), _apply_current_state),
    View("suppression", ("suppressions",), _apply_suppression),
    View(
        "performance",
        ("performance_counts", "performance_repeats", "action_map_names"),
        _apply_performance,
    ),
)
"""The three projections."""
