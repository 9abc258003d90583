"""Read from the store what the replica copies: the projection, its position, and the keys of visitors."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.projections.suppression import SuppressionRow
from offerlog_infrastructure.postgres.log.pages import PositionedRow
from offerlog_infrastructure.replica.records import VisitorHead, pack_record

_SELECT_SOURCE: LiteralString = "SELECT extract(epoch FROM applied_at)::text FROM migrations WHERE number = 1"
_SELECT_POSITION: LiteralString = (
    "SELECT notification_id FROM offerlog_tracking WHERE application_name = 'suppression'"
)
_SELECT_DEAD_LETTER: LiteralString = "SELECT FROM dead_letters WHERE view = 'suppression' LIMIT 1"
_SELECT_LAST_EVENT: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM offerlog_events WHERE notification_id > %s AND notification_id <= %s
    ORDER BY notification_id DESC LIMIT 1
"""
_SELECT_EPOCH: LiteralString = "SELECT epoch FROM log_epoch"
_SELECT_VISITORS: LiteralString = """
    SELECT token, digest, kek, wrapped_key FROM visitors WHERE token = ANY(%s::text::bigint[])
"""
_SELECT_SUPPRESSIONS: LiteralString = """
    SELECT v.digest, v.token, v.kek, v.wrapped_key, s.action_map_id,
        s.organization, s.state, s.since, s.version, s.sealed
    FROM suppressions s JOIN visitors v ON v.token = s.visitor
"""


def select_source(cursor: Cursor[Any]) -> bytes:
    """Return a mark of the store: the moment of its first migration. A copy of another store has another."""
    return str((cursor.execute(_SELECT_SOURCE).fetchone() or ("",))[0]).encode()


def select_projection_position(cursor: Cursor[Any]) -> int:
    """Return the position of the projection.

    Raises:
        RuntimeError: The projection has dead letters, or was never made.
    """
    found = cursor.execute(_SELECT_POSITION).fetchone()
    if found is None or cursor.execute(_SELECT_DEAD_LETTER).fetchone() is not None:
        raise RuntimeError(
            "the suppression projection has dead letters, so it may lack what must not be offered"
        )
    return int(found[0])


def mark_last_event(cursor: Cursor[Any], position: int) -> bytes:
    """Return the mark of the last event up to a position; empty if there is no event."""
    row = cursor.execute(_SELECT_LAST_EVENT, (begin_of_shard(position), position)).fetchone()
    return b"" if row is None else mark_event(row)


def mark_event(row: PositionedRow) -> bytes:
    """Return a digest of a stored event. Another event at the same position has another one."""
    position, stream, version, topic, state = row
    head = b"%d %b %d %b " % (position, stream.bytes, version, topic.encode())
    return blake2b(head + state, digest_size=20).digest()


def select_suppressions(
    connection: Connection[Any], page: int
) -> Iterator[Iterable[tuple[UUID, VisitorHead, bytes]]]:
    """Stream the projection in pages: the digest and the keys of a visitor, and the packed record."""
    with connection.cursor(name="copy", binary=True, row_factory=tuple_row) as cursor:
        cursor.execute(_SELECT_SUPPRESSIONS)
        while rows := cursor.fetchmany(page):
            yield [
                (
                    digest,
                    VisitorHead(token, kek, key),
                    pack_record(token, action_map_id, SuppressionRow(*row)),
                )
                for digest, token, kek, key, action_map_id, *row in rows
            ]


def select_epoch(cursor: Cursor[Any]) -> int:
    """Return the epoch of the log."""
    ((epoch,),) = cursor.execute(_SELECT_EPOCH, prepare=True).fetchall()
    return int(epoch)


def select_visitors(cursor: Cursor[Any], tokens: Collection[int]) -> Mapping[int, tuple[UUID, VisitorHead]]:
    """Return the digests and keys of visitors, by token."""
    # As text: the driver takes arrays apart in Python.
    asked = f"{{{','.join(map(str, tokens))}}}"
    rows = cursor.execute(_SELECT_VISITORS, (asked,), prepare=True).fetchall()
    return {token: (digest, VisitorHead(token, kek, key)) for token, digest, kek, key in rows}
