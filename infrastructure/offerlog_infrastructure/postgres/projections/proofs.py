"""Proofs that each projection has applied every event of the log once, compared with the log's own."""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.projections import UnknownProjectionError
from offerlog_application.ports.read_models import Proof, SliceDifference
from offerlog_infrastructure.postgres.archive.archived_files import FILE_COLUMNS, again_if_replaced
from offerlog_infrastructure.postgres.archive.archived_rows import select_cut, select_each, select_files
from offerlog_infrastructure.postgres.connections import lift_answer_limit
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import UP_TO
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS

_SELECT_PROOFS: LiteralString = """
    SELECT t.application_name AS view, t.notification_id AS position,
        coalesce(sum(p.events), 0)::bigint AS events, coalesce(sum(p.digest), 0) AS digest,
        coalesce((SELECT c.events FROM dead_letter_counts c WHERE c.view = t.application_name), 0) AS waiting,
        to_regclass(asked.one_table)::oid::bigint AS edition
    FROM unnest(%s::text[], %s::text[]) AS asked (view, one_table)
    JOIN offerlog_tracking t ON t.application_name = asked.view
    LEFT JOIN projection_proofs p ON p.view = asked.view
    GROUP BY 1, 2, asked.one_table ORDER BY 1
"""
"""`edition` is the table's number: it changes when a rebuild swaps in new tables."""
_SELECT_DIFFERENCES: LiteralString = f"""
    WITH hot AS (
        SELECT get_byte(uuid_send(e.originator_id), 0) >> 4 AS slice, count(*) AS events,
            sum(e.notification_id::numeric * e.notification_id) AS digest
        FROM offerlog_events e LEFT JOIN dead_letters d
            ON d.view = %(view)s AND d.originator_id = e.originator_id
            AND d.originator_version <= e.originator_version
        WHERE {UP_TO.replace("%s", "%(position)s")} AND d.view IS NULL
        GROUP BY 1
    ), log AS (
        SELECT slice, sum(events)::bigint AS events, sum(digest) AS digest FROM (
            SELECT slice, events, digest FROM hot
            UNION ALL SELECT * FROM unnest(%(slices)s::int[], %(counts)s::bigint[], %(digests)s::numeric[])
        ) AS parts GROUP BY 1
    ), folded AS (
        SELECT slice, events, digest FROM projection_proofs WHERE view = %(view)s
    )
    SELECT slice, coalesce(log.events, 0) AS expected, coalesce(folded.events, 0) AS events
    FROM log FULL JOIN folded USING (slice)
    WHERE (coalesce(log.events, 0), coalesce(log.digest, 0))
        <> (coalesce(folded.events, 0), coalesce(folded.digest, 0))
    ORDER BY slice
"""
_SUM_FILES: LiteralString = f"""
    SELECT slice::int, sum(events)::bigint, sum(digest) FROM archived_files
    WHERE {UP_TO.replace("notification_id", "last_position")} GROUP BY 1
"""
_SELECT_FILES_ACROSS: LiteralString = f"""
    SELECT {FILE_COLUMNS} FROM archived_files f WHERE f.first_position <= %s AND f.last_position > %s
"""
"""A file has events of one log, so this is one of the log of the position."""

_SELECT_ARCHIVED_DEAD_LETTERS: LiteralString = """
    SELECT d.originator_id, d.originator_version FROM dead_letters d
    WHERE d.view = %s AND EXISTS (SELECT FROM settled s WHERE s.originator_id = d.originator_id)
"""


class PostgresProofs:
    """The proofs of all projections; thread-safe.

    A method has the errors of the method of `Proofs`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._files = application.archived_files

    def proof(self, projection: str) -> Proof:
        """Return the proof of what a projection has applied by now; costs one small query."""
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(_SELECT_PROOFS, _parameters_of(projection)).fetchone()
        if row is None:
            raise _unknown(projection)
        return _to_proof(row, ())

    @again_if_replaced
    def verify(self, projection: str | None = None) -> Sequence[Proof]:
        """Compare the proof of each projection with the log up to its position; reads the whole log."""
        with store_reached(self._datastore), self._datastore.transaction() as cursor:
            lift_answer_limit(cursor.connection)  # it reads the whole log
            # One snapshot, so that position, proof and log are of the same moment.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            rows = cursor.execute(_SELECT_PROOFS, _parameters_of(projection)).fetchall()
            if not rows:
                raise _unknown(str(projection))
            found = []
            for row in rows:
                archived = self._prove_archived(cursor.connection, row["view"], row["position"])
                at = {"view": row["view"], "position": row["position"], **archived}
                differences = cursor.execute(_SELECT_DIFFERENCES, at).fetchall()
                found.append(_to_proof(row, tuple(SliceDifference(**one) for one in differences)))
            return found

    def _prove_archived(self, connection: Connection[Any], name: str, position: int) -> dict[str, list[Any]]:
        """Add up the archived events up to a position, and foreign ones, without those that wait."""
        with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            found = [(*sums, int(digest)) for *sums, digest in cursor.execute(_SUM_FILES, (position,))]
            waiting: dict[UUID, int] = dict(cursor.execute(_SELECT_ARCHIVED_DEAD_LETTERS, (name,)).fetchall())
        for file in select_files(connection, _SELECT_FILES_ACROSS, position, position):
            rows = self._files.open(connection, file).behind(0, position)
            found.append((file.first_stream.int >> 124, len(rows), sum(row[0] ** 2 for row in rows)))
        is_wanted = select_cut(connection, position)
        found += [
            (row[1].int >> 124, -1, -(row[0] ** 2))
            for row in select_each(connection, self._files, list(waiting))
            if is_wanted(row[0]) and waiting[row[1]] <= row[2]
        ]
        slices, counts, digests = map(list, zip(*found, strict=True)) if found else ([], [], [])
        return {"slices": slices, "counts": counts, "digests": digests}


def _unknown(projection: str) -> UnknownProjectionError:
    return UnknownProjectionError(projection, [one.name for one in PROJECTIONS])


def _parameters_of(projection: str | None) -> tuple[list[str], list[str]]:
    """Return the names of that projection, or of all, and one table of each."""
    asked = [one for one in PROJECTIONS if projection in (None, one.name)]
    return [one.name for one in asked], [one.tables[0] for one in asked]


def _to_proof(row: DictRow, differences: tuple[SliceDifference, ...]) -> Proof:
    digest = str(row["digest"])
    return Proof(
        row["view"], row["position"], row["events"], digest, row["waiting"], row["edition"], differences
    )
