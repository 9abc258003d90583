"""The changes that the rest of a slice makes to the projections, as statements for the target.

The rows of the changes are computed from what the source has sent. They go straight to the tables that are
read, and those of the counts to `taken_counts`, too. No answer is needed in between, so all statements are
part of one message. It is for the usual case: no event of a stream that waits, and none that cannot be read.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, LiteralString, Self
from uuid import UUID

from psycopg import sql

from offerlog_application.projections.page import Page
from offerlog_application.projections.proof import prove
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.pages import PositionedRow, decode_whole_streams
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS
from offerlog_infrastructure.postgres.projections.tables.table import Merge, Rows, names_of
from offerlog_infrastructure.postgres.shards.taken_counts import (
    KEYS,
    PROOFS,
    TakenSlice,
    insert_arrays,
    merge_of,
)

_STAGE: LiteralString = """
    INSERT INTO {} ({names}) SELECT {names} FROM json_to_recordset({rows}) AS t ({columns})
"""
_ADD_PROOFS: LiteralString = """
    INSERT INTO {proofs} AS p (view, slice, events, digest)
    SELECT view, slice, events, digest FROM json_populate_recordset(NULL::{proofs}, {rows})
    ON CONFLICT (view, slice) DO UPDATE SET
        events = p.events + excluded.events, digest = p.digest + excluded.digest
"""
_COUNTED_BY: Final[Mapping[LiteralString, LiteralString]] = {merge_of(table).stage: table for table in KEYS}
"""The table of counts of each table in which the projector stages its rows."""


class RestChanges:
    """The changes that some events make.

    Args:
        staged: The rows of each merge, as a JSON array.
        proofs: What the events add to the proofs, likewise; None for no events.
        events: The number of events.
    """

    def __init__(self, staged: Sequence[tuple[Merge, str]], proofs: str | None, events: int) -> None:
        self._staged = staged
        self._proofs = proofs
        self.events = events

    @classmethod
    def of(
        cls, rows: Sequence[PositionedRow], newer: Mapping[UUID, int], dead: Collection[UUID]
    ) -> Self | None:
        """Return the changes; None if some events must wait as dead letters.

        Args:
            rows: All events of some streams, stream by stream.
            newer: The first version of each stream that is not folded yet.
            dead: The streams of the slice that wait.
        """
        page = decode_whole_streams(EventMapper(), rows)
        if page.unreadable or not newer.keys().isdisjoint(dead):
            return None
        kept = [row for row in rows if row[2] >= newer[row[1]]]
        events = [
            one for one in page.events if one.recorded.originator_version >= newer[one.recorded.originator_id]
        ]
        if not kept:
            return cls((), None, 0)
        staged = []
        for projection in PROJECTIONS:
            try:
                change = projection.change(Page(events, page.earlier))
            except Exception:  # noqa: BLE001 - whatever it is, it belongs to one visitor-offer
                return None
            staged += [
                (merge, _to_json(merge.columns, found))
                for merge in projection.merges
                if (found := merge.rows(change))
            ]
        proofs = [
            {"view": projection.name, "slice": slice_, "events": proof.events, "digest": proof.digest}
            for projection in PROJECTIONS
            for slice_, proof in prove((row[0], row[1]) for row in kept).items()
        ]
        return cls(staged, json.dumps(proofs), len(kept))

    @classmethod
    def none(cls) -> Self:
        """Return all statements, without rows."""
        return cls([(merge, "[]") for projection in PROJECTIONS for merge in projection.merges], "[]", 0)

    def statements(self, schema: str, taken: TakenSlice) -> list[sql.Composable]:
        """Return what writes the changes to the tables that are read, and the counts as those of a slice.

        The rows of a change are taken out of the temporary table behind it, as more may come.
        """
        made: list[sql.Composable] = []
        arrays: list[tuple[str, str]] = []
        for merge, rows in self._staged:
            stage = sql.Identifier("pg_temp", merge.stage)
            made.append(
                sql.SQL(_STAGE).format(
                    stage,
                    names=sql.SQL(names_of(merge.columns)),
                    columns=sql.SQL(merge.columns),
                    rows=sql.Literal(rows),
                )
            )
            made.append(sql.SQL(merge.statement))
            made.append(sql.SQL("DELETE FROM {}").format(stage))
            if merge.stage in _COUNTED_BY:
                arrays.append((_COUNTED_BY[merge.stage], rows))
        if self._proofs is not None:
            made.append(
                sql.SQL(_ADD_PROOFS).format(
                    proofs=sql.Identifier(schema, PROOFS), rows=sql.Literal(self._proofs)
                )
            )
            arrays.append((PROOFS, self._proofs))
        return [*made, insert_arrays(schema, taken, arrays)] if arrays else made


def _to_json(columns: str, rows: Rows) -> str:
    """Return rows as a JSON array of objects; ids are given as their 16 bytes."""
    named = [column.split() for column in columns.split(",")]
    return json.dumps(
        [
            {
                name: _to_text(kind, value) if isinstance(value, bytes | datetime) else value
                for (name, kind), value in zip(named, row, strict=True)
            }
            for row in rows
        ]
    )


def _to_text(kind: str, value: bytes | datetime) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if kind == "uuid" else f"\\x{value.hex()}"
