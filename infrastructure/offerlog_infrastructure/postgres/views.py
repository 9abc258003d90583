"""Writing the projections' tables: one change of a view, in the transaction that moves its position."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Connection, Cursor, sql

from offerlog_application.projections.current_state import current_state
from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import performance
from offerlog_application.projections.suppression import suppressions
from offerlog_domain.metrics import METRICS

_STAGES: LiteralString = """
    CREATE TEMP TABLE stage_offers (
        originator_id uuid, organization text, customer_id_type bytea, customer_id bytea, action_map_id uuid,
        action_id uuid, state text, stage text, since timestamptz, actions int, added int,
        withdrawn_at timestamptz
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_actions (
        originator_id uuid, action_id uuid, number int, state text, stage text, since timestamptz,
        offered_at timestamptz
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_refused (originator_id uuid, action_id uuid) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_reached (originator_id uuid, action_id uuid, state text) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_parked (
        originator_id uuid, action_id uuid, state text, organization text, parked_at timestamptz,
        position bigint, raw bytea
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_suppressions (
        organization text, customer_id_type bytea, customer_id bytea, action_map_id uuid, state text,
        action_id uuid, since timestamptz
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_counts (
        organization text, cohort text, action_map_id uuid, slot int, offered int, accepted int, rejected int,
        started int, abandoned int, engaged int, ignored int, errored int, timedout int
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_repeats (
        originator_id uuid, state text, ordinal int, organization text, action_map_id uuid, slot int,
        first_slot int, offered_slot int, first_offered_slot int
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_names (
        organization text, action_map_id uuid, name bytea, named_at timestamptz, position bigint
    ) ON COMMIT DELETE ROWS;
"""
"""Where the rows of a page wait for the statement that merges them: COPY takes them many times faster than
arrays of parameters."""

_PUT_OFFERS: LiteralString = """
    INSERT INTO current_offers AS c (originator_id, organization, customer_id_type, customer_id,
        action_map_id, action_id, state, stage, since, actions, lifecycle_version, withdrawn_at)
    SELECT * FROM stage_offers
    ON CONFLICT (originator_id) DO UPDATE SET
        action_id = excluded.action_id, state = excluded.state, stage = excluded.stage,
        since = excluded.since, actions = excluded.actions, withdrawn_at = excluded.withdrawn_at,
        lifecycle_version = c.lifecycle_version + excluded.lifecycle_version
"""
_PUT_ACTIONS: LiteralString = """
    INSERT INTO current_actions (originator_id, action_id, number, state, stage, since, offered_at)
    SELECT * FROM stage_actions
    ON CONFLICT (originator_id, action_id) DO UPDATE SET
        state = excluded.state, stage = excluded.stage, since = excluded.since
"""
_DROP_REFUSED: LiteralString = """
    DELETE FROM parked_signals AS p USING stage_refused AS gone
    WHERE p.originator_id = gone.originator_id AND p.action_id = gone.action_id
"""
_DROP_PARKED: LiteralString = """
    DELETE FROM parked_signals AS p USING stage_reached AS gone
    WHERE p.originator_id = gone.originator_id AND p.action_id = gone.action_id AND p.state = gone.state
"""
_PUT_PARKED: LiteralString = """
    INSERT INTO parked_signals (originator_id, action_id, state, organization, parked_at, position, raw)
    SELECT * FROM stage_parked
    ON CONFLICT (originator_id, action_id, state) DO UPDATE SET
        parked_at = excluded.parked_at, position = excluded.position, raw = excluded.raw
"""
_PUT_SUPPRESSIONS: LiteralString = """
    INSERT INTO suppressions (organization, customer_id_type, customer_id, action_map_id, state, action_id,
        since)
    SELECT * FROM stage_suppressions
"""
_PUT_COUNTS: LiteralString = """
    INSERT INTO performance_counts AS c (organization, cohort, action_map_id, slot, offered, accepted,
        rejected, started, abandoned, engaged, ignored, errored, timedout)
    SELECT * FROM stage_counts
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
    SELECT * FROM stage_repeats
"""
_PUT_NAMES: LiteralString = """
    INSERT INTO action_map_names AS n (organization, action_map_id, name, named_at, position)
    SELECT * FROM stage_names
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


def prepare(connection: Connection[Any]) -> None:
    """Make ready a connection on which views will be written."""
    connection.execute(_STAGES)


def _put(
    cursor: Cursor[Any], stage: LiteralString, statement: LiteralString, rows: Iterable[Sequence[Any]]
) -> None:
    waiting = list(rows)
    if not waiting:
        return
    with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(stage))) as copy:
        for row in waiting:
            copy.write_row(row)
    cursor.execute(statement, prepare=True)


def _apply_current_state(cursor: Cursor[Any], page: Page) -> None:
    change = current_state(page)
    _put(cursor, "stage_offers", _PUT_OFFERS, ((stream, *row) for stream, row in change.offers.items()))
    _put(cursor, "stage_actions", _PUT_ACTIONS, ((*key, *row) for key, row in change.actions.items()))
    _put(cursor, "stage_refused", _DROP_REFUSED, change.refused_actions)
    _put(cursor, "stage_reached", _DROP_PARKED, (key for key, row in change.parked.items() if row is None))
    _put(
        cursor,
        "stage_parked",
        _PUT_PARKED,
        ((*key, *row) for key, row in change.parked.items() if row is not None),
    )


def _apply_suppression(cursor: Cursor[Any], page: Page) -> None:
    _put(
        cursor,
        "stage_suppressions",
        _PUT_SUPPRESSIONS,
        ((*key, *row) for key, row in suppressions(page).items()),
    )


def _apply_performance(cursor: Cursor[Any], page: Page) -> None:
    change = performance(page)
    _put(
        cursor,
        "stage_counts",
        _PUT_COUNTS,
        ((*key, *(counts.get(state, 0) for state in METRICS)) for key, counts in change.counts.items()),
    )
    _put(cursor, "stage_repeats", _PUT_REPEATS, change.repeats)
    _put(cursor, "stage_names", _PUT_NAMES, ((*key, *row) for key, row in change.names.items()))


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
