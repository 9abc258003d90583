"""Gzip bodies, unpacked in pieces and within bounds."""

import zlib
from collections.abc import Iterator
from typing import Final

from offerlog_infrastructure.http.problems import ProblemError, malformed

PIECE: Final = 1 << 16
"""The most bytes that one step gives."""

FREE_BYTES: Final = 1 << 20
"""Unpacked bytes for which the ratio does not count."""

MOST_RATIO: Final = 100
"""Unpacked bytes for each byte sent, beyond the free ones: ten times what signals come to."""

_MOST_EMPTY_MEMBERS: Final = 16
_SLICE: Final = 4 << 10


class Unpacker:
    """Unpacks one gzip body, of one or several members.

    Attributes:
        unpacked: Bytes given so far.
        sent: Bytes taken so far.
    """

    def __init__(self) -> None:
        self.sent = self.unpacked = 0
        self._member = zlib.decompressobj(wbits=31)
        self._of_member = 0
        self._empty_members = 0

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack what came, step by step; a step may give nothing.

        Raises:
            Problem: It is not gzip, or unpacks to more than is allowed.
        """
        for at in range(0, len(chunk), _SLICE):
            data = chunk[at : at + _SLICE]
            self.sent += len(data)
            try:
                yield from self._steps(data)
            except zlib.error as error:
                raise malformed("Content-Encoding", f"the body is not gzip: {error}") from None

    def finish(self) -> None:
        """Check that nothing is missing.

        Raises:
            Problem: The body ends in the middle of a member.
        """
        if not self._member.eof:
            raise malformed("Content-Encoding", "the gzip body breaks off")

    def _steps(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._member.eof:
                self._begin_member()
            piece = self._member.decompress(data, PIECE)
            self._count(len(piece))
            yield piece
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not data and (self._member.eof or len(piece) < PIECE):
                return

    def _begin_member(self) -> None:
        if not self._of_member:
            self._empty_members += 1
            if self._empty_members > _MOST_EMPTY_MEMBERS:
                raise malformed("Content-Encoding", "too many gzip members that hold nothing")
        self._member, self._of_member = zlib.decompressobj(wbits=31), 0

    def _count(self, size: int) -> None:
        self._of_member += size
        self.unpacked += size
        if self.unpacked > FREE_BYTES + MOST_RATIO * self.sent:
            raise ProblemError(
                413,
                "payload-too-large",
                f"the body unpacks to more than {MOST_RATIO} times what was sent: send it plain, or in parts",
            )
