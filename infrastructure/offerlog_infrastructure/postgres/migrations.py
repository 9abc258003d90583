"""Migrations: numbered SQL files, each run once, in order, by one process at a time."""

from importlib import resources
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from offerlog_application.ports.keyring import Keyring
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.connections import open_unlimited
from offerlog_infrastructure.postgres.store_keys import adopt_keyring
from offerlog_infrastructure.store_missing import StoreMissingError

MIGRATIONS_LOCK: Final = 0x6F66_6665_726C_6F67
"""The advisory lock of migrations ("offerlog" in ASCII)."""


class SchemaTooNewError(OfferlogError):
    """The database was made by a newer offerlog.

    Attributes:
        found: The newest migration in the database.
        known: The newest migration of this build.
    """

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the database is at migration {found}, this offerlog knows {known}: upgrade offerlog"
        )
        self.found = found
        self.known = known


class SchemaNotMadeError(OfferlogError):
    """The database's user may not make offerlog's schema."""

    def __init__(self, schema: str, user: str) -> None:
        super().__init__(
            f"the database user {user!r} may not make the schema {schema!r}: have the database's owner run"
            f' CREATE SCHEMA "{schema}" AUTHORIZATION "{user}"'
        )


def migrations() -> dict[int, str]:
    """Read every migration of this build: number to SQL text."""
    folder = resources.files("offerlog_infrastructure.postgres") / "sql"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {
        int(entry.name.partition("_")[0]): entry.read_text() for entry in sorted(files, key=lambda e: e.name)
    }


def migrate(dsn: str, schema: str, *, create: bool = True, keyring: Keyring | None = None) -> None:
    """Bring the schema up to date with this build; several processes may do so at once.

    Args:
        dsn: The connection string.
        schema: The schema's name.
        create: False to update an existing store only.
        keyring: Must hold the keys of the store. It encrypts the secrets that an older offerlog stored as
            they are. None to leave both out.

    Raises:
        StoreMissingError: The database has no store, and `create` is false.
        KeyringError: The keyring cannot be used, or does not hold a key of this store; nothing was changed.
        SchemaTooNewError: The database was made by a newer build.
        SchemaNotMadeError: The user may not make the schema.
    """
    known = migrations()
    with (
        open_unlimited(dsn, schema) as connection,
        connection.transaction(),
        connection.cursor(row_factory=tuple_row) as cursor,
    ):
        with announced("another process that brings the tables up to date"):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATIONS_LOCK,))
        if create:
            _make_schema(cursor, schema)
        else:
            _check_store(cursor, schema)
        cursor.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute("SELECT number FROM migrations")
        done = {int(row[0]) for row in cursor.fetchall()}
        if done and max(done) > max(known):
            raise SchemaTooNewError(max(done), max(known))
        for number in sorted(known.keys() - done):
            cursor.execute(known[number].encode())
            cursor.execute("INSERT INTO migrations (number) VALUES (%s)", (number,))
        if keyring is not None:
            adopt_keyring(cursor, keyring)


def _check_store(cursor: psycopg.Cursor[Any], schema: str) -> None:
    """Check that migrations have run here: a schema prepared for them is not a store yet."""
    table = sql.Identifier(schema, "migrations").as_string(cursor)
    if cursor.execute("SELECT to_regclass(%s) IS NULL", (table,)).fetchone() == (True,):
        info = cursor.connection.info
        raise StoreMissingError(f"the database {info.dbname!r} of {info.host or 'this machine'}")


def _make_schema(cursor: psycopg.Cursor[Any], schema: str) -> None:
    """Make the schema if it is missing. On a locked-down server its owner makes it beforehand."""
    if cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is not None:
        return
    try:
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaNotMadeError(schema, cursor.connection.info.user) from error
