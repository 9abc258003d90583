"""Refusals of short signals that have waited at the home: each is stored and counted once.

The server that refuses cannot end the waiting, which is a row of another server. So a signal may be refused
again after a kill in between. The number of the signal tells. The visitor is asked for, too: a standby of the
home that takes over without the last commits may give a number anew.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from offerlog_infrastructure.postgres.log.append_transaction import AppendStep
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusalRow
from offerlog_infrastructure.postgres.refusals.tallies import slot_of

_INSERT: LiteralString = """
    WITH kept AS (
        INSERT INTO {refusals} (
            organization, recorded_at, reason, field, cause, sealed_text, raw_length, visitor_digest,
            action_map_id, parked_number
        )
        VALUES ({values})
        ON CONFLICT (parked_number, visitor_digest) WHERE parked_number IS NOT NULL DO NOTHING
        RETURNING organization, reason
    )
    INSERT INTO {tallies} (organization, slot, reason, refusals, text_bytes)
    SELECT organization, {slot}, reason, 1, {text_bytes} FROM kept
"""


def waited_steps(
    refusals: sql.Composable, tallies: sql.Composable, rows: Sequence[RefusalRow]
) -> list[AppendStep]:
    """Return the steps of an append that store refusals with their tallies, unless they are stored already.

    They are in order of the numbers, as all writers have it. They may be carried out twice.

    Args:
        refusals: The table of refusals.
        tallies: The table of their tallies.
        rows: The refusals; each has the number of its signal.
    """
    return [
        AppendStep(
            sql.SQL(_INSERT)
            .format(
                refusals=refusals,
                tallies=tallies,
                values=sql.SQL(", ").join(map(sql.Literal, [*row[:9], row.parked_number])),
                slot=sql.Literal(slot_of(row.recorded_at)),
                text_bytes=sql.Literal(row.text_bytes),
            )
            .as_bytes(None),
            "refusals",
        )
        for row in sorted(rows, key=lambda row: row.parked_number or 0)
    ]
