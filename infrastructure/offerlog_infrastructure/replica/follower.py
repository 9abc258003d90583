"""The thread that keeps the replica up to date with the log, and the age of the copy."""

import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, LiteralString
from uuid import UUID

import lmdb
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.positions import begin_of_shard
from offerlog_application.ports.read_models import Lookup, ReplicaStaleError, Suppression
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.suppression import SuppressionChange, SuppressionRow, suppressions
from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy
from offerlog_domain.identity import OrganizationKey, VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.service_events import ActionMapPolicySet
from offerlog_domain.uuids import format_uuid, unpack_uuid
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.action_map_policies import select_all_policies
from offerlog_infrastructure.postgres.archive.archived_rows import select_end
from offerlog_infrastructure.postgres.connections import StoreConnection, await_end
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_encoding import decode_private
from offerlog_infrastructure.postgres.log.horizon import SafeHorizon
from offerlog_infrastructure.postgres.log.pages import PositionedRow, select_page
from offerlog_infrastructure.replica.records import VisitorHead, pack_record, unpack
from offerlog_infrastructure.replica.store import ReplicaFolderError, ReplicaStore

_PAGE: Final = 5_000
_LOOK_SECONDS: Final = 0.02
_AGAIN_SECONDS: Final = 0.5
_EPOCH_SECONDS: Final = 1.0
"""Seconds between two looks at the epoch of the log, with which the visitors may have changed."""

_REMEMBERED_ANSWERS: Final = 5_000
"""Number of visitors whose opened suppressions are remembered; each takes about a kilobyte."""

_ANSWER_SECONDS: Final = 30.0
"""Seconds to wait for an answer before the connection counts as lost."""

_SOURCE: LiteralString = "SELECT extract(epoch FROM applied_at)::text FROM migrations WHERE number = 1"
_SELECT_POSITION: LiteralString = (
    "SELECT notification_id FROM offerlog_tracking WHERE application_name = 'suppression'"
)
_LAST_EVENT: LiteralString = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM offerlog_events WHERE notification_id > %s AND notification_id <= %s
    ORDER BY notification_id DESC LIMIT 1
"""
_SELECT_EPOCH: LiteralString = "SELECT epoch FROM log_epoch"
_SELECT_VISITORS: LiteralString = """
    SELECT token, digest, kek, wrapped_key FROM visitors WHERE token = ANY(%s::text::bigint[])
"""
_SUPPRESSED: LiteralString = """
    SELECT v.digest, v.token, v.kek, v.wrapped_key, s.action_map_id,
        s.organization, s.state, s.since, s.version, s.sealed
    FROM suppressions s JOIN visitors v ON v.token = s.visitor
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
        clock: The service's clock, by which a suppression ends.
    """

    def __init__(
        self, application: OfferlogApplication, folder: Path, max_age: timedelta, clock: Clock
    ) -> None:
        self._application = application
        self._clock = clock
        self._store = ReplicaStore.open(folder)
        self._max_age = max_age.total_seconds()
        self._organizations: Mapping[str, OrganizationKey] = {}
        self._policies: Mapping[str, Mapping[str, ActionMapPolicy]] = {}
        self._opened = lru_cache(_REMEMBERED_ANSWERS)(self._open)
        self._fresh: float | None = None
        self._stopped = threading.Event()
        self._connection: StoreConnection | None = None
        self.error: Exception | None = None
        self._trouble = RepeatedTrouble(_log, "the local suppression list stands still and will try again")
        self._thread = threading.Thread(target=self._run, name="offerlog-replica", daemon=True)
        self._thread.start()

    def look_up(self, organization: str, visitor: VisitorKey) -> Lookup:
        """List the maps that must not offer to this visitor, with the position and age of the copy.

        Raises:
            ReplicaStaleError: The copy is older than `max_age`, or is not made yet.
            KeyringError: The keyring cannot decrypt the visitor's key.
            UnsealError: The file was changed.
        """
        cleared, fresh, position = self._store.cleared, self._fresh, self._store.position
        age = None if fresh is None else time.monotonic() - fresh
        if age is None or age > self._max_age or position is None:
            raise ReplicaStaleError(age, self._max_age, self.error)
        key = self._organizations.get(organization)  # an unknown one has no suppressions
        found = None if key is None else self._store.look_up(key.digest(visitor))
        if self._store.cleared != cleared:
            raise ReplicaStaleError(None, self._max_age, self.error)
        suppressions = () if found is None else self._in_force(organization, self._opened(visitor, found))
        return Lookup(position, age, suppressions)

    def _in_force(self, organization: str, found: tuple[Suppression, ...]) -> tuple[Suppression, ...]:
        """Return the suppressions that have not ended, with the end of each."""
        policies = self._policies.get(organization)
        if not policies:
            return found
        now = self._clock.now()
        kept: list[Suppression] = []
        for one in found:
            policy = policies.get(one.action_map_id, NO_POLICY)
            until = policy.suppressed_until(State(one.state), one.since)
            if until is None or until > now:
                kept.append(replace(one, until=until))
        return tuple(kept)

    def _open(self, visitor: VisitorKey, value: bytes) -> tuple[Suppression, ...]:
        found = unpack(value)
        sealer = self._application.visitor_keys.sealer(found.kek, found.wrapped_key)
        opened: list[Suppression] = []
        for action_map, state, since, place, sealed in found.records:
            action_id = decode_private(sealer.open(sealed, place)).action_id
            opened.append(
                Suppression(
                    visitor.id,
                    visitor.type,
                    unpack_uuid(action_map),
                    state.value,
                    format_uuid(action_id),
                    since,
                )
            )
        return tuple(opened)

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
        await_end(self._thread, lambda: self._connection)
        self._store.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._application.connect(answer_within=_ANSWER_SECONDS) as connection:
                    self._connection = connection
                    self._follow(connection)
            except Exception as raised:  # noqa: BLE001 - the thread tries again; look-ups see the age
                if self._stopped.is_set():  # it was cut
                    return
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
            self._learn_policies(connection)
            source = str((cursor.execute(_SOURCE).fetchone() or ("",))[0]).encode()
            log = self._application.log
            horizon = SafeHorizon(log.datastore.schema, log.events_table_name)
            position = self._store.position
            if position is not None and self._store.last() != _last_event(cursor, position):
                self._fresh = None
                self._store.clear()
            next_look = 0.0
            with connection.cursor() as looking:
                while not self._stopped.is_set():
                    if self._store.position is not None and time.monotonic() >= next_look:
                        self._follow_epoch(cursor)
                        next_look = time.monotonic() + _EPOCH_SECONDS
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
            rows = select_page(cursor, position, safe, _PAGE)
            if position < select_end(cursor.connection):  # the page may lack what is archived
                position = self._copy(cursor, source)
                if position < select_end(cursor.connection):
                    raise RuntimeError("the suppression projection is made anew and lacks archived events")
                continue
            if not rows:  # an empty position may be drawn again after a crash, so it is never stored
                break
            # An unreadable event may be a suppression: stop and let the copy grow old rather than skip it.
            read = self._application.event_mapper.event
            events = [Positioned(row[0], read(*row[1:])) for row in rows]
            position = rows[-1][0]
            if any(isinstance(one.recorded.event, ActionMapPolicySet) for one in events):
                self._learn_policies(cursor.connection)  # before the position, which promises them
            self._apply(cursor, suppressions(Page(events)), position, source, _mark(rows[-1]))

    def _apply(
        self,
        cursor: Cursor[Any],
        change: SuppressionChange,
        position: int,
        source: bytes,
        last: bytes,
    ) -> None:
        added, again = change.added, change.offered_again
        if any(row.organization not in self._organizations for row in added.values()):
            self._learn_secrets()
        tokens = {key.visitor for key in (*added, *again)}
        visitors = _select_visitors(cursor, tokens) if tokens else {}
        self._store.put(
            # A visitor who is not in the store any more has no suppressions.
            (
                (*visitors[key.visitor], pack_record(key.visitor, key.action_map_id, row))
                for key, row in added.items()
                if key.visitor in visitors
            ),
            position,
            source,
            last,
            [
                (visitors[key.visitor][0], key.visitor, key.action_map_id)
                for key in again
                if key.visitor in visitors
            ],
        )

    def _learn_policies(self, connection: Connection[DictRow]) -> None:
        """Read the policies of all organizations that are in force."""
        self._policies = {
            organization: {format_uuid(action_map): policy for action_map, policy in policies.items()}
            for organization, policies in select_all_policies(connection).items()
        }

    def _learn_secrets(self) -> None:
        """Read the keys of organizations. A secret is stored before the first event of its organization."""
        self._organizations = self._application.keys.all_keys()

    def _follow_epoch(self, cursor: Cursor[Any]) -> None:
        """Read visitors and secrets again if the epoch has changed: some may be destroyed, or anew."""
        epoch = _select_epoch(cursor)
        if epoch == self._store.epoch():
            if self._store.has_remains():
                self._store.compact()
            return
        self._application.visitor_keys.forget()
        self._application.keys.refresh_secrets()
        self._learn_secrets()
        self._opened.cache_clear()
        for tokens in self._store.tokens(_PAGE):
            stored = _select_visitors(cursor, tokens.values())
            heads = {token: head for token, (_, head) in stored.items()}
            self._store.replace_visitors(tokens, heads)
        if self._store.has_remains():
            self._store.compact()
        self._store.empty_unused()
        self._store.put_epoch(epoch)

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
            epoch = _select_epoch(cursor)
            for chunk in _chunks(connection):
                self._store.put(chunk, 0, source, b"")
            last = _last_event(cursor, position)
        self._store.put_epoch(epoch)
        self._learn_secrets()  # those of the organizations that were copied
        self._store.put((), position, source, last)
        return position


def _last_event(cursor: Cursor[Any], position: int) -> bytes:
    """Return a mark of the last event up to a position, which differs if another event stands there."""
    row = cursor.execute(_LAST_EVENT, (begin_of_shard(position), position)).fetchone()
    return b"" if row is None else _mark(row)


def _mark(row: PositionedRow) -> bytes:
    position, stream, version, topic, state = row
    head = b"%d %b %d %b " % (position, stream.bytes, version, topic.encode())
    return blake2b(head + state, digest_size=20).digest()


def _chunks(connection: Connection[Any]) -> Iterator[Iterable[tuple[UUID, VisitorHead, bytes]]]:
    with connection.cursor(name="copy", binary=True, row_factory=tuple_row) as cursor:
        cursor.execute(_SUPPRESSED)
        while rows := cursor.fetchmany(_PAGE):
            yield [
                (
                    digest,
                    VisitorHead(token, kek, key),
                    pack_record(token, action_map_id, SuppressionRow(*row)),
                )
                for digest, token, kek, key, action_map_id, *row in rows
            ]


def _select_epoch(cursor: Cursor[Any]) -> int:
    ((epoch,),) = cursor.execute(_SELECT_EPOCH, prepare=True).fetchall()
    return int(epoch)


def _select_visitors(cursor: Cursor[Any], tokens: Collection[int]) -> Mapping[int, tuple[UUID, VisitorHead]]:
    """Select the digests and keys of visitors, by token."""
    # As text: the driver takes arrays apart in Python.
    asked = f"{{{','.join(map(str, tokens))}}}"
    rows = cursor.execute(_SELECT_VISITORS, (asked,), prepare=True).fetchall()
    return {token: (digest, VisitorHead(token, kek, key)) for token, digest, kek, key in rows}
