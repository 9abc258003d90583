"""Appends by binary COPY. It is the fastest way, and its errors name the row that met another writer's."""

import re
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from eventsourcing.persistence import IntegrityError
from psycopg import Cursor, sql

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.postgres.log.append_transaction import AppendStep
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.log.visitors import VISITOR_COLUMNS, VISITOR_TYPES
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusalRow

REFUSAL_TABLES: Final = frozenset({"refusals", "refusal_tallies", "refusal_counts"})
"""The tables of the refusal log; they hold no events."""

_LINE_NUMBER: Final = re.compile(r"COPY \w+\D+(\d+)")
"""Finds the number of the row at fault in an error's context, whatever language the server speaks."""


class RowConflictError(OfferlogError, IntegrityError):
    """Another writer holds or has taken a row that this append needs.

    Attributes:
        row: The row's place among the rows of the append.
        waiting: True while the other writer may still commit or roll back; False if it has committed.
    """

    def __init__(self, row: int, *, waiting: bool) -> None:
        super().__init__(f"another writer is at row {row}")
        self.row = row
        self.waiting = waiting


class StaleLoadError(OfferlogError, IntegrityError):
    """The append would go to another server than the load: perhaps to a copy that is behind."""


class BlockConflictError(RowConflictError):
    """Another writer counts or has counted a blocked offer that this append would count."""


class ParkingEndedError(OfferlogError, IntegrityError):
    """Another process has ended the waiting of a short signal that this append would end."""


class VisitorConflictError(RowConflictError):
    """Another writer makes or has made a visitor whom this append would make."""


_EVENT_TYPES: Final = ("int4", "uuid", "text", "bytea")
_BLOCK_TYPES: Final = ("text", "uuid", "uuid", "timestamptz")
_REFUSAL_TYPES: Final = ("text", "timestamptz", "text", "text", "text", "bytea", "int4", "uuid", "uuid")


def events_statement(table: sql.Composable) -> sql.Composed:
    """Return the statement that copies events into a table with the columns of the log."""
    return sql.SQL(
        "COPY {} (originator_version, originator_id, topic, state) FROM STDIN (FORMAT BINARY)"
    ).format(table)


def refusals_statement(table: sql.Composable) -> sql.Composed:
    """Return the statement that copies refusals into the refusal log."""
    return sql.SQL(
        "COPY {} (organization, recorded_at, reason, field, cause, sealed_text, raw_length, visitor_digest,"
        " action_map_id) FROM STDIN (FORMAT BINARY)"
    ).format(table)


def copy_events(cursor: Cursor[Any], table: sql.Composable, rows: Sequence[EventRow]) -> None:
    """Copy events into a table with the columns of the log.

    Raises:
        RowConflictError: Another writer has a version, or is about to. The transaction has failed.
    """
    try:
        with cursor.copy(events_statement(table)) as copy:
            copy.set_types(_EVENT_TYPES)
            write = copy.write_row
            for row in rows:
                write(row)
    except psycopg.Error as error:
        raise_conflict(error, RowConflictError)
        raise


def raise_conflict(error: psycopg.Error, conflict: type[RowConflictError]) -> None:
    """Raise a conflict if that is what a COPY has failed with; do nothing for another error.

    Raises:
        RowConflictError: Another writer has the row, or is about to.
    """
    if isinstance(error, (psycopg.errors.UniqueViolation, psycopg.errors.LockNotAvailable)):
        line = _LINE_NUMBER.search(error.diag.context or "")
        if line is not None:
            waiting = isinstance(error, psycopg.errors.LockNotAvailable)
            raise conflict(int(line[1]) - 1, waiting=waiting) from error


def visitors_statement(table: sql.Composable) -> sql.Composed:
    """Return the statement that copies new visitors."""
    return sql.SQL(f"COPY {{}} ({VISITOR_COLUMNS}) FROM STDIN (FORMAT BINARY)").format(table)


def blocks_statement(table: sql.Composable) -> sql.Composed:
    """Return the statement that copies the names of blocked offers that are counted."""
    return sql.SQL(
        "COPY {} (organization, visitor_digest, digest, recorded_at) FROM STDIN (FORMAT BINARY)"
    ).format(table)


def blocks_step(table: str, statement: bytes, rows: Sequence[Sequence[Any]]) -> AppendStep:
    """Return the step of an append that copies the names of blocked offers."""
    return AppendStep(statement, table, rows, _BLOCK_TYPES)


def visitors_step(table: str, statement: bytes, rows: Sequence[Sequence[Any]]) -> AppendStep:
    """Return the step of an append that copies new visitors."""
    return AppendStep(statement, table, rows, VISITOR_TYPES)


def events_step(table: str, statement: bytes, rows: Sequence[EventRow]) -> AppendStep:
    """Return the step of an append that copies events."""
    return AppendStep(statement, table, rows, _EVENT_TYPES)


def refusals_step(table: str, statement: bytes, refusals: Sequence[RefusalRow]) -> AppendStep:
    """Return the step of an append that copies refusals."""
    rows = [refusal[: len(_REFUSAL_TYPES)] for refusal in refusals]
    return AppendStep(statement, table, rows, _REFUSAL_TYPES)
