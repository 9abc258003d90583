"""The keys of the keyring as one store uses them: their rotation in pages, and the removal of former ones.

Writers are told of the new key by the epoch: those that
encrypted a new visitor's key before decide again, and read the keyring again first.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.access.rotation import retire_key, rotate_keys
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keyring import Keyring, KeyringError, ManagedKeyring
from offerlog_application.ports.master_keys import (
    KeyInUseError,
    KeyUses,
    MasterKey,
    RewrappedKeys,
    Rotation,
    RotationProgress,
    RotationRunningError,
)
from offerlog_application.ports.service_log import ServiceLog
from offerlog_application.ports.write_fence import WriteFence
from offerlog_application.wording import format_count
from offerlog_domain.service_events import KeyRotated, ServiceEvent
from offerlog_domain.stream_ids import make_organization_stream_id
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_PAGE: Final = 1_000
"""Visitors whose keys one transaction encrypts anew. It holds their rows for some hundredths of a second."""

_LOCK_KEY: Final = 0x6F66_6C72_6B65_7973
"""The advisory lock of the process that rotates or retires keys."""

_ANSWER_SECONDS: Final = 600.0
"""Seconds to wait for an answer; the rows of all visitors are counted in one statement."""

_BEFORE_ALL: Final = UUID(int=0)

PURPOSE: Final = "keyring"
"""The purpose of the keys that a rotation concerns, in its events."""

_SELECT_USES: LiteralString = """
    SELECT k.id, k.used_since, coalesce(v.visitors, 0),
        (SELECT count(*) FROM organizations o WHERE o.kek = k.number)
    FROM key_encryption_keys k
    LEFT JOIN (SELECT kek, count(*) AS visitors FROM visitors GROUP BY kek) AS v ON v.kek = k.number
    ORDER BY k.number
"""
_SELECT_NUMBER: LiteralString = "SELECT number FROM key_encryption_keys WHERE id = %s"
_INSERT_KEY: LiteralString = "INSERT INTO key_encryption_keys (id) VALUES (%s) ON CONFLICT DO NOTHING"
_DELETE_KEY: LiteralString = "DELETE FROM key_encryption_keys WHERE id = %s"
_COUNT_LEFT: LiteralString = """
    SELECT (SELECT count(*) FROM visitors WHERE kek <> %(kek)s),
        (SELECT count(*) FROM organizations WHERE kek <> %(kek)s),
        (SELECT count(*) FROM webhook_secrets WHERE kek <> %(kek)s)
"""
_COUNT_OF_WEBHOOKS: LiteralString = """
    SELECT count(*) FROM webhook_secrets s JOIN key_encryption_keys k ON k.number = s.kek WHERE k.id = %s
"""
_SELECT_OF_WEBHOOKS: LiteralString = """
    SELECT number, kek, wrapped_secret FROM webhook_secrets WHERE kek <> %s ORDER BY number FOR UPDATE
"""
_UPDATE_REWRAPPED: LiteralString = """
    UPDATE webhook_secrets SET kek = %s, wrapped_secret = %s WHERE number = %s
"""
_SELECT_PAGE: LiteralString = """
    SELECT digest, kek, wrapped_key FROM visitors WHERE digest > %s AND kek <> %s
    ORDER BY digest LIMIT %s FOR UPDATE
"""
"""The lock keeps an erasure from being undone: a row that is deleted meanwhile is not among these."""

_UPDATE_PAGE: LiteralString = """
    UPDATE visitors SET kek = %s, wrapped_key = page.wrapped_key
    FROM unnest(%s::uuid[], %s::bytea[]) AS page (digest, wrapped_key) WHERE visitors.digest = page.digest
"""
_SELECT_ORGANIZATION: LiteralString = """
    SELECT o.organization, k.id, o.kek, o.wrapped_secret
    FROM organizations o JOIN key_encryption_keys k ON k.number = o.kek
    WHERE o.kek <> %s AND o.organization > %s ORDER BY o.organization LIMIT 1
"""
_UPDATE_ORGANIZATION: LiteralString = """
    UPDATE organizations SET kek = %s, wrapped_secret = %s WHERE organization = %s AND kek = %s
"""


class PostgresMasterKeys:
    """The application's `MasterKeys`; thread-safe.

    A method has the errors of the method of `MasterKeys`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        application: The log.
        fence: Makes writers read the keyring again.
        service_log: Gets an event for each organization whose secret is encrypted anew.
        clock: The service's clock.
    """

    def __init__(
        self, application: OfferlogApplication, fence: WriteFence, service_log: ServiceLog, clock: Clock
    ) -> None:
        self._application = application
        self._fence = fence
        self._service_log = service_log
        self._clock = clock

    def list(self) -> Sequence[MasterKey]:
        """List the keys that the keyring holds or the store has used.

        Raises:
            KeyringError: The keyring cannot be used.
        """
        keyring = self._application.keys.keyring
        keyring.refresh()
        current = keyring.kek_id
        made = keyring.made_at() if isinstance(keyring, ManagedKeyring) else {current: None}
        with self._connected() as connection:
            used = {row[0]: row[1:] for row in connection.execute(_SELECT_USES).fetchall()}
        ids = [*made, *(one for one in used if one not in made)]
        return [MasterKey(one, one == current, made.get(one), *used.get(one, (None, 0, 0))) for one in ids]

    def rotate(self, on_progress: Callable[[RotationProgress], None] | None = None) -> Rotation:
        """Make a new current key, and encrypt every key of the store with it; or complete a rotation."""
        with self.locked() as uses:
            return rotate_keys([uses], on_progress)

    def retire(self, key_id: str) -> None:
        """Remove a former key from the keyring, if it encrypts nothing of this store any more."""
        with self.locked() as uses:
            retire_key([uses], key_id)

    def _note(self, organization: str, old_id: str, new_id: str) -> None:
        """Append the event of a rotation, unless an interrupted call has."""
        stream, last = make_organization_stream_id(organization), 0
        while entries := self._service_log.read_entries(stream, last):
            if any(_says(entry.event, organization, old_id, new_id) for entry in entries):
                return
            last = entries[-1].version
        event = KeyRotated(
            organization=organization,
            recorded_at=self._clock.now(),
            purpose=PURPOSE,
            old_key_id=old_id,
            new_key_id=new_id,
        )
        self._service_log.append_entry(stream, event)

    @contextmanager
    def _connected(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Open a connection outside the pools, in auto-commit mode."""
        with (
            store_reached(self._application.log.datastore),
            self._application.connect(_ANSWER_SECONDS) as connection,
        ):
            connection.row_factory = tuple_row  # type: ignore[assignment] # the pools' rows are dictionaries
            yield connection  # type: ignore[misc] # as above

    @contextmanager
    def locked(self) -> Iterator[KeyUses]:
        """Be the only process that rotates or retires keys.

        Raises:
            RotationRunningError: Another process is at work.
        """
        with self._connected() as connection:
            if connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() != (True,):
                raise RotationRunningError
            try:
                yield _LockedKeys(connection, self._application, self._fence, self._note)
            finally:  # the server ends a closed session later, and the next rotation may come at once
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_KEY,))


class _LockedKeys:
    """The application's `KeyUses`.

    Args:
        connection: Has the lock; in auto-commit mode.
        application: The log.
        fence: Makes writers read the keyring again.
        note: Notes in the log that the secret of an organization is about to be encrypted anew; gets the
            organization, and the ids of the former and the new key.
    """

    def __init__(
        self,
        connection: Connection[tuple[Any, ...]],
        application: OfferlogApplication,
        fence: WriteFence,
        note: Callable[[str, str, str], None],
    ) -> None:
        self._connection = connection
        self._keys = application.keys
        self._datastore = application.log.datastore
        self._fence = fence
        self._note = note

    @property
    def keyring(self) -> Keyring:
        """The keyring."""
        return self._keys.keyring

    def fence(self) -> None:
        """Let writers read the keyring anew, and wait for those that have begun before."""
        self._fence.fence()

    def count_left(self) -> int:
        """Count the visitors, organizations and webhooks whose keys another key than the current encrypts."""
        with store_reached(self._datastore):
            kek = _number_of(self._connection, self.keyring.kek_id)
            row = self._connection.execute(_COUNT_LEFT, {"kek": kek}).fetchone()
        assert row is not None  # noqa: S101 - a statement without FROM has one row
        return sum(row)

    def rewrap(self) -> Iterator[RewrappedKeys]:
        """Encrypt what is left with the current key, and yield the number of each page."""
        with store_reached(self._datastore):
            key_id = self.keyring.kek_id
            kek = _number_of(self._connection, key_id)
            for count in self._rewrap_visitors(kek):
                yield RewrappedKeys(visitors=count)
            yield RewrappedKeys(organizations=self._rewrap_organizations(kek, key_id))
            yield RewrappedKeys(webhooks=self._rewrap_webhook_secrets(kek))

    def forget_key(self, key_id: str) -> None:
        """Delete the row of a key, unless it encrypts something."""
        with store_reached(self._datastore), self._connection.transaction():
            # A new organization refers to the row of its key: it waits, or stops the deletion.
            self._connection.execute("LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE")
            self.check_unused(key_id)
            self._connection.execute(_DELETE_KEY, (key_id,))

    def forget_remembered(self) -> None:
        """Forget what this process remembers of keys."""
        self._keys.forget()

    def check_unused(self, key_id: str) -> None:
        """Check that a key encrypts nothing of this store.

        Raises:
            KeyInUseError: It does.
        """
        with store_reached(self._datastore):
            uses = {row[0]: row[2:] for row in self._connection.execute(_SELECT_USES).fetchall()}
            row = self._connection.execute(_COUNT_OF_WEBHOOKS, (key_id,)).fetchone()
        visitors, organizations = uses.get(key_id, (0, 0))
        webhooks = 0 if row is None else int(row[0])
        if visitors or organizations or webhooks:
            raise KeyInUseError(
                key_id,
                f"it encrypts keys of this store, of {format_count(visitors, 'visitor')} and"
                f" {format_count(organizations, 'organization')}"
                + (f" and {format_count(webhooks, 'webhook secret')}" if webhooks else "")
                + "; run `offerlog keyring rotate` first",
            )

    def _rewrap_visitors(self, kek: int) -> Iterator[int]:
        """Encrypt the keys of visitors anew, page by page; yields the number of each page."""
        after = _BEFORE_ALL
        while True:
            with self._connection.transaction():
                page = self._connection.execute(_SELECT_PAGE, (after, kek, _PAGE)).fetchall()
                if not page:
                    return
                digests = [digest for digest, _, _ in page]
                wrapped = [self._keys.wrap(self._keys.unwrap(number, bytes(key))) for _, number, key in page]
                if any(number != kek for number, _ in wrapped):
                    raise KeyringError("the keyring has got another current key meanwhile: run it again")
                self._connection.execute(_UPDATE_PAGE, (kek, digests, [key for _, key in wrapped]))
            after = digests[-1]
            yield len(page)

    def _rewrap_organizations(self, kek: int, key_id: str) -> int:
        """Encrypt the secrets of organizations anew, each behind its event; returns their number."""
        after, done = "", 0
        while row := self._connection.execute(_SELECT_ORGANIZATION, (kek, after)).fetchone():
            after, old_id, old_kek, secret = row
            self._note(after, old_id, key_id)
            _, wrapped = self._keys.wrap(self._keys.unwrap(old_kek, bytes(secret)))
            self._connection.execute(_UPDATE_ORGANIZATION, (kek, wrapped, after, old_kek))
            done += 1
        return done

    def _rewrap_webhook_secrets(self, kek: int) -> int:
        """Encrypt the secrets of webhooks anew; returns their number, which is small."""
        with self._connection.transaction():
            found = self._connection.execute(_SELECT_OF_WEBHOOKS, (kek,)).fetchall()
            for number, old_kek, secret in found:
                _, wrapped = self._keys.wrap(self._keys.unwrap(old_kek, bytes(secret)))
                self._connection.execute(_UPDATE_REWRAPPED, (kek, wrapped, number))
        return len(found)


def _says(event: ServiceEvent, organization: str, old_id: str, new_id: str) -> bool:
    return (
        isinstance(event, KeyRotated)
        and event.organization == organization
        and (event.purpose, event.old_key_id, event.new_key_id) == (PURPOSE, old_id, new_id)
    )


def _number_of(connection: Connection[tuple[Any, ...]], key_id: str) -> int:
    """Return the number of a key in this store, which gets one if it is new here."""
    connection.execute(_INSERT_KEY, (key_id,))
    row = connection.execute(_SELECT_NUMBER, (key_id,)).fetchone()
    assert row is not None  # noqa: S101 - the INSERT before has made it
    return int(row[0])
