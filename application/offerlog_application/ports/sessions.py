"""Sessions of the dashboard: a text that stands for a key, in every process on the store."""

from datetime import timedelta
from typing import Final, Protocol

from offerlog_application.ports.keys import Key, KeySource

SESSION_TIME: Final = timedelta(hours=12)
"""Time after which a session ends, used or not."""

IDLE_TIME: Final = timedelta(hours=2)
"""Time without use after which a session ends."""

IDLE_PRECISION: Final = timedelta(minutes=6)
"""Most time by which an idle session may end later: a use that is stored may be so old."""

SESSIONS_OF_A_KEY: Final = 20
"""Most sessions of one key. A new one ends the oldest."""


class SessionStore(KeySource, Protocol):
    """The store of sessions. It holds digests only, not the texts of sessions.

    A session ends when it is closed, when its key is revoked or expires, at the end of `SESSION_TIME`, and
    after `IDLE_TIME` without use. Other processes notice that within a second.
    """

    def open(self, key: Key) -> str:
        """Begin a session of a valid key, and return its text. The text cannot be read again later.

        Raises:
            StoreUnavailableError: The store cannot be reached, or does not take the session.
        """

    def close(self, text: str) -> None:
        """End the session with this text, if there is one.

        Raises:
            StoreUnavailableError: The store cannot be reached. The session goes on.
        """

    def record_uses(self) -> int:
        """Store when sessions were used since the last call, as far as that is news.

        Returns:
            The number of sessions whose last use was stored.

        Raises:
            StoreUnavailableError: The store cannot be reached. The uses are stored at the next call.
        """
