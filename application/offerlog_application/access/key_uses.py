"""Stores from time to time when keys and sessions were used, while a service is open."""

import logging
from typing import Final

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import KeyStore
from offerlog_application.ports.sessions import SessionStore
from offerlog_application.schedule.periodic_thread import PeriodicThread

_RECORD_SECONDS: Final = 60.0
"""Seconds between two looks for uses that are to be stored."""

_NOT_STORED: Final = "the last use of keys or sessions could not be stored: %s"

_log: Final = logging.getLogger(__name__)


class KeyUseKeeper:
    """Stores the last uses of keys and sessions each minute until `close`, which stores the rest.

    Args:
        keys: The store of keys, which notes uses.
        sessions: The store of sessions, which does so too.
    """

    def __init__(self, keys: KeyStore, sessions: SessionStore) -> None:
        self._keys = keys
        self._sessions = sessions
        self._thread = PeriodicThread(
            "offerlog-key-uses", _RECORD_SECONDS, lambda _: self._record(), _NOT_STORED
        )

    def close(self) -> None:
        """Stop, and store the uses of the last minute. If the store is away, they are lost and logged."""
        self._thread.close()
        try:
            self._record()
        except StoreUnavailableError as error:
            _log.warning(_NOT_STORED, error)

    def _record(self) -> None:
        self._keys.record_uses()
        self._sessions.record_uses()
