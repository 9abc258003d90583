"""Tallies of refusals by reason and quarter-hour, appended in the transaction that stores the refusals.

`RefusalCounter` reads and folds them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import sql

from offerlog_application.projections.slots import SLOT_SECONDS
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusalRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SLOT: Final = timedelta(seconds=SLOT_SECONDS)

_INSERT_TALLIES: LiteralString = """
    INSERT INTO {} (organization, slot, reason, refusals, text_bytes)
    SELECT * FROM unnest({}::text[], {}::integer[], {}::text[], {}::bigint[], {}::bigint[])
"""


def tallies_statement(table: sql.Composable, refusals: Sequence[RefusalRow]) -> sql.Composed:
    """Return the statement that appends the tallies of refusals; the same transaction stores the refusals."""
    tallies: dict[tuple[str, int, str], list[int]] = {}
    for refusal in refusals:
        key = refusal.organization, slot_of(refusal.recorded_at), refusal.reason
        tally = tallies.setdefault(key, [0, 0])
        tally[0] += 1
        tally[1] += refusal.text_bytes
    columns: list[list[Any]] = [[], [], [], [], []]
    for (organization, slot, reason), (count, text_bytes) in tallies.items():
        for column, value in zip(columns, (organization, slot, reason, count, text_bytes), strict=True):
            column.append(value)
    return sql.SQL(_INSERT_TALLIES).format(table, *map(sql.Literal, columns))


def slot_of(moment: datetime, *, round_up: bool = False) -> int:
    """Return the quarter-hour of UTC that holds an instant; rounded up, the first not before it."""
    return -((_EPOCH - moment) // _SLOT) if round_up else (moment - _EPOCH) // _SLOT
