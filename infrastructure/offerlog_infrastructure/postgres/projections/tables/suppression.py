"""The table of the suppression list."""

from collections.abc import Mapping
from typing import Final, LiteralString

from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow, suppressions
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


def _suppressed(change: Mapping[SuppressionKey, SuppressionRow]) -> Rows:
    return [(visitor, action_map.bytes, *row) for (visitor, action_map), row in change.items()]


SUPPRESSION: Final = Projection(
    "suppression",
    ("suppressions",),
    suppressions,
    (
        Merge(
            "stage_suppressions",
            _SUPPRESSIONS,
            f"INSERT INTO suppressions ({names_of(_SUPPRESSIONS)}) SELECT * FROM stage_suppressions",
            _suppressed,
        ),
    ),
    (Load("suppressions", _SUPPRESSIONS, _suppressed),),
)
