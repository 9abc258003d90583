"""The record of the last backup, in the store itself: the next one may be made on another machine."""

from datetime import datetime
from typing import LiteralString

from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.errors import server_reached

_RECORD_BACKUP: LiteralString = """
    INSERT INTO last_backup AS kept (made_at, position, file_bytes) VALUES (%s, %s, %s)
    ON CONFLICT (only_row) DO UPDATE SET
        made_at = excluded.made_at, position = excluded.position, file_bytes = excluded.file_bytes
    WHERE kept.made_at < excluded.made_at
"""


def record_backup(dsn: str, schema: str, made_at: datetime, position: int, size: int) -> None:
    """Record that a backup was made.

    Args:
        dsn: The connection string.
        schema: The schema of the store.
        made_at: The moment whose state it holds.
        position: The position of the last event in it.
        size: Bytes of the file.

    Raises:
        StoreUnavailableError: The store cannot be reached, or written to.
    """
    with server_reached(), open_unlimited(dsn, schema) as connection:
        connection.execute("SET lock_timeout TO '5s'")
        connection.execute(_RECORD_BACKUP, (made_at, position, size))
