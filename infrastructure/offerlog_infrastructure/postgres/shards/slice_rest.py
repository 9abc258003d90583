"""The rest of a slice: what has come since the last round, brought to the target behind the fence.

The slice has no owner meanwhile, and each round trip to a busy server takes milliseconds. So one statement
reads all of the rest on the source, as JSON, and the statements that write it are one message. Each
table is read by an index: events by position, what belongs to their visitors by token, refusals and names of
blocked offers by numbers above those that had been drawn before the last round.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.postgres.log.pages import PositionedRow
from offerlog_infrastructure.postgres.shards.slice_range import (
    BLOCKS,
    EVENTS,
    HOLDS,
    NAMED_ACTIONS,
    REFUSALS,
    VISITORS,
    SliceRange,
    SliceTable,
)

_SELECT_NUMBERS: LiteralString = """
    SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('counted_blocks', 'number')::regclass), 0),
        coalesce(pg_sequence_last_value(pg_get_serial_sequence('refusals', 'id')::regclass), 0)
"""
_CREATE_FUNCTION: LiteralString = """
    CREATE FUNCTION pg_temp.rest_of_slice(brought_over bigint[]) RETURNS SETOF record
    LANGUAGE plpgsql AS $body$ BEGIN RETURN QUERY
    WITH newer AS MATERIALIZED (
        SELECT {event_columns} FROM {partition} WHERE {newer} AND notification_id <> ALL (brought_over)
    ),
    streams AS MATERIALIZED (SELECT DISTINCT originator_id FROM newer),
    known AS MATERIALIZED (
        SELECT DISTINCT ('x' || left(replace(originator_id::text, '-', ''), 16))::bit(64)::bigint AS token
        FROM streams
    )
    SELECT
        (SELECT epoch FROM log_epoch),
        (SELECT count(*) FROM erasing_visitors WHERE {erasing}),
        EXISTS (
            SELECT FROM streams AS s WHERE EXISTS (
                SELECT FROM settled WHERE originator_id = s.originator_id OFFSET 0
            )
        ),
        (SELECT json_agg(t)::text FROM newer AS t),
        (SELECT json_agg(t)::text FROM streams AS s CROSS JOIN LATERAL (
            SELECT {event_columns} FROM {partition} WHERE originator_id = s.originator_id
            ORDER BY originator_version OFFSET 0
        ) AS t),
        (SELECT json_agg(t)::text FROM known AS k CROSS JOIN LATERAL (
            SELECT {visitor_columns}, (SELECT id FROM key_encryption_keys WHERE number = kek) AS kek
            FROM {visitors} WHERE token = k.token OFFSET 0
        ) AS t),
        (SELECT json_agg(t)::text FROM known AS k CROSS JOIN LATERAL (
            SELECT {named_columns} FROM {named} WHERE visitor = k.token OFFSET 0
        ) AS t),
        (SELECT json_agg(t)::text FROM (SELECT {hold_columns} FROM {holds} WHERE {of_holds}) AS t),
        (SELECT json_agg(t)::text FROM (
            SELECT {block_columns} FROM {blocks} WHERE number > {last_block} AND {of_blocks}
        ) AS t),
        (SELECT json_agg(t)::text FROM (
            SELECT id, {refusal_columns} FROM {refusals}
            WHERE id > {last_refusal} AND id < {end_of_shard} AND {of_refusals}
        ) AS t);
    END $body$
"""
"""A function keeps its plan, whatever the driver does about prepared statements."""
_CALL_FUNCTION: LiteralString = """
    SELECT * FROM pg_temp.rest_of_slice({}::bigint[]) AS t (
        epoch bigint, erasing bigint, are_archived boolean, events text, streams text, visitors text,
        named_actions text, holds text, blocks text, refusals text
    )
"""
USE_INDEXES: LiteralString = "SET enable_seqscan TO off; SET plan_cache_mode TO force_generic_plan"
"""For the session that reads the rest: tables may have figures of times when they were small, or none. The
plan is made once: to make it takes longer than to carry it out."""

USE_ANY_PLAN: LiteralString = "RESET enable_seqscan; RESET plan_cache_mode"
"""For what has to read whole tables."""

_INSERT: LiteralString = """
    INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM json_populate_recordset(NULL::{like}, {rows})
    ON CONFLICT DO NOTHING
"""
_INSERT_VISITORS: LiteralString = """
    INSERT INTO {into} ({columns}, kek)
    SELECT {columns}, (SELECT number FROM key_encryption_keys WHERE id = one ->> 'kek')
    FROM json_array_elements({rows}) AS one, json_to_record(one) AS v ({types})
"""
_VISITOR_TYPES: Final[LiteralString] = (
    "token int8, digest uuid, organization text, wrapped_key bytea, names bytea"
)


class Numbers(NamedTuple):
    """The last numbers that were drawn on the source.

    Attributes:
        block: Of a name of a blocked offer.
        refusal: Of a refusal.
    """

    block: int
    refusal: int


class Rest(NamedTuple):
    """The rest, as one statement reads it on the source. Each array of rows is JSON; None for no rows.

    Attributes:
        epoch: The epoch of the log.
        erasing: The number of visitors of the slice who are being erased.
        are_archived: True if an earlier event of these streams is archived.
        events: The events.
        streams: All events of the streams of these, also those that were copied before.
        visitors: The visitors of these events, with the id of the key that encrypts theirs.
        named_actions: The names of their actions.
        holds: All legal holds of the slice.
        blocks: The names of blocked offers.
        refusals: The refusals.
    """

    epoch: int
    erasing: int
    are_archived: bool
    events: str | None
    streams: str | None
    visitors: str | None
    named_actions: str | None
    holds: str | None
    blocks: str | None
    refusals: str | None

    def positions(self) -> list[int]:
        """Return the positions of the events."""
        return [one["notification_id"] for one in json.loads(self.events or "[]")]

    def newer(self) -> Mapping[UUID, int]:
        """Return the streams of the events, each with its first version."""
        first: dict[UUID, int] = {}
        for one in json.loads(self.events or "[]"):
            stream, version = UUID(one["originator_id"]), one["originator_version"]
            first[stream] = min(version, first.get(stream, version))
        return first

    def rows(self) -> list[PositionedRow]:
        """Return the events of the streams as a cursor would, stream by stream."""
        rows = [
            (
                one["notification_id"],
                UUID(one["originator_id"]),
                one["originator_version"],
                one["topic"],
                bytes.fromhex(one["state"].removeprefix("\\x")),
            )
            for one in json.loads(self.streams or "[]")
        ]
        return sorted(rows, key=lambda row: (row[1], row[2]))


NO_STREAM: Final = UUID(int=0)
"""A stream of nobody."""

NO_REST: Final = Rest(0, 0, False, *["[]"] * 7)
"""No rows of each kind."""


def read_numbers(source: Connection[Any]) -> Numbers:
    """Return the last numbers. Whoever has drawn them has ended once the writers of now were waited for."""
    row: Any = source.cursor(row_factory=tuple_row).execute(_SELECT_NUMBERS).fetchone()
    return Numbers(*row)


def read_rest_without(positions: Sequence[int]) -> sql.Composed:
    """Return the statement that reads the rest, all of it at one moment; its row is a `Rest`.

    Args:
        positions: Those of events that are known.
    """
    return sql.SQL(_CALL_FUNCTION).format(sql.Literal(list(positions)))


def let_server_read_rest(
    schema: str, slice_range: SliceRange, newer: sql.Composable, last: tuple[int, Numbers]
) -> sql.Composed:
    """Return the statement that gives a session what `read_rest_without` uses.

    Args:
        schema: The schema of the tables.
        slice_range: The slice.
        newer: The condition of the events.
        last: The number of the source; and the numbers of which all rows were copied.
    """
    shard, numbers = last
    low, high = slice_range.digests
    parts: dict[str, sql.Composable] = {
        "newer": newer,
        "partition": sql.Identifier(schema, slice_range.partition),
        "erasing": sql.SQL("digest BETWEEN {} AND {}").format(sql.Literal(low), sql.Literal(high)),
        "last_block": sql.Literal(numbers.block),
        "last_refusal": sql.Literal(numbers.refusal),
        "end_of_shard": sql.Literal(shard + 1 << SHARD_BITS),
    }
    named = {
        "event": ("events", EVENTS),
        "visitor": ("visitors", VISITORS),
        "named": ("named", NAMED_ACTIONS),
        "hold": ("holds", HOLDS),
        "block": ("blocks", BLOCKS),
        "refusal": ("refusals", REFUSALS),
    }
    for one, (many, table) in named.items():
        parts[f"{one}_columns"] = sql.SQL(table.columns)
        parts[many] = sql.Identifier(schema, table.name)
        parts[f"of_{many}"] = slice_range.rows_of(table)
    return sql.SQL(_CREATE_FUNCTION).format(**parts)


def write_rest(
    schema: str, slice_range: SliceRange, rest: Rest, streams: Collection[UUID]
) -> list[sql.Composable]:
    """Return the statements that write the rest, but for what is folded from the events.

    Args:
        schema: The schema of the tables.
        slice_range: The slice.
        rest: The rest.
        streams: The streams of its events.
    """
    made: list[sql.Composable] = []

    def insert(table: SliceTable, rows: str | None, into: sql.Identifier | None = None) -> None:
        if rows is None:
            return
        live = sql.Identifier(schema, table.name)
        columns = f"id, {table.columns}" if table is REFUSALS else table.columns
        made.append(
            sql.SQL(_INSERT).format(
                into=into or live, like=live, columns=sql.SQL(columns), rows=sql.Literal(rows)
            )
        )

    insert(EVENTS, rest.events, sql.Identifier(schema, slice_range.partition))
    tokens = sorted({token_of(stream) for stream in streams})
    made += [
        sql.SQL("DELETE FROM {} WHERE {} = ANY({})").format(
            sql.Identifier(schema, table.name), sql.Identifier(table.key), sql.Literal(tokens)
        )
        for table in ((VISITORS, NAMED_ACTIONS) if tokens else ())
    ]
    if rest.visitors is not None:
        made.append(
            sql.SQL(_INSERT_VISITORS).format(
                into=sql.Identifier(schema, VISITORS.name),
                columns=sql.SQL(VISITORS.columns),
                types=sql.SQL(_VISITOR_TYPES),
                rows=sql.Literal(rest.visitors),
            )
        )
    insert(NAMED_ACTIONS, rest.named_actions)
    made.append(
        sql.SQL("DELETE FROM {} WHERE {}").format(
            sql.Identifier(schema, HOLDS.name), slice_range.rows_of(HOLDS)
        )
    )
    insert(HOLDS, rest.holds)
    insert(BLOCKS, rest.blocks)
    insert(REFUSALS, rest.refusals)
    return made
