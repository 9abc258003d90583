"""The keys of the keyring as one store uses them: rotation in pages, and the removal of former keys.

A rotation stores no progress: it looks for what another key than the current one encrypts, and that is left
to do. So after any end the same call continues. Writers are told of the new key by the epoch: those that
encrypted a new visitor's key before decide again, and read the keyring again first.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keyring import KeyringError, ManagedKeyring
from offerlog_application.ports.master_keys import (
    KeyInUseError,
    MasterKey,
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

_GRACE_SECONDS: Final = 5.0
"""Seconds that local copies of the suppression list get to read the keys of their visitors again."""

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
        """Make a new current key, and encrypt every key of the store with it; or complete a rotation.

        Raises:
            KeyringError: The keyring cannot be used.
            StoreUnavailableError: The store cannot be reached; the same call continues.
        """
        keyring = self._application.keys.keyring
        with self._locked() as connection:
            keyring.refresh()
            kek = _number_of(connection, keyring.kek_id)
            left = _count_left(connection, kek)
            is_resumed = sum(left) > 0
            if not is_resumed and isinstance(keyring, ManagedKeyring):
                keyring.add_key()
                kek = _number_of(connection, keyring.kek_id)
                left = _count_left(connection, kek)
            visitors = organizations = webhooks = 0
            total = sum(left)
            self._fence.fence()  # from here on writers encrypt with the new key
            while sum(left):
                for done in self._rewrap_visitors(connection, kek):
                    visitors += done
                    total = max(total, visitors + organizations + webhooks)
                    if on_progress is not None:
                        on_progress(RotationProgress(visitors + organizations + webhooks, total))
                organizations += self._rewrap_organizations(connection, kek, keyring.kek_id)
                webhooks += self._rewrap_webhook_secrets(connection, kek)
                left = _count_left(connection, kek)
            if on_progress is not None:
                on_progress(RotationProgress(visitors + organizations + webhooks, total))
            self._fence.fence()  # processes that keep encrypted keys read them again
        return Rotation(keyring.kek_id, is_resumed, visitors, organizations)

    def retire(self, key_id: str) -> None:
        """Remove a former key from the keyring, if it encrypts nothing of this store any more.

        Raises:
            KeyringError: The keyring cannot be changed, or does not hold the key.
        """
        keyring = self._application.keys.keyring
        if not isinstance(keyring, ManagedKeyring):
            raise KeyringError("this keyring is not a file of offerlog's: remove the key where it is held")
        with self._locked() as connection:
            keyring.refresh()
            if key_id not in keyring.made_at():
                raise KeyringError(
                    f"the keyring has no key {key_id!r}: `offerlog keyring list` shows its keys"
                )
            if key_id == keyring.kek_id:
                raise KeyInUseError(key_id, "it is the current key; `offerlog keyring rotate` makes another")
            self._fence.fence()  # a writer that encrypts with the former key has ended, and decides again
            self._check_unused(connection, key_id)
            time.sleep(_GRACE_SECONDS)
            with connection.transaction():
                # A new organization refers to the row of its key: it waits, or stops the deletion.
                connection.execute("LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE")
                self._check_unused(connection, key_id)
                connection.execute(_DELETE_KEY, (key_id,))
            keyring.remove_key(key_id)
            self._application.keys.forget()

    @staticmethod
    def _check_unused(connection: Connection[tuple[Any, ...]], key_id: str) -> None:
        """Check that a key encrypts nothing of this store.

        Raises:
            KeyInUseError: It does.
        """
        uses = {row[0]: row[2:] for row in connection.execute(_SELECT_USES).fetchall()}
        visitors, organizations = uses.get(key_id, (0, 0))
        row = connection.execute(_COUNT_OF_WEBHOOKS, (key_id,)).fetchone()
        webhooks = 0 if row is None else int(row[0])
        if visitors or organizations or webhooks:
            raise KeyInUseError(
                key_id,
                f"it encrypts keys of this store, of {format_count(visitors, 'visitor')} and"
                f" {format_count(organizations, 'organization')}"
                + (f" and {format_count(webhooks, 'webhook secret')}" if webhooks else "")
                + "; run `offerlog keyring rotate` first",
            )

    def _rewrap_visitors(self, connection: Connection[tuple[Any, ...]], kek: int) -> Iterator[int]:
        """Encrypt the keys of visitors anew, page by page; yields the number of each page."""
        keys, after = self._application.keys, _BEFORE_ALL
        while True:
            with connection.transaction():
                page = connection.execute(_SELECT_PAGE, (after, kek, _PAGE)).fetchall()
                if not page:
                    return
                digests = [digest for digest, _, _ in page]
                wrapped = [keys.wrap(keys.unwrap(number, bytes(key))) for _, number, key in page]
                if any(number != kek for number, _ in wrapped):
                    raise KeyringError("the keyring has got another current key meanwhile: run it again")
                connection.execute(_UPDATE_PAGE, (kek, digests, [key for _, key in wrapped]))
            after = digests[-1]
            yield len(page)

    def _rewrap_organizations(self, connection: Connection[tuple[Any, ...]], kek: int, key_id: str) -> int:
        """Encrypt the secrets of organizations anew, each behind its event; returns their number."""
        keys, after, done = self._application.keys, "", 0
        while row := connection.execute(_SELECT_ORGANIZATION, (kek, after)).fetchone():
            after, old_id, old_kek, secret = row
            self._note(after, old_id, key_id)
            _, wrapped = keys.wrap(keys.unwrap(old_kek, bytes(secret)))
            connection.execute(_UPDATE_ORGANIZATION, (kek, wrapped, after, old_kek))
            done += 1
        return done

    def _rewrap_webhook_secrets(self, connection: Connection[tuple[Any, ...]], kek: int) -> int:
        """Encrypt the secrets of webhooks anew; returns their number, which is small."""
        keys = self._application.keys
        with connection.transaction():
            found = connection.execute(_SELECT_OF_WEBHOOKS, (kek,)).fetchall()
            for number, old_kek, secret in found:
                _, wrapped = keys.wrap(keys.unwrap(old_kek, bytes(secret)))
                connection.execute(_UPDATE_REWRAPPED, (kek, wrapped, number))
        return len(found)

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
    def _locked(self) -> Iterator[Connection[tuple[Any, ...]]]:
        """Be the only process that rotates or retires keys.

        Raises:
            RotationRunningError: Another process is at work.
        """
        with self._connected() as connection:
            if connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() != (True,):
                raise RotationRunningError
            try:
                yield connection
            finally:  # the server ends a closed session later, and the next rotation may come at once
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_KEY,))


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


def _count_left(connection: Connection[tuple[Any, ...]], kek: int) -> tuple[int, ...]:
    """Count the visitors, organizations and webhooks whose keys are encrypted with another key."""
    row = connection.execute(_COUNT_LEFT, {"kek": kek}).fetchone()
    assert row is not None  # noqa: S101 - a statement without FROM has one row
    return tuple(int(one) for one in row)
