"""The table of the suppression list."""

from typing import Final, LiteralString

from offerlog_application.projections.suppression import SuppressionChange, suppressions
from offerlog_infrastructure.postgres.projections.tables.table import (
    Load,
    Merge,
    Projection,
    Rows,
    names_of,
)

_SUPPRESSIONS: LiteralString = (
    "visitor int8, action_map_id uuid, organization text, state text, since timestamptz, version int4,"
    " sealed bytea"
)
_OFFERED_AGAIN: LiteralString = "visitor int8, action_map_id uuid"


def _suppressed(change: SuppressionChange) -> Rows:
    return [(visitor, action_map.bytes, *row) for (visitor, action_map), row in change.added.items()]


def _erased(change: SuppressionChange) -> Rows:
    return [(visitor,) for visitor in change.erased]


def _offered_again(change: SuppressionChange) -> Rows:
    return [(visitor, action_map.bytes) for visitor, action_map in change.offered_again]


SUPPRESSION: Final = Projection(
    "suppression",
    ("suppressions",),
    suppressions,
    (
        Merge(
            "stage_offered_again",
            _OFFERED_AGAIN,
            "DELETE FROM suppressions AS s USING stage_offered_again AS again"
            " WHERE s.visitor = again.visitor AND s.action_map_id = again.action_map_id",
            _offered_again,
        ),
        Merge(
            "stage_suppressions",
            _SUPPRESSIONS,
            f"INSERT INTO suppressions ({names_of(_SUPPRESSIONS)}) SELECT * FROM stage_suppressions",
            _suppressed,
        ),
        Merge(
            "stage_unsuppressed",
            "visitor int8",
            "DELETE FROM suppressions AS s USING stage_unsuppressed AS gone WHERE s.visitor = gone.visitor",
            _erased,
        ),
    ),
    (Load("suppressions", _SUPPRESSIONS, _suppressed),),
)
