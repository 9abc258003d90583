"""Signals from files, read line by line, compressed or not, with only one line in memory."""

import errno
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from offerlog_domain.signals import MAX_LINE_BYTES
from offerlog_infrastructure.cli.formats import BYTE_ORDER_MARK, check_head, read_head

STDIN: Final = Path("-")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_READ_AHEAD: Final = 1 << 18
_LONGEST: Final = MAX_LINE_BYTES + 1
"""One byte more than a signal may have, so that the domain refuses it as too long."""


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        number: The line number, from 1; blank lines count.
        text: The line without its end, cut after one byte more than a signal may have.
    """

    number: int
    text: bytes


class Source:
    """A file of signals, or standard input.

    Attributes:
        path: Its name; `-` is standard input.
        size: Its size on the disk in bytes; None if unknown.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = sys.stdin.buffer if path == STDIN else path.open("rb")
        self._stream: io.BufferedReader | None = None
        self.size = None if path == STDIN or not path.is_file() else path.stat().st_size

    def read_so_far(self) -> int:
        """Return how many bytes of the file have been read."""
        return self._file.tell() if self.size is not None else 0

    def check(self) -> None:
        """Check that this is NDJSON, from its first lines, which `lines` returns again.

        Raises:
            NotSignalsError: It has another format.
            OSError: The file cannot be read.
        """
        if self._stream is not None:
            return
        try:
            head = _Head(self._unpacked())
            if head.broken is not None and not head.text:
                raise head.broken
        except (EOFError, OSError, zlib.error) as error:
            raise OSError(_unreadable(self.path, error)) from error
        self._stream = io.BufferedReader(head, _READ_AHEAD)
        if head.broken is None:
            check_head(head.text, None if self.path == STDIN else str(self.path))
        head.text = head.text.removeprefix(BYTE_ORDER_MARK)

    def _unpacked(self) -> "io.BufferedReader[Any]":
        buffered = self._file if isinstance(self._file, io.BufferedReader) else io.BufferedReader(self._file)  # type: ignore[type-var] # stdin's buffer may be any binary file
        if buffered.peek(2)[:2] == _GZIP_MAGIC:
            return io.BufferedReader(_Unpacked(buffered), _READ_AHEAD)
        return buffered

    def lines(self) -> Iterator[Line]:
        """Yield every line that is not blank.

        Raises:
            NotSignalsError: This is not NDJSON.
            OSError: The file cannot be read, or its compression is broken.
        """
        self.check()
        stream = self._stream
        assert stream is not None  # noqa: S101 - the check made it
        number = 0
        try:
            while text := stream.readline(_LONGEST + 1):
                number += 1
                if not text.endswith(b"\n") and len(text) > _LONGEST:
                    _skip_rest(stream)
                    text = text[:_LONGEST]
                text = text.rstrip(b"\r\n")
                if text.strip():
                    yield Line(number, text)
        except (EOFError, OSError, zlib.error) as error:
            raise OSError(
                f"{self.path}: cannot be read past line {number} ({error}); the lines before it are recorded"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self.path != STDIN:
            self._file.close()


def _unreadable(path: Path, error: Exception) -> str:
    """Describe why nothing of a file could be read, and what to do."""
    if path == STDIN and isinstance(error, OSError) and error.errno == errno.EBADF:
        return "standard input is closed, so nothing of it was recorded; give it NDJSON, or name a file"
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    name = "standard input" if path == STDIN else str(path)
    return f"{name}: it cannot be read ({why}), so nothing of it was recorded"


class _Head(io.RawIOBase):
    """A stream whose first bytes have been read already; it returns them first, then the rest.

    Attributes:
        text: The first bytes that are not returned yet.
        broken: The error that ended the first read early.
    """

    def __init__(self, rest: "io.BufferedReader[Any]") -> None:
        super().__init__()
        self._rest = rest
        self.text = b""
        self.broken: Exception | None = None
        self.text = read_head(self._read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # io always gives a memoryview
        if not self.text and self.broken is not None:
            raise self.broken
        found = self.text[: len(buffer)] or self._rest.read1(len(buffer))
        self.text = self.text[len(found) :]
        buffer[: len(found)] = found
        return len(found)

    def _read(self, size: int) -> bytes:
        try:
            return self._rest.read1(size)
        except (EOFError, OSError, zlib.error) as error:
            self.broken = error
            return b""


class _Unpacked(io.RawIOBase):
    """The content of a compressed file. If it breaks off, the content before is returned first."""

    def __init__(self, packed: BinaryIO) -> None:
        super().__init__()
        self._gzip = gzip.GzipFile(fileobj=packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # io always gives a memoryview
        found = self._gzip.read1(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def _skip_rest(stream: BinaryIO) -> None:
    while (rest := stream.readline(1 << 16)) and not rest.endswith(b"\n"):
        pass
