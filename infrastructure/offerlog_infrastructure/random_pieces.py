"""Random bytes in pieces of one size, drawn many at a time.

A draw is a system call, which releases the interpreter's lock. One draw for many pieces costs a fraction.
"""

import os
from typing import Final

_DRAWN_BYTES: Final = 12_288


class RandomPieces:
    """A source of random bytes that no other caller of this process, and no forked one, gets; thread-safe.

    Args:
        size: Bytes of a piece.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces: list[bytes] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._pieces.clear)  # else both use the same

    def take(self) -> bytes:
        """Return the next piece."""
        try:
            return self._pieces.pop()
        except IndexError:
            drawn = os.urandom(_DRAWN_BYTES // self._size * self._size)
            pieces = [drawn[at : at + self._size] for at in range(0, len(drawn), self._size)]
            piece = pieces.pop()
            self._pieces.extend(pieces)
            return piece
