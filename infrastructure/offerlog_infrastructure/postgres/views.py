"""Writing the projections' tables: one change of a view, in the transaction that moves its position.

A view is fed in two ways that come to the same: page by page in order of position, merged with what is
there (the projector), or whole streams at a time into empty tables (a rebuild).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql

from offerlog_application.projections.current_state import CurrentStateChange, current_state
from offerlog_application.projections.page import Page
from offerlog_application.projections.performance import PerformanceChange, performance
from offerlog_application.projections.suppression import suppressions
from offerlog_domain.metrics import METRICS

Rows = Iterable[Sequence[Any]]


class Merge(NamedTuple):
    """How the projector writes: the rows of a change wait in a stage until one statement merges them.

    COPY into a temporary table takes rows many times faster than arrays of parameters do.
    """

    stage: LiteralString
    columns: LiteralString
    statement: LiteralString
    rows: Callable[[Any], Rows]


class Load(NamedTuple):
    """How a rebuild writes: rows of whole streams, straight into a table that is empty of them."""

    table: LiteralString
    columns: LiteralString
    rows: Callable[[Any], Rows]


@dataclass(frozen=True, slots=True)
class View:
    """One projection's tables.

    Attributes:
        name: The projection; its position stands under it.
        tables: Its tables.
        change: What a page brings about.
        merges: How the projector writes that.
        loads: How a rebuild does.
        finish: What a rebuild does at its end, when all is loaded.
    """

    name: str
    tables: tuple[LiteralString, ...]
    change: Callable[[Page], Any]
    merges: tuple[Merge, ...]
    loads: tuple[Load, ...]
    finish: LiteralString = ""

    def apply(self, cursor: Cursor[Any], page: Page) -> None:
        """Merge the change that a page brings about."""
        change = self.change(page)
        for merge in self.merges:
            if _copied(cursor, merge.stage, None, merge.rows(change)):
                cursor.execute(merge.statement, prepare=True)
                # The commit empties it too, but a page that fails is applied part by part before that.
                cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(merge.stage)), prepare=True)

    def load(self, cursor: Cursor[Any], page: Page) -> None:
        """Load what whole streams come to; none of them may have been loaded before."""
        change = self.change(page)
        for load in self.loads:
            _copied(cursor, load.table, load.columns, load.rows(change))


def prepare(connection: Connection[Any]) -> None:
    """Make ready a connection on which views will be merged."""
    for view in VIEWS:
        for merge in view.merges:
            connection.execute(
                sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DELETE ROWS").format(
                    sql.Identifier(merge.stage), sql.SQL(merge.columns)
                )
            )


def _copied(cursor: Cursor[Any], table: str, columns: LiteralString | None, rows: Rows) -> bool:
    """Copy rows, if there are any."""
    waiting = list(rows)
    if not waiting:
        return False
    into = sql.Identifier(table) if columns is None else sql.SQL("{} ({})").format(
        sql.Identifier(table), sql.SQL(columns)
    )  # fmt: skip
    with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(into)) as copy:
        for row in waiting:
            copy.write_row(row)
    return True


def _offers(change: CurrentStateChange) -> Rows:
    return ((stream, *row) for stream, row in change.offers.items())


def _actions(change: CurrentStateChange) -> Rows:
    return ((*key, *row) for key, row in change.actions.items())


def _parked(change: CurrentStateChange) -> Rows:
    return ((*key, *row) for key, row in change.parked.items() if row is not None)


def _counts(change: PerformanceChange) -> Rows:
    return ((*key, *(counts.get(state, 0) for state in METRICS)) for key, counts in change.counts.items())


def _days(change: PerformanceChange) -> Rows:
    return ((*key, *(counts.get(state, 0) for state in METRICS)) for key, counts in change.days.items())


def _names(change: PerformanceChange) -> Rows:
    return ((*key, *row) for key, row in change.names.items())


_CURRENT_STATE: Final = View(
    "current_state",
    ("current_offers", "current_actions", "parked_signals"),
    current_state,
    (
        Merge(
            "stage_offers",
            "originator_id uuid, organization text, customer_id_type bytea, customer_id bytea,"
            " action_map_id uuid, action_id uuid, state text, stage text, since timestamptz, actions int,"
            " added int, withdrawn_at timestamptz",
            """
            INSERT INTO current_offers AS c (originator_id, organization, customer_id_type, customer_id,
                action_map_id, action_id, state, stage, since, actions, lifecycle_version, withdrawn_at)
            SELECT * FROM stage_offers
            ON CONFLICT (originator_id) DO UPDATE SET
                action_id = excluded.action_id, state = excluded.state, stage = excluded.stage,
                since = excluded.since, actions = excluded.actions, withdrawn_at = excluded.withdrawn_at,
                lifecycle_version = c.lifecycle_version + excluded.lifecycle_version
            """,
            _offers,
        ),
        Merge(
            "stage_actions",
            "originator_id uuid, action_id uuid, number int, state text, stage text, since timestamptz,"
            " offered_at timestamptz",
            """
            INSERT INTO current_actions (originator_id, action_id, number, state, stage, since, offered_at)
            SELECT * FROM stage_actions
            ON CONFLICT (originator_id, action_id) DO UPDATE SET
                state = excluded.state, stage = excluded.stage, since = excluded.since
            """,
            _actions,
        ),
        Merge(
            "stage_refused",
            "originator_id uuid, action_id uuid",
            """
            DELETE FROM parked_signals AS p USING stage_refused AS gone
            WHERE p.originator_id = gone.originator_id AND p.action_id = gone.action_id
            """,
            lambda change: change.refused_actions,
        ),
        Merge(
            "stage_reached",
            "originator_id uuid, action_id uuid, state text",
            """
            DELETE FROM parked_signals AS p USING stage_reached AS gone
            WHERE p.originator_id = gone.originator_id AND p.action_id = gone.action_id
              AND p.state = gone.state
            """,
            lambda change: (key for key, row in change.parked.items() if row is None),
        ),
        Merge(
            "stage_parked",
            "originator_id uuid, action_id uuid, state text, organization text, parked_at timestamptz,"
            " position bigint, raw bytea",
            """
            INSERT INTO parked_signals (originator_id, action_id, state, organization, parked_at, position,
                raw)
            SELECT * FROM stage_parked
            ON CONFLICT (originator_id, action_id, state) DO UPDATE SET
                parked_at = excluded.parked_at, position = excluded.position, raw = excluded.raw
            """,
            _parked,
        ),
    ),
    (
        Load(
            "current_offers",
            "originator_id, organization, customer_id_type, customer_id, action_map_id, action_id, state,"
            " stage, since, actions, lifecycle_version, withdrawn_at",
            _offers,
        ),
        Load(
            "current_actions", "originator_id, action_id, number, state, stage, since, offered_at", _actions
        ),
        Load(
            "parked_signals",
            "originator_id, action_id, state, organization, parked_at, position, raw",
            _parked,
        ),
    ),
)

_SUPPRESSION_COLUMNS: LiteralString = (
    "organization, customer_id_type, customer_id, action_map_id, state, action_id, since"
)
_SUPPRESSION: Final = View(
    "suppression",
    ("suppressions",),
    lambda page: [(*key, *row) for key, row in suppressions(page).items()],
    (
        Merge(
            "stage_suppressions",
            "organization text, customer_id_type bytea, customer_id bytea, action_map_id uuid, state text,"
            " action_id uuid, since timestamptz",
            f"INSERT INTO suppressions ({_SUPPRESSION_COLUMNS}) SELECT * FROM stage_suppressions",
            lambda rows: rows,
        ),
    ),
    (Load("suppressions", _SUPPRESSION_COLUMNS, lambda rows: rows),),
)

_METRIC_COLUMNS: LiteralString = (
    "offered, accepted, rejected, started, abandoned, engaged, ignored, errored, timedout"
)
_COUNT_COLUMNS: LiteralString = f"organization, cohort, action_map_id, slot, {_METRIC_COLUMNS}"
_DAY_COLUMNS: LiteralString = f"organization, cohort, action_map_id, day, {_METRIC_COLUMNS}"
_STAGED_METRICS: LiteralString = (
    "offered int, accepted int, rejected int, started int, abandoned int, engaged int, ignored int,"
    " errored int, timedout int"
)
_ADDED: LiteralString = """
    offered = c.offered + excluded.offered, accepted = c.accepted + excluded.accepted,
    rejected = c.rejected + excluded.rejected, started = c.started + excluded.started,
    abandoned = c.abandoned + excluded.abandoned, engaged = c.engaged + excluded.engaged,
    ignored = c.ignored + excluded.ignored, errored = c.errored + excluded.errored,
    timedout = c.timedout + excluded.timedout
"""
_SUMS: LiteralString = (
    "sum(offered), sum(accepted), sum(rejected), sum(started), sum(abandoned), sum(engaged), sum(ignored),"
    " sum(errored), sum(timedout)"
)
_REPEAT_COLUMNS: LiteralString = (
    "originator_id, state, ordinal, organization, action_map_id, slot, first_slot, offered_slot,"
    " first_offered_slot"
)
_NAME_COLUMNS: LiteralString = "organization, action_map_id, name, named_at, position"

_PERFORMANCE: Final = View(
    "performance",
    ("performance_counts", "performance_days", "performance_repeats", "action_map_names"),
    performance,
    (
        Merge(
            "stage_counts",
            f"organization text, cohort text, action_map_id uuid, slot int, {_STAGED_METRICS}",
            f"""
            INSERT INTO performance_counts AS c ({_COUNT_COLUMNS}) SELECT * FROM stage_counts
            ON CONFLICT (organization, cohort, action_map_id, slot) DO UPDATE SET {_ADDED}
            """,
            _counts,
        ),
        Merge(
            "stage_days",
            f"organization text, cohort text, action_map_id uuid, day int, {_STAGED_METRICS}",
            f"""
            INSERT INTO performance_days AS c ({_DAY_COLUMNS}) SELECT * FROM stage_days
            ON CONFLICT (organization, cohort, action_map_id, day) DO UPDATE SET {_ADDED}
            """,
            _days,
        ),
        Merge(
            "stage_repeats",
            "originator_id uuid, state text, ordinal int, organization text, action_map_id uuid, slot int,"
            " first_slot int, offered_slot int, first_offered_slot int",
            f"INSERT INTO performance_repeats ({_REPEAT_COLUMNS}) SELECT * FROM stage_repeats",
            lambda change: change.repeats,
        ),
        Merge(
            "stage_names",
            "organization text, action_map_id uuid, name bytea, named_at timestamptz, position bigint",
            f"""
            INSERT INTO action_map_names AS n ({_NAME_COLUMNS}) SELECT * FROM stage_names
            ON CONFLICT (organization, action_map_id) DO UPDATE SET
                name = excluded.name, named_at = excluded.named_at, position = excluded.position
            WHERE (n.named_at, n.name) < (excluded.named_at, excluded.name)
            """,
            _names,
        ),
    ),
    (
        Load("performance_counts", _COUNT_COLUMNS, _counts),
        Load("performance_repeats", _REPEAT_COLUMNS, lambda change: change.repeats),
        Load("action_map_names", _NAME_COLUMNS, _names),
    ),
    # Every slice has loaded its own part of a count and its own newest name.
    f"""
    WITH parts AS (DELETE FROM performance_counts RETURNING *)
    INSERT INTO performance_counts ({_COUNT_COLUMNS})
    SELECT organization, cohort, action_map_id, slot, {_SUMS} FROM parts GROUP BY 1, 2, 3, 4;
    INSERT INTO performance_days ({_DAY_COLUMNS})
    SELECT organization, cohort, action_map_id, floor(slot / 96.0), {_SUMS} FROM performance_counts
    GROUP BY 1, 2, 3, 4;
    WITH parts AS (DELETE FROM action_map_names RETURNING *)
    INSERT INTO action_map_names ({_NAME_COLUMNS})
    SELECT DISTINCT ON (organization, action_map_id) {_NAME_COLUMNS} FROM parts
    ORDER BY organization, action_map_id, named_at DESC, name DESC, position;
    """,
)

VIEWS: Final = (_CURRENT_STATE, _SUPPRESSION, _PERFORMANCE)
"""The three projections."""
