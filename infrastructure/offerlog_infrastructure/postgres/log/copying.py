"""Appends by binary COPY. It is the fastest way, and its errors name the row that met another writer's."""

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from eventsourcing.persistence import IntegrityError
from psycopg import Cursor, sql

from offerlog_application.ports.event_log import VersionConflictError
from offerlog_domain.outcomes import Refusal
from offerlog_infrastructure.postgres.log.mapper import EventRow

REFUSAL_TABLES: Final = frozenset({"refusals", "refusal_tallies", "refusal_counts"})
"""The tables of the refusal log; they hold no events."""

_LINE_NUMBER: Final = re.compile(r"COPY \w+\D+(\d+)")
"""Finds the number of the row at fault in an error's context, whatever language the server speaks."""


class StreamConflictError(IntegrityError, VersionConflictError):
    """Another writer holds or has taken a version that this append needs."""

    def __init__(self, originator_id: UUID, *, waiting: bool) -> None:
        VersionConflictError.__init__(self, originator_id, waiting=waiting)


def copy_events(cursor: Cursor[Any], table: sql.Composable, rows: Sequence[EventRow]) -> None:
    """Copy events into a table with the columns of the log.

    Raises:
        StreamConflictError: Another writer has a version, or is about to. The transaction has failed.
    """
    statement = sql.SQL(
        "COPY {} (originator_version, originator_id, topic, state) FROM STDIN (FORMAT BINARY)"
    ).format(table)
    try:
        with cursor.copy(statement) as copy:
            copy.set_types(["int4", "uuid", "text", "bytea"])
            write = copy.write_row
            for row in rows:
                write(row)
    except (psycopg.errors.UniqueViolation, psycopg.errors.LockNotAvailable) as error:
        line = _LINE_NUMBER.search(error.diag.context or "")
        if line is None:
            raise
        stream = rows[int(line[1]) - 1].originator_id
        waiting = isinstance(error, psycopg.errors.LockNotAvailable)
        raise StreamConflictError(stream, waiting=waiting) from error


def copy_refusals(cursor: Cursor[Any], table: sql.Composable, refusals: Sequence[Refusal]) -> None:
    """Copy refusals into the refusal log."""
    statement = sql.SQL(
        "COPY {} (organization, recorded_at, reason, field, cause, raw, raw_length)"
        " FROM STDIN (FORMAT BINARY)"
    ).format(table)
    with cursor.copy(statement) as copy:
        copy.set_types(["text", "timestamptz", "text", "text", "text", "bytea", "int4"])
        for r in refusals:
            copy.write_row(
                (r.organization, r.recorded_at, r.reason.value, r.field, r.cause, r.raw, r.raw_length)
            )
