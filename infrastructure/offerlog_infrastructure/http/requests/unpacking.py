"""Gzip bodies, unpacked in pieces and within bounds."""

import zlib
from collections.abc import Iterator
from typing import Final

from offerlog_infrastructure.http.problems import ProblemError, malformed

PIECE: Final = 1 << 16
"""Most bytes that one step yields."""

FREE_BYTES: Final = 1 << 20
"""Unpacked bytes to which the ratio does not apply."""

MAX_RATIO: Final = 100
"""Most unpacked bytes for each packed byte, beyond the free ones: ten times the ratio of signals."""

_MAX_EMPTY_MEMBERS: Final = 16
_SLICE: Final = 4 << 10
"""Packed bytes that are unpacked in one step."""


class Unpacker:
    """Unpacks one gzip body, of one or several members.

    Attributes:
        unpacked: Bytes yielded so far.
        packed: Bytes read so far.
    """

    def __init__(self) -> None:
        self.packed = self.unpacked = 0
        self._member = zlib.decompressobj(wbits=31)
        self._member_bytes = 0
        self._empty_members = 0

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack a chunk step by step; a step may yield no bytes.

        Raises:
            ProblemError: 400, the body is not gzip; 413, it unpacks to too many bytes.
        """
        for at in range(0, len(chunk), _SLICE):
            data = chunk[at : at + _SLICE]
            self.packed += len(data)
            try:
                yield from self._steps(data)
            except zlib.error as error:
                raise malformed("Content-Encoding", f"the body is not gzip: {error}") from None

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            ProblemError: 400, the body ends within a member.
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
        if not self._member_bytes:
            self._empty_members += 1
            if self._empty_members > _MAX_EMPTY_MEMBERS:
                raise malformed("Content-Encoding", "too many gzip members that hold nothing")
        self._member, self._member_bytes = zlib.decompressobj(wbits=31), 0

    def _count(self, size: int) -> None:
        self._member_bytes += size
        self.unpacked += size
        if self.unpacked > FREE_BYTES + MAX_RATIO * self.packed:
            raise ProblemError(
                "payload-too-large",
                f"the body unpacks to more than {MAX_RATIO} times what was sent: send it plain, or in parts",
            )
