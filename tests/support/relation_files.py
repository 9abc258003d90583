"""What stands on the disk of a table."""

import psycopg

from offerlog_infrastructure.composition import SCHEMA
from support.recount import rows
from support.superuser import superuser

_PATHS = """
    SELECT pg_relation_filepath(oid) FROM pg_class, (SELECT %s::regclass AS wanted) AS wanted
    WHERE oid = wanted OR oid = (SELECT reltoastrelid FROM pg_class WHERE oid = wanted)
        OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = wanted)
"""


def relation_files(dsn: str, table: str) -> list[bytes]:
    """The bytes of the files of a table, of its long values and of its indexes, as they stand on the disk."""
    rows(superuser(dsn), "CHECKPOINT")
    with psycopg.connect(superuser(dsn), options=f"-c search_path={SCHEMA}") as connection:
        paths = connection.execute(_PATHS, (table,)).fetchall()
        read = [connection.execute("SELECT pg_read_binary_file(%s)", path).fetchone() for path in paths]
    return [bytes(row[0]) for row in read if row is not None]
