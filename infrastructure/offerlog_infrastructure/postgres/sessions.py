"""Sessions of the dashboard in their table, of which only digests are stored."""

import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, LiteralString

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import Key
from offerlog_application.ports.sessions import IDLE_PRECISION, IDLE_TIME, SESSION_TIME, SESSIONS_OF_A_KEY
from offerlog_infrastructure.postgres.errors import ask_again, store_reached, wait_for_lock
from offerlog_infrastructure.postgres.keys import KEY_COLUMNS, to_key
from offerlog_infrastructure.postgres.lock_gate import LockGate
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.noted_uses import NotedUses
from offerlog_infrastructure.postgres.remembered_keys import RememberedKeys

_REMEMBERED_SECONDS: Final = 1.0
"""Seconds for which a session that was found is accepted without another look-up."""

_USE_PRECISION: Final = IDLE_PRECISION - timedelta(minutes=1)
"""Least time between two stored uses. A use waits for at most a minute until it is stored."""

_DELETE_ENDED: LiteralString = "DELETE FROM dashboard_sessions WHERE opened_at <= %s OR used_at <= %s"
_DELETE_OLDEST: LiteralString = """
    DELETE FROM dashboard_sessions WHERE digest IN (
        SELECT digest FROM dashboard_sessions WHERE key_id = %s ORDER BY opened_at DESC, digest OFFSET %s
    )
"""
_INSERT_SESSION: LiteralString = (
    "INSERT INTO dashboard_sessions (digest, key_id, opened_at, used_at) VALUES (%s, %s, %s, %s)"
)
_DELETE_SESSION: LiteralString = "DELETE FROM dashboard_sessions WHERE digest = %s"
_SELECT_KEY: LiteralString = f"""
    SELECT {KEY_COLUMNS} FROM dashboard_sessions JOIN api_keys ON id = key_id
    WHERE dashboard_sessions.digest = %s AND opened_at > %s AND used_at > %s AND revoked_at IS NULL
"""
_UPDATE_USED: LiteralString = """
    WITH used AS (SELECT * FROM unnest(%s::bytea[], %s::timestamptz[]) AS used (digest, at)),
    due AS (
        SELECT digest, at FROM dashboard_sessions JOIN used USING (digest) WHERE used_at <= at - %s
        ORDER BY digest FOR NO KEY UPDATE OF dashboard_sessions SKIP LOCKED
    )
    UPDATE dashboard_sessions SET used_at = due.at FROM due WHERE dashboard_sessions.digest = due.digest
"""


class PostgresSessions:
    """The application's `SessionStore`; thread-safe.

    Args:
        application: The log.
        clock: Ends the sessions.
        note_use: Called with the key of a session that was looked up.
    """

    def __init__(
        self, application: OfferlogApplication, clock: Clock, note_use: Callable[[Key], None]
    ) -> None:
        self._datastore = application.log.datastore
        self._clock = clock
        self._note_use = note_use
        self._remembered = RememberedKeys(clock)
        self._uses: NotedUses[bytes] = NotedUses(_UPDATE_USED, _USE_PRECISION)
        self._gate = LockGate()

    def open(self, key: Key) -> str:
        """Begin a session of a valid key, and return its text. Sessions that have ended are deleted.

        Raises:
            StoreUnavailableError: The store cannot be reached, or does not take the session.
        """
        text, now = secrets.token_urlsafe(32), self._clock.now()

        def write() -> None:
            with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
                cursor.execute(_DELETE_ENDED, _ends(now))
                cursor.execute(_DELETE_OLDEST, (key.id, SESSIONS_OF_A_KEY - 1))
                cursor.execute(_INSERT_SESSION, (_digest(text), key.id, now, now))

        wait_for_lock(write)
        return text

    def find_remembered(self, text: str) -> Key | None:
        """Return the key of the session with this text if it was looked up within the last second."""
        return self._remembered.get(_digest(text), _REMEMBERED_SECONDS)

    def find_kept(self, text: str) -> Key | None:
        """Return the key of this session if it was open at a look-up of the last quarter of an hour."""
        return self._remembered.find_kept(_digest(text))

    def is_unknown(self, text: str) -> bool:
        """Return True if a look-up of the last minute has found no open session with this text."""
        return self._remembered.is_unknown(_digest(text))

    def was_valid(self, text: str) -> bool:
        """Return True if the last look-up has found an open session with this text."""
        return self._remembered.holds(_digest(text))

    def find(self, text: str) -> Key | None:
        """Return the valid key of the session with this text, and note its use; None if it has ended.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        digest, began, now = _digest(text), time.monotonic(), self._clock.now()
        with self._gate.passing(_SELECT_KEY):
            row = ask_again(lambda: self._select(digest, now))
        key = None if row is None else self._remembered.add(digest, to_key(row), began)
        if key is None:
            self._remembered.add_unknown(digest, began)
            return None
        self._uses.note(digest, now)
        self._note_use(key)
        return key

    def close(self, text: str) -> None:
        """End the session with this text, if there is one.

        Raises:
            StoreUnavailableError: The store cannot be reached. The session goes on.
        """
        digest = _digest(text)

        def write() -> None:
            with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
                cursor.execute(_DELETE_SESSION, (digest,))

        wait_for_lock(write)
        self._remembered.add_unknown(digest, time.monotonic())

    def record_uses(self) -> int:
        """Store when sessions were used since the last call; returns the number of sessions stored.

        Raises:
            StoreUnavailableError: The store cannot be reached. The uses are stored at the next call.
        """
        return self._uses.store(self._datastore)

    def _select(self, digest: bytes, now: datetime) -> dict[str, Any] | None:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return cursor.execute(_SELECT_KEY, (digest, *_ends(now))).fetchone()


def _ends(now: datetime) -> tuple[datetime, datetime]:
    """Return the times at or before which an ended session was opened or used last."""
    return now - SESSION_TIME, now - IDLE_TIME - IDLE_PRECISION


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
