"""API keys in their table: `ofl_<role>_<id>_<secret>`, of which only a digest is stored.

The secret of a page key is not random: it follows from the organization's secret and the key's id. So the
service can check what the holder has signed with it, and a copy of the database cannot sign anything.
"""

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, LiteralString

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import USE_PRECISION, Key, Role, UnknownKeyError, check_expiry
from offerlog_application.ports.organizations import check_organization
from offerlog_infrastructure.postgres.errors import ask_again, store_reached, wait_for_lock
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.noted_uses import NotedUses
from offerlog_infrastructure.postgres.remembered_keys import RememberedKeys

_REMEMBERED_SECONDS: Final = 3.0
"""Seconds for which a key found in the store is accepted without another look-up. Requests refuse a
revoked key within that time. Open streams check every second as well and end within five."""

_PAGE_LABEL: Final = b"offerlog: page key "
"""Derives the secret of a page key from the organization's; the id of the key stands behind it."""

_PAGE_DIGEST_LABEL: Final = b"offerlog: digest of a page key "
_PAGE_PREFIX: Final = f"ofl_{Role.PAGE.value}_"

KEY_COLUMNS: LiteralString = (
    "id, organization, role, name, origins, created_at, revoked_at, expires_at, last_used_at"
)
"""Columns of `api_keys` that make a `Key`."""

_INSERT_KEY: LiteralString = f"""
    INSERT INTO api_keys (id, digest, organization, role, name, origins, expires_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    RETURNING {KEY_COLUMNS}
"""
_SELECT_UNREVOKED_KEY: LiteralString = (
    f"SELECT digest, {KEY_COLUMNS} FROM api_keys WHERE id = %s AND revoked_at IS NULL"
)
_SELECT_KEYS: LiteralString = (
    f"SELECT {KEY_COLUMNS} FROM api_keys WHERE organization = %s ORDER BY created_at, id"
)
_UPDATE_REVOKED: LiteralString = f"""
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE organization = %s AND id = %s
    RETURNING {KEY_COLUMNS}
"""
_UPDATE_LAST_USED: LiteralString = """
    WITH used AS (SELECT * FROM unnest(%s::text[], %s::timestamptz[]) AS used (id, used_at)),
    due AS (
        SELECT id, used_at FROM api_keys JOIN used USING (id)
        WHERE last_used_at IS NULL OR last_used_at <= used_at - %s
        ORDER BY id FOR NO KEY UPDATE OF api_keys SKIP LOCKED
    )
    UPDATE api_keys SET last_used_at = due.used_at FROM due WHERE api_keys.id = due.id
"""
"""Stores last uses. Rows that another process is writing are left to it, so two processes never wait here."""


class PostgresKeys:
    """The application's `KeyStore`; thread-safe.

    The use of a key is noted when it is looked up. A key in use is looked up every few seconds, so a request
    with a remembered key notes nothing.

    A method has the errors of the method of `KeyStore`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.
    """

    def __init__(self, application: OfferlogApplication, clock: Clock) -> None:
        self._datastore = application.log.datastore
        self._store_keys = application.keys
        self._clock = clock
        self._uses: NotedUses[str] = NotedUses(_UPDATE_LAST_USED, USE_PRECISION)
        self._remembered = RememberedKeys(clock)
        self._gate = LockGate()

    def now(self) -> datetime:
        """Return the time by which keys expire."""
        return self._clock.now()

    def create(
        self,
        organization: str,
        role: Role,
        name: str,
        origins: Sequence[str] = (),
        *,
        expires_at: datetime | None = None,
        hand_over: Callable[[Key, str], None] | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it and its text, which cannot be read again later; see `KeyStore.create`.

        Raises:
            OrganizationNameError: The name is not valid.
            KeyringError: The keyring cannot decrypt the organization's secret, for a page key.
        """
        check_organization(organization)
        check_expiry(expires_at, self._clock.now())
        key_id = secrets.token_hex(6)
        if role is Role.PAGE:
            text = self._page_text(organization, key_id)
        else:
            text = f"ofl_{role.value}_{key_id}_{secrets.token_urlsafe(32)}"
        asked = (key_id, _digest(text), organization, role.value, name, list(origins), expires_at)

        def hand_over_key(row: dict[str, Any]) -> None:
            if hand_over is not None:
                hand_over(to_key(row), text)

        row = wait_for_lock(lambda: self._write(_INSERT_KEY, asked, hand_over_key))
        assert row is not None  # noqa: S101 - INSERT returns what it made
        return to_key(row), text

    def find_remembered(self, text: str) -> Key | None:
        """Return the valid key with this text if it was looked up just now, without asking the store."""
        return self._remembered.get(_digest(text), _REMEMBERED_SECONDS)

    def find_kept(self, text: str) -> Key | None:
        """Return the key with this text if it was valid at a look-up of the last quarter of an hour."""
        return self._remembered.find_kept(_digest(text))

    def find_kept_id(self, key_id: str) -> Key | None:
        """Return the key with this id if it was valid at a look-up of the last quarter of an hour."""
        return self._remembered.find_kept(key_id)

    def find_remembered_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id if it was looked up just now, without asking the store."""
        return self._remembered.get(key_id, _REMEMBERED_SECONDS)

    def was_valid(self, text: str) -> bool:
        """Return whether this was a valid key's text when it was last looked up, without asking the store."""
        return self._remembered.holds(_digest(text))

    def is_unknown(self, text: str) -> bool:
        """Return whether this text is known not to be a valid key's, without asking the store."""
        if _parse_id(text) is None or self.find_expired(text) is not None:
            return True
        return self._remembered.is_unknown(_digest(text))

    def find_expired(self, text: str) -> Key | None:
        """Return the key with this text if it was looked up and has expired, without asking the store."""
        return self._remembered.find_expired(_digest(text))

    def find(self, text: str) -> Key | None:
        """Return the valid key with this text; None if there is none."""
        key_id = _parse_id(text)
        if key_id is None:
            return None
        known = self.find_remembered(text)
        if known is not None:
            return known
        digest, began = _digest(text), time.monotonic()
        found = self._look_up(key_id)
        if found is None or not hmac.compare_digest(found[1], digest):
            self._remembered.add_unknown(digest, began)
            return None
        return self._remember(digest, found[0], began)

    def find_id(self, key_id: str) -> Key | None:
        """Return the valid key with this id; None if there is none."""
        known, began = self.find_remembered_id(key_id), time.monotonic()
        if known is not None:
            return known
        found = self._look_up(key_id) if _can_be_id(key_id) else None
        if found is None:
            self._remembered.forget_name(key_id)
            return None
        return self._remember(key_id, found[0], began)

    def note_use(self, key: Key) -> None:
        """Note that a key is used now; `record_uses` stores it."""
        self._uses.note(key.id, self._clock.now())

    def record_uses(self) -> int:
        """Store when keys were used since the last call; returns the number of keys stored."""
        return self._uses.store(self._datastore)

    def signing_secret(self, key: Key) -> bytes:
        """Return the secret that signs the visitor tokens of a page key: the text of the key, as bytes.

        Raises:
            UnknownKeyError: The key is not a page key.
            KeyringError: The keyring cannot decrypt the organization's secret.
        """
        if key.role is not Role.PAGE:
            raise UnknownKeyError(key.id)
        return self._page_text(key.organization, key.id).encode()

    def _page_text(self, organization: str, key_id: str) -> str:
        derived = hmac.digest(self._store_keys.secret(organization), _PAGE_LABEL + key_id.encode(), "sha256")
        return f"{_PAGE_PREFIX}{key_id}_{urlsafe_b64encode(derived).rstrip(b'=').decode()}"

    def _look_up(self, key_id: str) -> tuple[Key, bytes] | None:
        """Return a key that was not revoked, which may have expired, and the digest of its text."""
        with self._gate.passing(_SELECT_UNREVOKED_KEY):
            rows = ask_again(lambda: self._select(_SELECT_UNREVOKED_KEY, key_id))
        if not rows:
            return None
        row = rows[0]
        digest = bytes(row.pop("digest"))
        return to_key(row), digest

    def _remember(self, name: bytes | str, key: Key, looked_up_at: float) -> Key | None:
        """Remember a key and note its use; returns it if it has not expired."""
        found = self._remembered.add(name, key, looked_up_at)
        if found is not None:
            self.note_use(found)
        return found

    def _select(self, statement: LiteralString, asked: str) -> list[dict[str, Any]]:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return cursor.execute(statement, (asked,)).fetchall()

    def _write(
        self,
        statement: LiteralString,
        asked: Sequence[Any],
        before_commit: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any] | None:
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            row = cursor.execute(statement, asked).fetchone()
            if row is not None and before_commit is not None:
                before_commit(row)
            return row

    def all(self, organization: str) -> Sequence[Key]:
        """List the organization's keys, revoked and expired ones too, in order of creation."""
        return [to_key(row) for row in ask_again(lambda: self._select(_SELECT_KEYS, organization))]

    def revoke(self, organization: str, key_id: str) -> Key:
        """Revoke a key; it is refused everywhere within seconds.

        Raises:
            UnknownKeyError: The organization has no key with that id.
        """
        row = wait_for_lock(lambda: self._write(_UPDATE_REVOKED, (organization, key_id)))
        if row is None:
            raise UnknownKeyError(key_id)
        self._remembered.forget(key_id)
        return to_key(row)


def _parse_id(text: str) -> str | None:
    """Return the id in a key's text; None if the text cannot be a key."""
    parts = text.split("_", 3)
    if len(parts) != 4 or parts[0] != "ofl" or not _can_be_id(parts[2]):  # noqa: PLR2004 - prefix, role, id and secret
        return None
    return parts[2]


def _can_be_id(text: str) -> bool:
    """Return True if a text can be the id of a key. The store cannot be asked for any text, such as NUL."""
    return text.isascii() and text.isalnum()


def _digest(text: str) -> bytes:
    """Return the digest of a key's text.

    HMAC takes the SHA-256 of a secret in its place if the secret is longer than 64 bytes, as the text of a
    page key is. So that digest would sign visitor tokens, and a page key has the digest of a longer text.
    """
    prefix = _PAGE_DIGEST_LABEL if text.startswith(_PAGE_PREFIX) else b""
    return sha256(prefix + text.encode("utf-8", "surrogatepass")).digest()


def to_key(row: dict[str, Any]) -> Key:
    """Return the key of a row with `KEY_COLUMNS`."""
    return Key(**{**row, "role": Role(row["role"]), "origins": tuple(row["origins"])})
