"""The programs pg_dump and pg_restore, which write and read the dump through a pipe.

They get the password in their environment: every user of a machine can read command lines.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from offerlog_infrastructure.backups.backup_file import PIECE
from offerlog_infrastructure.backups.errors import BackupProgramError
from offerlog_infrastructure.embedded.binaries import find_binaries

_KEPT_OUT: Final = ("--no-owner", "--no-privileges")
"""Roles are of the server, and the new one does not have them."""

_WITHOUT_ROWS: Final = tuple(
    f"--exclude-table-data=*.{table}" for table in ("dashboard_sessions", "shards", "directory")
)
"""A session that has ended since must not come back with a restored store. Restored servers have addresses of
their own, and nobody can use them without the directory, which they get last."""

_LONGEST_REASON: Final = 1_000


@contextmanager
def dump_schema(environment: Mapping[str, str], schema: str, snapshot: str) -> Iterator[IO[bytes]]:
    """Dump a schema as a snapshot shows it, in the custom format, not compressed.

    Args:
        environment: Variables of libpq that name the database.
        schema: The schema.
        snapshot: PostgreSQL's name of the snapshot.

    Yields:
        The dump, to be read to its end.

    Raises:
        BackupProgramError: There is no such program, or it has failed; what was read is worth nothing.
        BinariesMissingError: There are no PostgreSQL programs.
    """
    words = ["--format=custom", "--compress=0", f"--schema={schema}", f"--snapshot={snapshot}"]
    words += [*_KEPT_OUT, *_WITHOUT_ROWS]
    with _running("pg_dump", words, environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        with process.stdout as dump:
            yield dump


def restore_dump(
    environment: Mapping[str, str],
    database: str,
    dump: IO[bytes],
    on_bytes: Callable[[int], None],
    *,
    at_once: bool = False,
) -> None:
    """Load a dump into an empty database.

    Args:
        environment: Variables of libpq that name the server.
        database: The name of the database.
        dump: The dump.
        on_bytes: Called with the number of bytes so far.
        at_once: True to load it in one transaction: as a whole, or not at all.

    Raises:
        BackupProgramError: There is no such program, or it has failed.
        BinariesMissingError: There are no PostgreSQL programs.
    """
    words = ["--exit-on-error", f"--dbname={database}", *_KEPT_OUT]
    if at_once:
        words.append("--single-transaction")
    size = 0
    with _running("pg_restore", words, environment, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            with process.stdin as pipe:
                while piece := dump.read(PIECE):
                    pipe.write(piece)
                    size += len(piece)
                    on_bytes(size)
        except BrokenPipeError:
            pass  # the program has ended, and its words say why


@contextmanager
def _running(
    program: str,
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program during a block, and wait for its end."""
    path = find_binaries().bindir / program
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program with arguments of ours
                [path, *words, "--no-password"], stdin=stdin, stdout=stdout, stderr=errors, env=environment
            )
        except OSError as error:
            raise BackupProgramError(program, _missing(path, error)) from error
        with process:
            try:
                yield process
                code = process.wait()  # indexes are made behind the last byte: that may take long
            except BaseException:
                process.kill()
                raise
        if code:
            errors.seek(0)
            words_of_it = " ".join(errors.read().decode("utf-8", "replace").split())[-_LONGEST_REASON:]
            raise BackupProgramError(program, words_of_it or f"it ended with code {code}")


def _missing(path: Path, error: OSError) -> str:
    return (
        f"{path}: {error.strerror}; set PG_BINDIR to the bin folder of a PostgreSQL with its client programs"
    )
