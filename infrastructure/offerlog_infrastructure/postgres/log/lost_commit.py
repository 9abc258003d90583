"""The outcome of a commit whose connection was lost: asked of the server until it answers.

See docs/decisions/0003.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventsourcing.persistence import DataError
from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor, sql
from psycopg.rows import DictRow

from offerlog_application.ports.event_log import ClosedError, OutcomeUnknownError, StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.mapper import EventRow
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusalRow

_SECONDS: Final = 60.0
"""Time limit for an answer."""

_FULL_DISK_SECONDS: Final = 5.0
"""Time limit while the server is down on a full disk: somebody must be told to make room."""

_SILENT_SECONDS: Final = 5.0
"""Time limit while the server, one of several, is known not to answer: its visitors have waited before."""


@dataclass(frozen=True, slots=True)
class CommittedAppend:
    """An append that was committed.

    Attributes:
        position: The position of its last event; None without events.
    """

    position: int | None = None


class LostCommit:
    """Finds out whether a transaction was committed when its connection was lost before COMMIT was answered.

    Args:
        datastore: The pool to ask with.
        events: The events table.
        refusals: The refusals table.
    """

    def __init__(
        self, datastore: PostgresDatastore, events: sql.Identifier, refusals: sql.Identifier
    ) -> None:
        self._datastore = datastore
        self._events = events
        self._refusals = refusals

    def find(
        self, xid: str, events: Sequence[EventRow], refusals: Sequence[RefusalRow]
    ) -> CommittedAppend | None:
        """Find a transaction that was committed; None if it was not. Ask until there is an answer.

        Raises:
            OutcomeUnknownError: No answer came in a minute. Or in five seconds, if the disk is full, or if
                the server is known not to answer.
        """
        pool: Any = self._datastore.pool  # a StorePool, see LogFactory
        started = time.monotonic()
        trouble: StoreUnavailableError | None = None
        while True:
            try:
                with store_reached(self._datastore), self._datastore.cursor() as cursor:
                    cursor.execute("SELECT pg_xact_status(%s::xid8) AS status", (xid,))
                    row = cursor.fetchone()
                    status = row["status"] if row else None
                    if status == "aborted":
                        return None
                    if status == "committed":
                        return self._find_stored(cursor, events, refusals)
            except StoreUnavailableError as error:  # the server is away: ask again
                trouble = error
            except ClosedError:  # it would say that nothing was stored, which is unknown
                pass
            except DataError:  # the number is "in the future": the server crashed before it wrote any of it
                return None
            limit = _SECONDS if pool.find_silence() is None else _SILENT_SECONDS
            if trouble is not None and trouble.trouble is StoreTrouble.DISK_FULL:
                limit = _FULL_DISK_SECONDS
            if time.monotonic() - started > limit:
                raise OutcomeUnknownError(xid, trouble) from trouble
            time.sleep(0.05)

    def _find_stored(
        self, cursor: Cursor[DictRow], events: Sequence[EventRow], refusals: Sequence[RefusalRow]
    ) -> CommittedAppend | None:
        """Look for the rows: after a crash, another transaction may have got the number."""
        if events:
            last = events[-1]
            statement = sql.SQL(
                "SELECT state, notification_id FROM {} WHERE originator_id = %s AND originator_version = %s"
            ).format(self._events)
            row = cursor.execute(statement, (last.originator_id, last.originator_version)).fetchone()
            if row is None or bytes(row["state"]) != last.state:
                return None
            return CommittedAppend(row["notification_id"])
        # A sealed text is unlike any other, also where the same signal was refused twice.
        one = next((refusal for refusal in refusals if refusal.sealed_text), refusals[0])
        statement = sql.SQL(
            "SELECT FROM {} WHERE organization = %s AND recorded_at = %s AND sealed_text = %s LIMIT 1"
        ).format(self._refusals)
        asked = (one.organization, one.recorded_at, one.sealed_text)
        return CommittedAppend() if cursor.execute(statement, asked).fetchone() is not None else None
