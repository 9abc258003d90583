"""The thread that keeps the replica up to date with the log, and the age of the copy."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, LiteralString
from uuid import UUID

import lmdb
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.read_models import Lookup, ReplicaStaleError
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow, suppressions
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.horizon import SafeHorizon
from offerlog_infrastructure.postgres.log.pages import SELECT_PAGE, PositionedRow
from offerlog_infrastructure.replica.store import ReplicaFolderError, ReplicaStore

_PAGE: Final = 5_000
_LOOK_SECONDS: Final = 0.02
_AGAIN_SECONDS: Final = 0.5

_ANSWER_SECONDS: Final = 30.0
"""Seconds to wait for an answer before the connection counts as lost."""

_SOURCE: LiteralString = "SELECT extract(epoch FROM applied_at)::text FROM migrations WHERE number = 1"
_SELECT_POSITION: LiteralString = (
    "SELECT notification_id FROM offerlog_tracking WHERE application_name = 'suppression'"
)
_LAST_EVENT: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM offerlog_events WHERE notification_id <= %s
    ORDER BY notification_id DESC LIMIT 1
"""
_SUPPRESSED: LiteralString = """
    SELECT organization, customer_id_type, customer_id, action_map_id, state, action_id, since
    FROM suppressions
"""

_log = logging.getLogger(__name__)


class SuppressionReplica:
    """A local copy of the suppression list; its look-ups are thread-safe and do not ask the store.

    A thread follows the log. If there is no copy yet, it copies the projection and continues from its
    position. It does the same if the copy is of another log, or if the log has lost its end since: restored
    from a backup, or failed over to a server that was behind.

    Args:
        application: The log.
        folder: The folder of the replicas of this machine.
        max_age: A look-up in an older copy is refused, so that nothing is offered on old data.
    """

    def __init__(self, application: OfferlogApplication, folder: Path, max_age: timedelta) -> None:
        self._application = application
        self._store = ReplicaStore.open(folder)
        self._max_age = max_age.total_seconds()
        self._fresh: float | None = None
        self._stopped = threading.Event()
        self.error: Exception | None = None
        self._trouble = RepeatedTrouble(_log, "the local suppression list stands still and will try again")
        self._thread = threading.Thread(target=self._run, name="offerlog-replica", daemon=True)
        self._thread.start()

    def look_up(self, organization: str, visitor: VisitorKey) -> Lookup:
        """List the maps that must not offer to this visitor, with the position and age of the copy.

        Raises:
            ReplicaStaleError: The copy is older than `max_age`, or is not made yet.
        """
        cleared, fresh, position = self._store.cleared, self._fresh, self._store.position
        age = None if fresh is None else time.monotonic() - fresh
        if age is None or age > self._max_age or position is None:
            raise ReplicaStaleError(age, self._max_age, self.error)
        found = self._store.look_up(organization, visitor)
        if self._store.cleared != cleared:
            raise ReplicaStaleError(None, self._max_age, self.error)
        return Lookup(position, age, found)

    def await_fresh(self, timeout: float) -> None:
        """Wait until the copy is fresh enough for look-ups, at most `timeout` seconds.

        Raises:
            ReplicaStaleError: The copy is still too old.
            ReplicaFolderError: The file cannot be written, on a full disk for instance.
        """
        deadline = time.monotonic() + timeout
        with announced("the first copy of the suppression list", timeout) as wait:
            while self._fresh is None or time.monotonic() - self._fresh > self._max_age:
                error = self.error  # set by another thread
                if isinstance(error, ReplicaFolderError):
                    raise error
                if time.monotonic() > deadline:
                    raise ReplicaStaleError(None, self._max_age, self.error)
                wait.reason = str(self.error or "")
                time.sleep(0.01)

    def close(self) -> None:
        """Stop the thread and close the file."""
        self._stopped.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._application.connect(answer_within=_ANSWER_SECONDS) as connection:
                    self._follow(connection)
            except Exception as raised:  # noqa: BLE001 - the thread tries again; look-ups see the age
                error: Exception = raised
                if isinstance(raised, lmdb.Error):  # its message names no file
                    error = ReplicaFolderError(
                        self._store.folder, f"{raised}{full_disk_hint(self._store.folder)}"
                    )
                self.error = error
                self._trouble.note(error)
                self._stopped.wait(_AGAIN_SECONDS)

    def _follow(self, connection: Connection[DictRow]) -> None:
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            self._learn_secrets()
            source = str((cursor.execute(_SOURCE).fetchone() or ("",))[0]).encode()
            log = self._application.log
            horizon = SafeHorizon(log.datastore.schema, log.events_table_name)
            position = self._store.position
            if position is not None and self._store.last() != _last_event(cursor, position):
                self._fresh = None
                self._store.clear()
            with connection.cursor() as looking:
                while not self._stopped.is_set():
                    safe = horizon.advance(looking)
                    if safe is not None:
                        self._catch_up(cursor, safe, source)
                        # Not the current time: events behind a hung writer may be newer.
                        self._fresh, self.error = horizon.as_of, None
                        self._trouble.over()
                    self._stopped.wait(_LOOK_SECONDS)

    def _catch_up(self, cursor: Cursor[Any], safe: int, source: bytes) -> None:
        position = self._store.position
        if position is None or position > safe or self._store.source() != source:
            position = self._copy(cursor, source)
        while position < safe and not self._stopped.is_set():
            rows = cursor.execute(SELECT_PAGE, (position, safe, _PAGE), prepare=True).fetchall()
            if not rows:  # an empty position may be drawn again after a crash, so it is never stored
                break
            # An unreadable event may be a suppression: stop and let the copy grow old rather than skip it.
            read = self._application.event_mapper.event
            events = [Positioned(place, read(*stored)) for place, *stored in rows]
            position = rows[-1][0]
            self._put(suppressions(Page(events)), position, source, _mark(rows[-1]))

    def _put(
        self,
        added: Mapping[SuppressionKey, SuppressionRow],
        position: int,
        source: bytes,
        last: bytes | None,
    ) -> None:
        if any(key.organization not in self._store.secrets for key in added):
            self._learn_secrets()
        self._store.put(added, position, source, last)

    def _learn_secrets(self) -> None:
        """Read new organizations' secrets. A secret is stored before the first event of its organization."""
        self._store.secrets = self._application.keys.secrets()

    def _copy(self, cursor: Cursor[Any], source: bytes) -> int:
        """Copy the projection, and return its position."""
        self._fresh = None
        self._store.clear()
        connection = cursor.connection
        with connection.transaction():
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            found = cursor.execute(_SELECT_POSITION).fetchone()
            short = cursor.execute("SELECT FROM dead_letters WHERE view = 'suppression' LIMIT 1").fetchone()
            if found is None or short is not None:
                raise RuntimeError(
                    "the suppression projection has dead letters, so it may lack what must not be offered"
                )
            position = int(found[0])
            for chunk in _chunks(connection):
                self._put(chunk, 0, source, b"")
            last = _last_event(cursor, position)
        self._store.put({}, position, source, last)
        return position


def _last_event(cursor: Cursor[Any], position: int) -> bytes:
    """Return a mark of the last event up to a position, which differs if another event stands there."""
    row = cursor.execute(_LAST_EVENT, (position,)).fetchone()
    return b"" if row is None else _mark(row)


def _mark(row: PositionedRow) -> bytes:
    position, stream, version, topic, state = row
    head = b"%d %b %d %b " % (position, stream.bytes, version, topic.encode())
    return blake2b(head + state, digest_size=20).digest()


def _chunks(connection: Connection[Any]) -> Iterator[dict[SuppressionKey, SuppressionRow]]:
    with connection.cursor(name="copy", binary=True, row_factory=tuple_row) as cursor:
        cursor.execute(_SUPPRESSED)
        while rows := cursor.fetchmany(_PAGE):
            yield {_key(*row[:4]): SuppressionRow(*row[4:]) for row in rows}


def _key(
    organization: str, customer_id_type: bytes, customer_id: bytes, action_map_id: UUID
) -> SuppressionKey:
    return SuppressionKey(organization, VisitorKey.decode(customer_id_type, customer_id), action_map_id)
