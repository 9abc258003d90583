"""What became of a commit whose connection was lost: the server is asked until it says.

See docs/decisions/0003.
"""

import time
from collections.abc import Sequence
from typing import Final

from eventsourcing.persistence import DataError
from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor, sql
from psycopg.rows import DictRow

from offerlog_application.ports.event_log import ClosedError, OutcomeUnknownError, StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_domain.outcomes import Refusal
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.mapper import EventRow

_SECONDS: Final = 60.0
"""How long to ask."""

_FULL_DISK_SECONDS: Final = 5.0
"""The same where the server is away as its disk is full: somebody has to hear of it to make room."""


class LostCommit:
    """Finds out about transactions that may or may not have been committed.

    Args:
        datastore: Where to ask.
        events: The table that events were to go to.
        refusals: The table that refusals were to go to.
    """

    def __init__(
        self, datastore: PostgresDatastore, events: sql.Identifier, refusals: sql.Identifier
    ) -> None:
        self._datastore = datastore
        self._events = events
        self._refusals = refusals

    def was_committed(self, xid: str, events: Sequence[EventRow], refusals: Sequence[Refusal]) -> bool:
        """Whether the transaction was committed; asks until there is an answer.

        Raises:
            OutcomeUnknownError: There was none in a minute; in five seconds, where the disk is full.
        """
        started = time.monotonic()
        trouble: StoreUnavailableError | None = None
        while True:
            try:
                with store_reached(self._datastore), self._datastore.cursor() as cursor:
                    cursor.execute("SELECT pg_xact_status(%s::xid8) AS status", (xid,))
                    row = cursor.fetchone()
                    status = row["status"] if row else None
                    if status == "aborted":
                        return False
                    if status == "committed":
                        return self._is_stored(cursor, events, refusals)
            except StoreUnavailableError as error:  # still away, or away again: ask again
                trouble = error
            except ClosedError:  # which would say that nothing was stored
                pass
            except DataError:  # "in the future": the server crashed before anything of it was on disk
                return False
            is_full = trouble is not None and trouble.trouble is StoreTrouble.DISK_FULL
            if time.monotonic() - started > (_FULL_DISK_SECONDS if is_full else _SECONDS):
                raise OutcomeUnknownError(xid, trouble) from trouble
            time.sleep(0.05)

    def _is_stored(
        self, cursor: Cursor[DictRow], events: Sequence[EventRow], refusals: Sequence[Refusal]
    ) -> bool:
        """Whether what was to be committed is there: after a crash, another one may have got the number."""
        if events:
            one = events[0]
            statement = sql.SQL(
                "SELECT state FROM {} WHERE originator_id = %s AND originator_version = %s"
            ).format(self._events)
            row = cursor.execute(statement, (one.originator_id, one.originator_version)).fetchone()
            return row is not None and bytes(row["state"]) == one.state
        first = refusals[0]
        statement = sql.SQL(
            "SELECT FROM {} WHERE organization = %s AND recorded_at = %s AND raw = %s LIMIT 1"
        ).format(self._refusals)
        asked = (first.organization, first.recorded_at, first.raw)
        return cursor.execute(statement, asked).fetchone() is not None
