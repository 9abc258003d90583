"""The lock by which others see that the mover of a slice lives.

The mover holds it on the target, on the very connection whose transaction has the copy. While it is held, the
slice may still be taken. Once it is gone, that transaction is gone too, so this mover cannot take the slice
any more. Nothing of this depends on the home or on the source. The server ends it with the connection: at
once where a process was killed, after some 25 seconds where a machine or a network is gone.

Whoever ends a move that a mover has left holds the lock, too. So only one does so at a time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE

_FIRST: Final = 1_000
"""The second key of the lock of slice 0. A session that is silent inside a transaction is ended, as the first
key is that of the projectors (see `hung_sessions`)."""

_LOOK_SECONDS: Final = 0.1

_TRY_LOCK: LiteralString = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK: LiteralString = "SELECT pg_advisory_unlock(%s, %s)"
_SELECT_HELD: LiteralString = """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid::bigint = %s AND objid::bigint = %s
    )
"""


@contextmanager
def hold_mover_lock(connection: Connection[Any], number: int, seconds: float = 0.0) -> Iterator[bool]:
    """Hold the lock of a slice on its target, if it is free within some seconds; yields whether it is.

    Args:
        connection: A connection to the target.
        number: The slice.
        seconds: How long to wait for another holder.
    """
    cursor, key = connection.cursor(row_factory=tuple_row), (LOCK_SPACE, _FIRST + number)
    until = time.monotonic() + seconds
    while not (is_held := cursor.execute(_TRY_LOCK, key).fetchone() == (True,)):
        if time.monotonic() >= until:
            break
        time.sleep(_LOOK_SECONDS)
    try:
        yield is_held
    finally:
        if is_held:
            with suppress(psycopg.Error):  # the session is gone, and with it the lock
                cursor.execute(_UNLOCK, key)


def is_mover_there(connection: Connection[Any], number: int) -> bool:
    """Return True if somebody holds the lock of a slice.

    Args:
        connection: A connection to the target.
        number: The slice.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    return cursor.execute(_SELECT_HELD, (LOCK_SPACE, _FIRST + number), prepare=True).fetchone() == (True,)
