"""The local copy of the suppression list: its look-ups, and the thread that follows the log."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import lmdb
from psycopg import Connection, Cursor
from psycopg.rows import DictRow, tuple_row

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.read_models import Lookup, ReplicaStaleError, Suppression
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.suppression import SuppressionChange, suppressions
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
from offerlog_infrastructure.postgres.log.pages import select_page
from offerlog_infrastructure.replica.records import pack_record, unpack
from offerlog_infrastructure.replica.store import ReplicaFolderError, ReplicaStore
from offerlog_infrastructure.replica.store_reading import (
    mark_event,
    mark_last_event,
    select_epoch,
    select_projection_position,
    select_source,
    select_suppressions,
    select_visitors,
)

_PAGE: Final = 5_000
"""Number of events, or of visitors, that are read at once."""

_LOOK_SECONDS: Final = 0.02
"""Seconds between two looks for new events."""

_RETRY_SECONDS: Final = 0.5
"""Seconds before the thread tries again after an error."""

_EPOCH_SECONDS: Final = 1.0
"""Seconds between two looks at the epoch of the log. Another epoch may mean that a visitor was erased."""

_REMEMBERED_ANSWERS: Final = 5_000
"""Number of visitors whose decrypted suppressions are remembered; each takes about a kilobyte."""

_ANSWER_SECONDS: Final = 30.0
"""Seconds to wait for an answer before the connection counts as lost."""

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

    Attributes:
        error: The last error of the thread; None once the thread has caught up again.
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
        self._decrypt = lru_cache(_REMEMBERED_ANSWERS)(self._decrypt_now)
        self._fresh_at: float | None = None  # by the monotonic clock
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
            UnsealError: The file of the copy was changed.
        """
        cleared, fresh_at, position = self._store.cleared, self._fresh_at, self._store.position
        age = None if fresh_at is None else time.monotonic() - fresh_at
        if age is None or age > self._max_age or position is None:
            raise ReplicaStaleError(age, self._max_age, self.error)
        key = self._organizations.get(organization)  # an unknown one has no suppressions
        found = None if key is None else self._store.look_up(key.digest(visitor))
        if self._store.cleared != cleared:
            raise ReplicaStaleError(None, self._max_age, self.error)
        suppressions = (
            () if found is None else self._keep_in_force(organization, self._decrypt(visitor, found))
        )
        return Lookup(position, age, suppressions)

    def _keep_in_force(self, organization: str, found: tuple[Suppression, ...]) -> tuple[Suppression, ...]:
        """Return the suppressions that have not ended, each with the time at which it will end."""
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

    def _decrypt_now(self, visitor: VisitorKey, value: bytes) -> tuple[Suppression, ...]:
        """Decrypt the suppressions of a visitor; their ends are not computed."""
        found = unpack(value)
        sealer = self._application.visitor_keys.sealer(found.kek, found.wrapped_key)
        decrypted: list[Suppression] = []
        for action_map, state, since, place, sealed in found.records:
            action_id = decode_private(sealer.open(sealed, place)).action_id
            decrypted.append(
                Suppression(
                    visitor.id,
                    visitor.type,
                    unpack_uuid(action_map),
                    state.value,
                    format_uuid(action_id),
                    since,
                )
            )
        return tuple(decrypted)

    def await_fresh(self, timeout: float) -> None:
        """Wait until the copy is fresh enough for look-ups, at most `timeout` seconds.

        Raises:
            ReplicaStaleError: The copy is still too old.
            ReplicaFolderError: The file cannot be written, on a full disk for instance.
        """
        deadline = time.monotonic() + timeout
        with announced("the first copy of the suppression list", timeout) as wait:
            while self._fresh_at is None or time.monotonic() - self._fresh_at > self._max_age:
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
                if self._stopped.is_set():  # `close` has cut the connection
                    return
                error: Exception = raised
                if isinstance(raised, lmdb.Error):  # its message names no file
                    error = ReplicaFolderError(
                        self._store.folder, f"{raised}{full_disk_hint(self._store.folder)}"
                    )
                self.error = error
                self._trouble.note(error)
                self._stopped.wait(_RETRY_SECONDS)

    def _follow(self, connection: Connection[DictRow]) -> None:
        """Follow the log over one connection, until the replica is closed or the connection is lost."""
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            self._read_keys()
            self._read_policies(connection)
            source = select_source(cursor)
            log = self._application.log
            horizon = SafeHorizon(log.datastore.schema, log.events_table_name)
            position = self._store.position
            if position is not None and self._store.last() != mark_last_event(cursor, position):
                self._fresh_at = None
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
                        self._fresh_at, self.error = horizon.as_of, None
                        self._trouble.over()
                    self._stopped.wait(_LOOK_SECONDS)

    def _catch_up(self, cursor: Cursor[Any], safe: int, source: bytes) -> None:
        """Bring the copy up to a position. Copy the projection first if the copy is not of this log."""
        position = self._store.position
        if position is None or position > safe or self._store.source() != source:
            position = self._copy(cursor, source)
        while position < safe and not self._stopped.is_set():
            rows = select_page(cursor, position, safe, _PAGE)
            if position < select_end(cursor.connection):  # the page may lack what is archived
                position = self._copy(cursor, source)
                if position < select_end(cursor.connection):
                    raise RuntimeError(
                        "the suppression projection is being rebuilt and lacks archived events so far"
                    )
                continue
            if not rows:  # an empty position may be drawn again after a crash, so it is never stored
                break
            # An unreadable event may be a suppression: stop and let the copy grow old rather than skip it.
            read = self._application.event_mapper.event
            events = [Positioned(row[0], read(*row[1:])) for row in rows]
            position = rows[-1][0]
            if any(isinstance(one.recorded.event, ActionMapPolicySet) for one in events):
                self._read_policies(cursor.connection)  # before the position, which promises them
            self._apply(cursor, suppressions(Page(events)), position, source, mark_event(rows[-1]))

    def _apply(
        self,
        cursor: Cursor[Any],
        change: SuppressionChange,
        position: int,
        source: bytes,
        last: bytes,
    ) -> None:
        """Store a change of the list, with the position and the mark of the last event that it is from."""
        added, ended = change.added, change.offered_again
        if any(row.organization not in self._organizations for row in added.values()):
            self._read_keys()
        tokens = {key.visitor for key in (*added, *ended)}
        visitors = select_visitors(cursor, tokens) if tokens else {}
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
                for key in ended
                if key.visitor in visitors
            ],
        )

    def _read_policies(self, connection: Connection[DictRow]) -> None:
        """Read the policies in force of all organizations."""
        self._policies = {
            organization: {format_uuid(action_map): policy for action_map, policy in policies.items()}
            for organization, policies in select_all_policies(connection).items()
        }

    def _read_keys(self) -> None:
        """Read the keys of all organizations. A key is stored before the first event of its organization."""
        self._organizations = self._application.keys.all_keys()

    def _follow_epoch(self, cursor: Cursor[Any]) -> None:
        """Read visitors and keys again if the epoch has changed: a key may be destroyed or replaced."""
        epoch = select_epoch(cursor)
        if epoch == self._store.epoch():
            if self._store.has_remains():
                self._store.compact()
            return
        self._application.visitor_keys.forget()
        self._application.keys.refresh_secrets()
        self._read_keys()
        self._decrypt.cache_clear()
        for tokens in self._store.tokens(_PAGE):
            stored = select_visitors(cursor, tokens.values())
            heads = {token: head for token, (_, head) in stored.items()}
            self._store.replace_visitors(tokens, heads)
        if self._store.has_remains():
            self._store.compact()
        self._store.empty_unused()
        self._store.put_epoch(epoch)

    def _copy(self, cursor: Cursor[Any], source: bytes) -> int:
        """Copy the projection; return its position.

        Raises:
            RuntimeError: The projection may lack a suppression.
        """
        self._fresh_at = None
        self._store.clear()
        connection = cursor.connection
        with connection.transaction():
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            position = select_projection_position(cursor)
            epoch = select_epoch(cursor)
            for chunk in select_suppressions(connection, _PAGE):
                self._store.put(chunk, 0, source, b"")
            last = mark_last_event(cursor, position)
        self._store.put_epoch(epoch)
        self._read_keys()  # those of the organizations that were copied
        self._store.put((), position, source, last)
        return position
