"""API keys in their table: `ofl_<role>_<id>_<secret>`, of which only a digest is stored."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final, LiteralString

from offerlog_application.ports.keys import Key, Role, UnknownKeyError
from offerlog_application.ports.organizations import check_organization
from offerlog_infrastructure.postgres.errors import ask_again, store_reached, wait_for_lock
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_REMEMBERED_SECONDS: Final = 3.0
"""Seconds for which a key found in the store is accepted without another look-up. Requests refuse a
revoked key within that time. Open streams check every second as well and end within five."""

_UNKNOWN_SECONDS: Final = 60.0
"""Seconds for which an unknown text is refused without a look-up: nobody guesses a key before it is made."""

_MAX_REMEMBERED: Final = 10_000

_COLUMNS: LiteralString = "id, organization, role, name, origins, created_at, revoked_at"
_INSERT_KEY: LiteralString = f"""
    INSERT INTO api_keys (id, digest, organization, role, name, origins) VALUES (%s, %s, %s, %s, %s, %s)
    RETURNING {_COLUMNS}
"""
_SELECT_GOOD_KEY: LiteralString = (
    f"SELECT digest, {_COLUMNS} FROM api_keys WHERE id = %s AND revoked_at IS NULL"
)
_SELECT_KEYS: LiteralString = (
    f"SELECT {_COLUMNS} FROM api_keys WHERE organization = %s ORDER BY created_at, id"
)
_UPDATE_REVOKED: LiteralString = f"""
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE organization = %s AND id = %s
    RETURNING {_COLUMNS}
"""


class PostgresKeys:
    """The application's `KeyStore`; thread-safe."""

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.log.datastore
        self._known: dict[bytes | str, tuple[Key, float]] = {}
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = LockGate()

    def create(
        self,
        organization: str,
        role: Role,
        name: str,
        origins: Sequence[str] = (),
        *,
        hand_over: Callable[[Key, str], None] | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it and its text, which cannot be read again later.

        Args:
            organization: The organization whose data the key opens.
            role: What its holder may do.
            name: What it is for.
            origins: The web origins from which a browser may use it; empty for any.
            hand_over: Gives the key to the caller before it is stored. If this raises an error, no key is
                made.

        Raises:
            OrganizationNameError: The name is not valid.
        """
        check_organization(organization)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        text = f"ofl_{role.value}_{key_id}_{secret}"
        asked = (key_id, _digest(text), organization, role.value, name, list(origins))

        def hand_over_key(row: dict[str, Any]) -> None:
            if hand_over is not None:
                hand_over(_to_key(row), text)

        row = wait_for_lock(lambda: self._write(_INSERT_KEY, asked, hand_over_key))
        assert row is not None  # noqa: S101 - INSERT returns what it made
        return _to_key(row), text

    def remembered(self, text: str) -> Key | None:
        """Return the good key with this text if it was looked up just now, without asking the store."""
        return self._get_remembered(_digest(text))

    def remembered_id(self, key_id: str) -> Key | None:
        """Return the good key with this id if it was looked up just now, without asking the store."""
        return self._get_remembered(key_id)

    def was_good(self, text: str) -> bool:
        """Return whether this was a good key's text when it was last looked up, without asking the store."""
        return _digest(text) in self._known

    def is_unknown(self, text: str) -> bool:
        """Return whether this text is known not to be a key, without asking the store."""
        if _parse_id(text) is None:
            return True
        looked_up_at = self._unknown.get(_digest(text))
        return looked_up_at is not None and time.monotonic() - looked_up_at < _UNKNOWN_SECONDS

    def find(self, text: str) -> Key | None:
        """Return the good key with this text; None if there is none."""
        key_id = _parse_id(text)
        if key_id is None:
            return None
        known = self.remembered(text)
        if known is not None:
            return known
        digest, began = _digest(text), time.monotonic()
        found = self._look_up(key_id)
        if found is None or not hmac.compare_digest(found[1], digest):
            self._note_unknown(digest, began)
            return None
        self._remember(digest, found[0], began)
        return found[0]

    def find_id(self, key_id: str) -> Key | None:
        """Return the good key with this id; None if there is none."""
        known, began = self.remembered_id(key_id), time.monotonic()
        if known is not None:
            return known
        found = self._look_up(key_id)
        if found is None:
            return None
        self._remember(key_id, found[0], began)
        return found[0]

    def _get_remembered(self, name: bytes | str) -> Key | None:
        known = self._known.get(name)
        return known[0] if known is not None and time.monotonic() - known[1] < _REMEMBERED_SECONDS else None

    def _look_up(self, key_id: str) -> tuple[Key, bytes] | None:
        """Return a good key and the digest of its text."""
        with self._gate.passing(_SELECT_GOOD_KEY):
            rows = ask_again(lambda: self._select(_SELECT_GOOD_KEY, key_id))
        if not rows:
            return None
        row = rows[0]
        digest = bytes(row.pop("digest"))
        return _to_key(row), digest

    def _remember(self, name: bytes | str, key: Key, looked_up_at: float) -> None:
        """Remember a key from the beginning of its look-up: it may have been revoked meanwhile."""
        with self._lock:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[name] = key, looked_up_at

    def _note_unknown(self, digest: bytes, looked_up_at: float) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._unknown[digest] = looked_up_at
            if len(self._unknown) > _MAX_REMEMBERED:
                self._unknown.popitem(last=False)

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
        """List the organization's keys, revoked ones too, in order of creation."""
        return [_to_key(row) for row in ask_again(lambda: self._select(_SELECT_KEYS, organization))]

    def revoke(self, organization: str, key_id: str) -> Key:
        """Revoke a key; it is refused everywhere within seconds.

        Raises:
            UnknownKeyError: The organization has no key with that id.
        """
        row = wait_for_lock(lambda: self._write(_UPDATE_REVOKED, (organization, key_id)))
        if row is None:
            raise UnknownKeyError(key_id)
        with self._lock:
            self._known = {name: one for name, one in self._known.items() if one[0].id != key_id}
        return _to_key(row)


def _parse_id(text: str) -> str | None:
    """Return the id in a key's text; None if the text cannot be a key."""
    parts = text.split("_", 3)
    if len(parts) != 4 or parts[0] != "ofl" or not (parts[2].isascii() and parts[2].isalnum()):  # noqa: PLR2004 - prefix, role, id and secret
        return None
    return parts[2]


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _to_key(row: dict[str, Any]) -> Key:
    return Key(**{**row, "role": Role(row["role"]), "origins": tuple(row["origins"])})
