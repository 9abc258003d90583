"""The lock of whoever moves events between the table and the files, or files between the archives of servers.

It is a session's advisory lock of the store. An erasure does not need it: it replaces a file by another one,
and whoever has the lock is told so by the names of the files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_infrastructure.archive.errors import ArchiveRunningError

_LOCK_KEY: Final = 0x6F66_6665_726C_6172
"""The advisory lock ("offerlar" in ASCII)."""

_TRY_LOCK: LiteralString = "SELECT pg_try_advisory_lock(%s)"
_UNLOCK: LiteralString = "SELECT pg_advisory_unlock(%s)"


@contextmanager
def hold_archive_lock(connection: Connection[Any]) -> Iterator[None]:
    """Hold the lock during a block.

    Raises:
        ArchiveRunningError: Another process holds it.
    """
    row = connection.cursor(row_factory=tuple_row).execute(_TRY_LOCK, (_LOCK_KEY,)).fetchone()
    if row != (True,):
        raise ArchiveRunningError
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(_UNLOCK, (_LOCK_KEY,))
