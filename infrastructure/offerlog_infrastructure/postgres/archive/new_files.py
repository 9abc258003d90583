"""The files that the archiver makes of a batch of streams: one for each log that has recorded their events.

Readers choose files by the log of their positions. If several servers have recorded events of a stream,
the events go into several files. A *part* of a stream is a run of its versions that one log has recorded.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor

from offerlog_application.ports.positions import shard_of_position
from offerlog_domain.stream_ids import slice_of
from offerlog_infrastructure.postgres.log.pages import PositionedRow

_INSERT_FILE: LiteralString = """
    INSERT INTO archived_files (slice, events, bytes, first_position, last_position, first_stream,
        last_stream, digest, name, sha256)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING number
"""
_INSERT_SETTLED: LiteralString = """
    INSERT INTO settled (originator_id, last_version, file)
    SELECT id, version, %s FROM unnest(%s::uuid[], %s::int[]) AS moved (id, version)
"""
_INSERT_SLICE_TO_SHRINK: LiteralString = (
    "INSERT INTO slices_to_shrink (slice) VALUES (%s) ON CONFLICT DO NOTHING"
)


class NewFile(NamedTuple):
    """A file that is written, and that no row of `archived_files` names yet.

    Attributes:
        name: The name of the file in the place of the archive.
        data: The bytes of the file.
        rows: The events of the file, of one slice and one log, in order of stream and version.
        parts: The stream and the last version of each part of a stream in the file.
    """

    name: str
    data: bytes
    rows: Sequence[PositionedRow]
    parts: Sequence[tuple[UUID, int]]


def divide_by_log(
    rows: Sequence[PositionedRow],
) -> Iterator[tuple[list[PositionedRow], list[tuple[UUID, int]]]]:
    """Divide the events of streams by the log that has recorded them.

    A log may have several parts of one stream, if the slice has left its server and come back.

    Args:
        rows: The events, in order of stream and version.

    Returns:
        For each log the events, in the same order, and the parts: the stream and the last version of each.
    """
    of_logs: dict[int, list[PositionedRow]] = {}
    parts: dict[int, list[tuple[UUID, int]]] = {}
    previous: tuple[UUID, int] | None = None
    for row in rows:
        number = shard_of_position(row[0])
        of_logs.setdefault(number, []).append(row)
        ends = parts.setdefault(number, [])
        if (row[1], number) == previous:
            ends.pop()
        ends.append((row[1], row[2]))
        previous = row[1], number
    for number in sorted(of_logs):
        yield of_logs[number], parts[number]


def name_files(cursor: Cursor[Any], files: Sequence[NewFile]) -> None:
    """Insert the rows of files of a slice, and of the parts of streams in them.

    The caller deletes the events of these files from the table in the same transaction.
    """
    for name, data, rows, parts in files:
        positions = [row[0] for row in rows]
        of_slice = slice_of(rows[0][1])
        stored = cursor.execute(
            _INSERT_FILE,
            (
                of_slice,
                len(rows),
                len(data),
                min(positions),
                max(positions),
                rows[0][1],
                rows[-1][1],
                sum(one * one for one in positions),  # the digest, as in the proofs of projections
                name,
                sha256(data).hexdigest(),
            ),
        ).fetchone()
        assert stored is not None  # noqa: S101 - the statement returns the row
        ids, versions = [stream for stream, _ in parts], [version for _, version in parts]
        cursor.execute(_INSERT_SETTLED, (stored[0], ids, versions))
        cursor.execute(_INSERT_SLICE_TO_SHRINK, (of_slice,))
