"""The tables of the three projections, and the statements that write them."""

from typing import Any, Final

from psycopg import Connection, sql

from offerlog_infrastructure.postgres.projections.tables.current_state import CURRENT_STATE
from offerlog_infrastructure.postgres.projections.tables.performance import PERFORMANCE
from offerlog_infrastructure.postgres.projections.tables.suppression import SUPPRESSION
from offerlog_infrastructure.postgres.projections.tables.table import Projection

__all__ = ["PROJECTIONS", "Projection", "prepare"]

PROJECTIONS: Final = (CURRENT_STATE, SUPPRESSION, PERFORMANCE)
"""The three projections."""


def create_merge_tables(connection: Connection[Any], *, kept: bool = False) -> None:
    """Create the temporary tables that `Projection.apply` needs on this connection.

    Args:
        connection: The connection.
        kept: True if no transaction follows that uses them: so its commit need not empty them.
    """
    on_commit = sql.SQL("PRESERVE" if kept else "DELETE")
    for projection in PROJECTIONS:
        for merge in projection.merges:
            connection.execute(
                sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT {} ROWS").format(
                    sql.Identifier(merge.stage), sql.SQL(merge.columns), on_commit
                )
            )
