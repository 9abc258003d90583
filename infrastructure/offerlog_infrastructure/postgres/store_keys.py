"""The keys of a store: encrypted under a keyring that stands outside it."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, LiteralString, NamedTuple

from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor

from offerlog_application.ports.keyring import Keyring, KeyringError, WrappedKey
from offerlog_domain.identity import OrganizationKey
from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.lock_gate import LockGate

_SECRET_BYTES: Final = 32

_SELECT_KEY_IDS: LiteralString = "SELECT id FROM key_encryption_keys ORDER BY number"
_SELECT_KEYS: LiteralString = "SELECT number, id FROM key_encryption_keys"
_INSERT_KEY: LiteralString = "INSERT INTO key_encryption_keys (id) VALUES (%s) ON CONFLICT DO NOTHING"

_SELECT_CLEAR: LiteralString = "SELECT organization, wrapped_secret FROM organizations WHERE kek IS NULL"
_UPDATE_ORGANIZATION: LiteralString = """
    UPDATE organizations
    SET wrapped_secret = %s, kek = (SELECT number FROM key_encryption_keys WHERE id = %s)
    WHERE organization = %s
"""
_REWRITE_TABLE: LiteralString = """
    ALTER TABLE organizations ALTER COLUMN wrapped_secret TYPE bytea USING wrapped_secret || ''::bytea
"""
"""Copies the visible rows into a new file. In the old one, the former rows stand until the next vacuum."""

_SELECT_ORGANIZATION: LiteralString = "SELECT kek, wrapped_secret FROM organizations WHERE organization = %s"
_SELECT_ORGANIZATIONS: LiteralString = "SELECT organization, kek, wrapped_secret FROM organizations"
_SELECT_NAMED: LiteralString = f"{_SELECT_ORGANIZATIONS} WHERE organization = ANY(%s)"
_HOLD_ORGANIZATION: LiteralString = """
    SELECT k.id, o.wrapped_secret FROM organizations o JOIN key_encryption_keys k ON k.number = o.kek
    WHERE o.organization = %s FOR KEY SHARE OF o
"""
_INSERT_ORGANIZATION: LiteralString = """
    INSERT INTO organizations (organization, kek, wrapped_secret) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""


class _KnownSecret(NamedTuple):
    """The secret of an organization, as it is stored and as it is used."""

    kek: int
    wrapped: bytes
    secret: bytes
    key: OrganizationKey


def adopt_keyring(cursor: Cursor[tuple[Any, ...]], keyring: Keyring) -> None:
    """Check that a keyring fits a store; give a new store its key, and encrypt what an older one did not.

    Args:
        cursor: In a transaction that holds the lock of migrations, so that one process at a time does so.
        keyring: The keyring of the process.

    Raises:
        KeyringError: The keyring cannot be used, or does not hold a key of this store.
    """
    known = [kek_id for (kek_id,) in cursor.execute(_SELECT_KEY_IDS).fetchall()]
    for kek_id in known:
        keyring.check_holds(kek_id)
    if keyring.kek_id not in known:
        cursor.execute(_INSERT_KEY, (keyring.kek_id,))
    clear = cursor.execute(_SELECT_CLEAR).fetchall()
    for organization, secret in clear:
        kek_id, data = keyring.wrap(bytes(secret))
        cursor.execute(_UPDATE_ORGANIZATION, (data, kek_id, organization))
    if clear:
        cursor.execute(_REWRITE_TABLE)


class StoreKeys:
    """The secrets of the organizations, and the encryption of other keys of the store; thread-safe.

    A key is kept as the number of the key that encrypts it, and the encrypted bytes.

    Args:
        datastore: The pool to ask with.
        keyring: Encrypts the keys; None for a process that opens nothing: every key is an error then.
        home: The keys of the store from which this one, a shard, has the secrets of all organizations. It
            never makes one itself: the slice of a visitor is found under the secret. None for the home, and
            for a store that is the only one.
    """

    def __init__(
        self, datastore: PostgresDatastore, keyring: Keyring | None, home: "StoreKeys | None" = None
    ) -> None:
        self._datastore = datastore
        self._home = home
        self._keyring: Keyring = _NoKeyring() if keyring is None else keyring
        self._ids: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._secrets: dict[str, _KnownSecret] = {}
        """Replaced as a whole, so what was read before a refresh never stands among what was read later."""
        self._refreshing = threading.Lock()
        self._gate = LockGate()
        self._is_keyring_read = True

    @property
    def keyring(self) -> Keyring:
        """The keyring."""
        return self._keyring

    def forget(self) -> None:
        """Forget the numbers of keys and what was read from the keyring, as both may have changed.

        Another server may answer by now, which lacks a part of it; the keyring may have a new key. Secrets of
        organizations stay until `refresh_secrets`.
        """
        self._ids, self._numbers = {}, {}
        self._is_keyring_read = False

    def refresh_secrets(self) -> None:
        """Read the secrets that are remembered again, and forget those that the store does not have any more.

        A secret that is the same as before keeps its object. Other threads may use the former ones meanwhile.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        with self._refreshing:  # the one that reads last, replaces last
            known = self._secrets
            stored = ask_again(lambda: self._select_secrets(_SELECT_NAMED, list(known))) if known else ()
            self._secrets = {
                organization: self._renew(known[organization], kek, wrapped)
                for organization, kek, wrapped in stored
            }

    def _renew(self, known: _KnownSecret, kek: int, wrapped: bytes) -> _KnownSecret:
        if (known.kek, known.wrapped) == (kek, wrapped):
            return known
        renewed = self._open(known.key.organization, kek, wrapped)
        return renewed._replace(key=known.key) if renewed.secret == known.secret else renewed

    def secret(self, organization: str) -> bytes:
        """Return the organization's secret, 32 bytes; make it at first use.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt it.
        """
        return self._get(organization).secret

    def key(self, organization: str) -> OrganizationKey:
        """Return the organization's key for digests of visitors; make its secret at first use.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt it.
        """
        return self._get(organization).key

    def remembers(self, organization: str) -> bool:
        """Return True if the secret of an organization is known without asking the store."""
        return organization in self._secrets

    def find_key(self, organization: str) -> OrganizationKey | None:
        """Return the organization's key; None if it has none, as nothing was recorded for it.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt its secret.
        """
        known = self._find(organization)
        return None if known is None else known.key

    def is_current(self, key: OrganizationKey) -> bool:
        """Return True if a key has the secret that its organization has in this store, as it is remembered.

        A shard reads the secrets anew before it says no: it may remember an older one than the home, whose
        deletion it has not noticed.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt its secret.
        """
        current = self.find_key(key.organization)
        if current is None or current is key or current.has_secret_of(key):
            return current is not None
        if self._home is None:
            return False
        self.refresh_secrets()
        current = self.find_key(key.organization)
        return current is not None and current.has_secret_of(key)

    def all_keys(self) -> Mapping[str, OrganizationKey]:
        """Return the key of each organization that has one.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt a secret.
        """
        known = self._secrets
        for organization, kek, wrapped in ask_again(lambda: self._select_secrets(_SELECT_ORGANIZATIONS)):
            if organization not in known:
                known[organization] = self._open(organization, kek, wrapped)
        return {organization: one.key for organization, one in known.items()}

    def _get(self, organization: str) -> _KnownSecret:
        """Return what is known of an organization; make its secret at first use, on the home alone."""
        while True:
            known = self._find(organization)
            if known is not None:
                return known
            if self._home is None:
                return self._store_secret(organization, secrets.token_bytes(_SECRET_BYTES))
            self._home.secret(organization)

    def _store_secret(self, organization: str, secret: bytes) -> _KnownSecret:
        """Store a secret, unless the organization has one; return what is stored.

        Without a lock: several threads may find or insert the same one.
        """
        remembered = self._secrets
        number, wrapped = self.wrap(secret)
        with self._gate.passing(_INSERT_ORGANIZATION):
            made = ask_again(lambda: self._insert_secret(organization, number, wrapped))
        return remembered.setdefault(organization, self._open(organization, *made))

    def _find(self, organization: str) -> _KnownSecret | None:
        remembered = self._secrets
        known = remembered.get(organization)
        if known is not None:
            return known
        with self._gate.passing(_SELECT_ORGANIZATION):
            stored = ask_again(lambda: self._select_secret(organization))
        if stored is not None:
            known = remembered.setdefault(organization, self._open(organization, *stored))
        if self._home is not None:
            known = known or ask_again(lambda: self._copy_from_home(organization))
            self._home._forget_other(organization, known)  # noqa: SLF001 - the same class
        return known

    def _copy_from_home(self, organization: str) -> _KnownSecret | None:
        """Copy the secret that the home has now; None if it has none.

        The home keeps it meanwhile: a deletion destroys the copies of a secret before the secret itself, and
        nobody makes another copy in between.
        """
        assert self._home is not None  # noqa: S101 - a store without a home makes its secrets
        with self._home._holding_secret(organization) as secret:  # noqa: SLF001 - the same class
            return None if secret is None else self._store_secret(organization, secret)

    @contextmanager
    def _holding_secret(self, organization: str) -> Iterator[bytes | None]:
        """Keep others from destroying a secret; None if there is none. Waits while it is being destroyed."""
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            row = cursor.execute(_HOLD_ORGANIZATION, (organization,)).fetchone()
            yield None if row is None else self._keyring.unwrap(row["id"], bytes(row["wrapped_secret"]))

    def _forget_other(self, organization: str, current: _KnownSecret | None) -> None:
        """Read the secrets anew if another one than the current is remembered: it was destroyed since."""
        known = self._secrets.get(organization)
        if known is not None and (current is None or known.secret != current.secret):
            self.refresh_secrets()

    def _open(self, organization: str, kek: int, wrapped: bytes) -> _KnownSecret:
        secret = self.unwrap(kek, wrapped)
        return _KnownSecret(kek, wrapped, secret, OrganizationKey(organization, secret))

    def wrap(self, key: bytes) -> tuple[int, bytes]:
        """Encrypt a key; returns the number of the newest key of the keyring, and the encrypted bytes.

        Args:
            key: 16 bytes or more, a multiple of 8.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot be used.
        """
        if not self._is_keyring_read:
            self._keyring.refresh()
            self._is_keyring_read = True
        kek_id, data = self._keyring.wrap(key)
        number = self._numbers.get(kek_id)
        return (ask_again(lambda: self._find_number(kek_id)) if number is None else number), data

    def unwrap(self, kek: int, data: bytes) -> bytes:
        """Decrypt a key.

        Args:
            kek: The number that `wrap` returned; a former key of the keyring has its number still.
            data: The encrypted bytes.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring does not hold the key of that number, or the bytes were changed.
        """
        kek_id = self._ids.get(kek)
        return self._keyring.unwrap(ask_again(lambda: self._find_id(kek)) if kek_id is None else kek_id, data)

    def _find_number(self, kek_id: str) -> int:
        """Return the number of a key; it gets one if this store has not used it yet."""
        self._read_keys()
        if kek_id not in self._numbers:
            with store_reached(self._datastore), self._datastore.cursor() as cursor:
                cursor.execute(_INSERT_KEY, (kek_id,))
            self._read_keys()
        return self._numbers[kek_id]

    def _find_id(self, kek: int) -> str:
        self._read_keys()
        if kek not in self._ids:
            raise KeyringError(f"this store has no key with the number {kek} in key_encryption_keys")
        return self._ids[kek]

    def _read_keys(self) -> None:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            for row in cursor.execute(_SELECT_KEYS).fetchall():
                self._ids[row["number"]] = row["id"]
                self._numbers[row["id"]] = row["number"]

    def _select_secret(self, organization: str) -> tuple[int, bytes] | None:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(_SELECT_ORGANIZATION, (organization,)).fetchone()
            return None if row is None else (row["kek"], bytes(row["wrapped_secret"]))

    def _select_secrets(
        self, statement: LiteralString, names: list[str] | None = None
    ) -> list[tuple[str, int, bytes]]:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            rows = cursor.execute(statement, None if names is None else (names,)).fetchall()
            return [(row["organization"], row["kek"], bytes(row["wrapped_secret"])) for row in rows]

    def _insert_secret(self, organization: str, kek: int, wrapped: bytes) -> tuple[int, bytes]:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            cursor.execute(_INSERT_ORGANIZATION, (organization, kek, wrapped))
            row = cursor.execute(_SELECT_ORGANIZATION, (organization,)).fetchone()
            assert row is not None  # noqa: S101 - the INSERT before has made it
            return row["kek"], bytes(row["wrapped_secret"])


class _NoKeyring:
    """The keyring of a process that opens nothing: every use is an error."""

    @property
    def kek_id(self) -> str:
        raise self._error()

    def refresh(self) -> None:
        """Do nothing: there is nothing to forget."""

    def check_holds(self, kek_id: str) -> None:
        del kek_id
        raise self._error()

    def wrap(self, key: bytes) -> WrappedKey:
        del key
        raise self._error()

    def unwrap(self, kek_id: str, data: bytes) -> bytes:
        del kek_id, data
        raise self._error()

    @staticmethod
    def _error() -> KeyringError:
        return KeyringError("the store was opened without a keyring, so its keys cannot be used")
