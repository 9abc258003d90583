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
    "organization text, customer_id_type bytea, customer_id bytea, action_map_id uuid, state text,"
    " action_id uuid, since timestamptz"
)


def _suppressed(change: Mapping[SuppressionKey, SuppressionRow]) -> Rows:
    return [
        (
            organization,
            visitor.type.encode(),
            visitor.id.encode(),
            action_map.bytes,
            row.state,
            row.action_id.bytes,
            row.since,
        )
        for (organization, visitor, action_map), row in change.items()
    ]


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
