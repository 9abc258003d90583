"""Sessions of the dashboard in memory."""

import secrets
import threading
from collections.abc import Callable
from datetime import datetime

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import Key
from offerlog_application.ports.sessions import IDLE_PRECISION, IDLE_TIME, SESSION_TIME, SESSIONS_OF_A_KEY


class MemorySessions:
    """The application's `SessionStore`; thread-safe.

    Args:
        clock: Ends the sessions.
        find_key: Returns the valid key with an id; None if there is none.
    """

    def __init__(self, clock: Clock, find_key: Callable[[str], Key | None]) -> None:
        self._clock = clock
        self._find_key = find_key
        self._open: dict[str, tuple[str, datetime, datetime]] = {}
        self._lock = threading.Lock()

    def open(self, key: Key) -> str:
        """Begin a session of a valid key, and return its text."""
        text, now = secrets.token_urlsafe(32), self._clock.now()
        with self._lock:
            of_key = [one for one, (key_id, _, _) in self._open.items() if key_id == key.id]
            for one in of_key[: max(0, len(of_key) - SESSIONS_OF_A_KEY + 1)]:
                del self._open[one]
            self._open[text] = key.id, now, now
        return text

    def find(self, text: str) -> Key | None:
        """Return the valid key of the session with this text, and note its use; None if it has ended."""
        now = self._clock.now()
        with self._lock:
            session = self._open.get(text)
            if session is None:
                return None
            key_id, opened_at, used_at = session
            if now - opened_at >= SESSION_TIME or now - used_at >= IDLE_TIME + IDLE_PRECISION:
                del self._open[text]
                return None
            self._open[text] = key_id, opened_at, now
        return self._find_key(key_id)

    def find_remembered(self, text: str) -> Key | None:
        """As `find`: all sessions are in memory."""
        return self.find(text)

    def find_kept(self, text: str) -> Key | None:
        """As `find`: all sessions are in memory."""
        return self.find(text)

    def is_unknown(self, text: str) -> bool:
        """Return True if no session that is open has this text."""
        return text not in self._open

    def was_valid(self, text: str) -> bool:
        """Return True if a session has this text."""
        return text in self._open

    def close(self, text: str) -> None:
        """End the session with this text, if there is one."""
        with self._lock:
            self._open.pop(text, None)

    def record_uses(self) -> int:
        """Return 0: uses are stored when they happen."""
        return 0
