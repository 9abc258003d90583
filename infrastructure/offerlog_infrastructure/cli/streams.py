"""Standard input, output and error of the command, in whatever state the caller left them.

A closed stream keeps its number, so that no other file gets it. Reading and writing it fail as on a closed
one.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from offerlog_domain.errors import OfferlogError

_BUFFER_BYTES: Final = 1 << 16


class OutputError(OfferlogError, OSError):
    """Standard output cannot be written; if its reader has closed it, `BrokenPipeError` is raised."""

    def __init__(self, error: OSError, consequence: str = "") -> None:
        why = "is closed" if error.errno == errno.EBADF else f"cannot be written: {error.strerror}"
        super().__init__(error.errno, f"standard output {why}{consequence}")


class OutputLostError(OfferlogError):
    """The work was done, but its report could not be printed."""

    def __init__(self, error: OSError, done: str) -> None:
        gone = isinstance(error, BrokenPipeError)
        why = "standard output has no reader any more" if gone else error.strerror
        super().__init__(f"{why}, so the output is lost; {done}")


class _Output(io.FileIO):
    """File descriptor 1; its errors name standard output."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error) from None


def open_all() -> None:
    """Open the three streams at the start of a process."""
    # A closed stream is opened for the wrong direction, so its use fails as on a closed one. Nothing can be
    # reported on a closed standard error, so its output is dropped.
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    sys.stdin = sys.stdin or os.fdopen(0, "r")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(1, "w", closefd=False), _BUFFER_BYTES),
        encoding="utf-8",  # JSON is UTF-8 whatever the locale
        errors="backslashreplace",
        line_buffering=os.isatty(1),
    )


def check_output() -> None:
    """Check that standard output is open, before something is stored that only it would show.

    Raises:
        OutputError: It is closed, open for reading alone, or a device that accepts nothing.
    """
    try:
        os.write(1, b"")
    except OSError as error:
        raise OutputError(error, ", so nothing was done: it would show the only copy of the result") from None


@contextmanager
def telling(done: str) -> Iterator[None]:
    """Print in the block what a command has done, and check that it was written.

    Args:
        done: The work that is done even if the output is lost, for the error.

    Raises:
        OutputLostError: The output could not be written.
    """
    try:
        yield
        sys.stdout.flush()
    except (OutputError, BrokenPipeError, BlockingIOError) as error:
        raise OutputLostError(error, done) from error


def close_output() -> None:
    """Flush standard output at the end of a command that has reported its error.

    Output that cannot be written is dropped, because Python would print an error at exit.
    """
    try:
        sys.stdout.flush()
    except OSError:
        drop_output()


def drop_output() -> None:
    """Discard all output that is buffered and that will be printed."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
