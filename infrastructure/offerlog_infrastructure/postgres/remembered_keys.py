"""Keys that a process remembers, so that not every request looks its key up in the store."""

import threading
import time
from collections import OrderedDict
from typing import Final

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import Key

_UNKNOWN_SECONDS: Final = 60.0
"""Seconds for which an unknown text is refused without a look-up: nobody guesses a text before it is made."""

_KEPT_SECONDS: Final = 900.0
"""Seconds for which a key counts as valid while its store does not answer. So long may a key be used that was
revoked meanwhile, by another process that reaches the store."""

_MAX_REMEMBERED: Final = 10_000


class RememberedKeys:
    """Keys by the digest of a text or by their id, and digests that no valid key has; thread-safe.

    Args:
        clock: Expires keys.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[bytes | str, tuple[Key, float]] = {}
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: bytes | str, seconds: float) -> Key | None:
        """Return the valid key that was looked up by this name at most so many seconds ago."""
        known = self._known.get(name)
        if known is None or time.monotonic() - known[1] >= seconds:
            return None
        key = known[0]  # most have no end, so that a request asks no clock
        return None if key.expires_at is not None and key.has_expired(self._clock.now()) else key

    def find_kept(self, name: bytes | str) -> Key | None:
        """Return the valid key that a look-up of the last quarter of an hour has found by this name.

        It is to be used only while the store does not answer.
        """
        return self.get(name, _KEPT_SECONDS)

    def holds(self, name: bytes | str) -> bool:
        """Return True if the last look-up by this name has found a key."""
        return name in self._known

    def find_expired(self, name: bytes | str) -> Key | None:
        """Return the key of the last look-up by this name if it has expired since, or had."""
        known = self._known.get(name)
        return known[0] if known is not None and known[0].has_expired(self._clock.now()) else None

    def is_unknown(self, digest: bytes) -> bool:
        """Return True if a look-up of the last minute has found nothing."""
        looked_up_at = self._unknown.get(digest)
        return looked_up_at is not None and time.monotonic() - looked_up_at < _UNKNOWN_SECONDS

    def add(self, name: bytes | str, key: Key, looked_up_at: float) -> Key | None:
        """Remember a key; returns it if it has not expired.

        Args:
            name: The name that it was looked up by.
            key: The key.
            looked_up_at: Beginning of the look-up in monotonic seconds: it may have been revoked meanwhile.
        """
        with self._lock:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[name] = key, looked_up_at
        return None if key.has_expired(self._clock.now()) else key

    def add_unknown(self, digest: bytes, looked_up_at: float) -> None:
        """Remember that no valid key has the text with this digest."""
        with self._lock:
            self._known.pop(digest, None)
            self._unknown[digest] = looked_up_at
            if len(self._unknown) > _MAX_REMEMBERED:
                self._unknown.popitem(last=False)

    def forget_name(self, name: str) -> None:
        """Forget a key by the name under which a look-up does not find it any more."""
        with self._lock:
            self._known.pop(name, None)

    def forget(self, key_id: str) -> None:
        """Forget a key, by whatever name."""
        with self._lock:
            self._known = {name: one for name, one in self._known.items() if one[0].id != key_id}
