"""Emptying a view, so that the projector fills it again from the log."""

from collections.abc import Sequence

from psycopg import sql

from offerlog_infrastructure.postgres.application import OfferlogApplication
from offerlog_infrastructure.postgres.log import store_reached
from offerlog_infrastructure.postgres.views import View


def rebuild(application: OfferlogApplication, views: Sequence[View]) -> None:
    """Empty the views and set their positions back to the beginning, in one transaction.

    The active projector reads its position from the same row in every page's transaction, so it starts
    again by itself, whichever process it lives in.
    """
    with store_reached(), application.log.datastore.transaction(commit=True) as cursor:
        # A report or list that is being read holds its tables; longer than an append may wait.
        cursor.execute("SET LOCAL lock_timeout = '30s'")
        # The positions first, as the projector does: whoever holds them writes.
        cursor.execute(
            "SELECT FROM offerlog_tracking WHERE application_name = ANY(%s) ORDER BY application_name"
            " FOR UPDATE",
            ([view.name for view in views],),
        )
        for view in views:
            for table in view.tables:
                cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
            cursor.execute(
                "UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name = %s", (view.name,)
            )
