"""Random ids for new actions, drawn from the system many at a time."""

import secrets
from typing import Final
from uuid import UUID

_DRAWN: Final = 256
"""Ids that are drawn at a time: 4 KiB."""

_ID_BYTES: Final = 16


class RandomIds:
    """Random UUIDs (version 4, RFC 9562); thread-safe, and not for use after a fork.

    A thread that asks the system for random bytes lets go of the interpreter's lock. In a busy process it
    then waits for the lock, some 0.2 ms on average. That costs an event loop more than all else about an
    offer.
    """

    def __init__(self) -> None:
        self._drawn: list[bytes] = []

    def take(self) -> UUID:
        """Return an id that was not returned before."""
        while True:
            try:
                return UUID(bytes=self._drawn.pop(), version=4)
            except IndexError:
                drawn = secrets.token_bytes(_DRAWN * _ID_BYTES)
                self._drawn += [drawn[at : at + _ID_BYTES] for at in range(0, len(drawn), _ID_BYTES)]
