"""The tables are made once, whoever comes first and however many come at once."""

import subprocess
import uuid
from collections.abc import Callable
from importlib import resources

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.migrations import (
    SchemaNotMadeError,
    SchemaTooNewError,
    migrate,
    migrations,
)
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import rows
from support.refused_texts import refused_texts
from support.superuser import superuser

FIRST_START = """
import sys
from offerlog_infrastructure.composition import open_offerlog
print("here", flush=True)
sys.stdin.readline()
with open_offerlog(database_url=sys.argv[1]) as service:
    print(service.record([sys.argv[2]]).outcomes[0].kind.value)
"""

COLUMNS = """
    SELECT table_name, column_name, ordinal_position, data_type, is_nullable,
        replace(column_default, table_schema || '.', '')
    FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, 3
"""
INDEXES = """
    SELECT tablename, replace(indexdef, schemaname || '.', '') FROM pg_indexes
    WHERE schemaname = %s ORDER BY 2
"""


@pytest.fixture
def empty(make_dsn: Callable[[], str]) -> str:
    """The connection string of a database with nothing in it."""
    dsn = make_dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
    return dsn


def schema(dsn: str, name: str = SCHEMA) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Every column and index of a schema."""
    return rows(dsn, COLUMNS, name), rows(dsn, INDEXES, name)


def test_five_first_starts_at_once_all_succeed(empty: str) -> None:
    """Every process finds the tables, made once, and records its signal."""
    starts = [
        LimitedProcess(
            [*preloaded_code(FIRST_START), empty, f"no signal {n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(5)
    ]
    for start in starts:
        assert start.stdout is not None
        assert start.stdout.readline() == "here\n"
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("now\n")
        start.stdin.flush()
    outputs = [start.communicate(timeout=60)[0] for start in starts]
    assert [start.returncode for start in starts] == [0] * 5
    assert outputs == ["refused\n"] * 5
    assert rows(empty, "SELECT number FROM migrations ORDER BY 1") == [(n,) for n in sorted(migrations())]
    assert sorted(refused_texts(empty)) == [f"no signal {n}" for n in range(5)]


def test_migrating_again_changes_nothing(dsn: str) -> None:
    """Neither the tables nor the record of when they were made."""
    before = schema(dsn), rows(dsn, "TABLE migrations")
    for _ in range(2):
        migrate(dsn, SCHEMA)
    assert (schema(dsn), rows(dsn, "TABLE migrations")) == before


def test_what_a_test_or_a_user_gets_is_what_the_migrations_make(dsn: str, empty: str) -> None:
    """The template, a first start and another schema's name all lead to the same tables."""
    migrate(empty, SCHEMA)
    migrate(empty, "elsewhere")
    assert schema(empty) == schema(dsn)
    assert schema(empty, "elsewhere") == schema(dsn)


def test_every_migration_has_a_number_of_its_own() -> None:
    """`migrate` runs by number whatever has not run yet: of two with one number it would see only one."""
    folder = resources.files("offerlog_infrastructure.postgres") / "sql"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    assert len(migrations()) == len(files)
    assert min(migrations()) == 1


def test_a_database_made_by_a_newer_build_is_left_alone(dsn: str) -> None:
    """An older build says what it found and what it knows, and changes nothing."""
    newest = max(migrations())
    rows(dsn, "INSERT INTO migrations (number) VALUES (%s)", newest + 1)
    before = schema(dsn)
    for start in (lambda: migrate(dsn, SCHEMA), lambda: open_offerlog(database_url=dsn)):
        with pytest.raises(SchemaTooNewError, match="upgrade offerlog") as caught:
            start()
        assert (caught.value.found, caught.value.known) == (newest + 1, newest)
    assert schema(dsn) == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of one start's migrations are made or none."""
    broken = {**migrations(), max(migrations()) + 1: "CREATE TABLE half (); SELECT no_such_function()"}
    monkeypatch.setattr("offerlog_infrastructure.postgres.migrations.migrations", lambda: broken)
    with pytest.raises(psycopg.errors.UndefinedFunction):
        migrate(empty, SCHEMA)
    assert schema(empty) == ([], [])


def test_a_user_who_may_make_no_schema_needs_only_to_be_given_one(empty: str) -> None:
    """The message names the statement that the database's owner has to run; after it, all goes well.

    A rebuild needs a separate schema, which then stays.
    """
    name = f"locked_down_{uuid.uuid4().hex[:8]}"
    rows(superuser(empty), f"CREATE ROLE {name} LOGIN PASSWORD 'known'")
    theirs = make_conninfo(empty, user=name, password="known")  # noqa: S106 - of a throw-away server
    try:
        with pytest.raises(SchemaNotMadeError) as caught:
            migrate(theirs, SCHEMA)
        statement = str(caught.value).partition("run ")[2]
        assert statement.startswith("CREATE SCHEMA")
        rows(superuser(empty), statement)
        with open_offerlog(database_url=theirs) as offerlog:
            assert offerlog.record([b"no signal"]).outcomes
            with pytest.raises(SchemaNotMadeError, match=f"{SCHEMA}_rebuild") as caught:
                offerlog.rebuild()
            rows(superuser(empty), str(caught.value).partition("run ")[2])
            for _ in range(2):
                offerlog.rebuild()
    finally:
        rows(superuser(empty), f"DROP OWNED BY {name} CASCADE")
        rows(superuser(empty), f"DROP ROLE {name}")


def test_positions_are_drawn_one_by_one_from_one_sequence(dsn: str) -> None:
    """A tailing reader relies on it: CACHE 1, and the column's own default."""
    sequence = "SELECT cache_size, increment_by FROM pg_sequences WHERE sequencename = %s"
    assert rows(dsn, sequence, "log_positions") == [(1, 1)]
