"""The service uses the embedded database as a role that can do nothing outside it."""

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer, errors
from support.processes import LimitedProcess
from support.ready_stores import put_store
from support.superuser import PASSWORD, alone, enable, superuser

OPEN = """
import sys
from offerlog_infrastructure.composition import open_offerlog
with open_offerlog(data=sys.argv[1], keep_deadlines=False) as service:
    receipt = service.record([b"later"])
    service.rebuild()
    print(len(list(service.refusals())))
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A new store, with nothing running."""
    with tempfile.TemporaryDirectory(prefix="role-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        put_store(Path(name) / "data")
        yield Path(name) / "data"


def a_signal() -> bytes:
    """A signal of a new visitor."""
    ids = {name: str(uuid.uuid4()) for name in ("actionId", "actionMapId", "sessionId", "customerId")}
    return json.dumps({**ids, "actionState": "offered"}).encode()


def make_old(data: Path) -> str:
    """Turn a store into one of an older offerlog, used as the superuser; returns its connection string."""
    with EmbeddedServer.acquire(data) as server:
        dsn = superuser(server.dsn)
    enable(data)
    with EmbeddedServer.acquire(data), psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER DATABASE offerlog OWNER TO offerlog")
        connection.execute(
            "CREATE SCHEMA mine; CREATE VIEW mine.kinds AS SELECT 1 AS one; CREATE TYPE mine.mood AS ENUM ()"
        )
        owned = (
            "SELECT format('TABLE %I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE tableowner = 'offerlog_service'"
            " UNION ALL SELECT format('ROUTINE %s', oid::regprocedure) FROM pg_proc"
            " WHERE pg_get_userbyid(proowner) = 'offerlog_service'"
        )
        for (thing,) in connection.execute(owned).fetchall():
            connection.execute(f"ALTER {thing} OWNER TO offerlog".encode())
        for (schema,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE pg_get_userbyid(nspowner) = 'offerlog_service'"
        ).fetchall():
            connection.execute(f"ALTER SCHEMA {schema} OWNER TO offerlog".encode())
        connection.execute("DROP OWNED BY offerlog_service")
        connection.execute("DROP ROLE offerlog_service")
        (data / "password").write_text(PASSWORD)
    return dsn


def owners(dsn: str) -> set[str]:
    """Who owns anything in the database that is not PostgreSQL's own."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace::regnamespace::text !~ '^(pg_|information)'"
            " UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace"
            " WHERE nspname !~ '^(pg_|information|public)'"
            " UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'offerlog'"
        ).fetchall()
    return {name for (name,) in rows}


def test_the_role_is_no_superuser_and_the_superuser_has_no_known_password(data: Path) -> None:
    """An injected statement could read tables, but no files, and run no programs."""
    with EmbeddedServer.acquire(data) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            row = connection.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
                " WHERE rolname = current_user"
            ).fetchone()
            assert row == (False,) * 5
            for statement in (
                "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')",
                "ALTER SYSTEM SET fsync = off",
                "CREATE ROLE another SUPERUSER", "SET ROLE offerlog",
            ):  # fmt: skip
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        for password in ("", str(conninfo_to_dict(server.dsn)["password"])):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(make_conninfo(server.dsn, user="offerlog", password=password))


def test_the_password_file_serves_postgresqls_own_programs(data: Path) -> None:
    """It is a password file as libpq has them."""
    with EmbeddedServer.acquire(data) as server:
        parts = conninfo_to_dict(server.dsn)
        at = make_conninfo(
            "", host=parts["host"], user=parts["user"], dbname="offerlog", passfile=str(data / "password")
        )
        psycopg.connect(at).close()


def test_the_random_password_is_hashed_once(server: str) -> None:
    """Nobody can guess it, and each connection would take the time of 4,096 hashes."""
    with psycopg.connect(server) as connection:
        found = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'offerlog_service'")
        ((password,),) = found.fetchall()
    assert password.startswith("SCRAM-SHA-256$1:")


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_password_file_that_others_can_read_is_refused(data: Path, mode: int) -> None:
    """The error says what to do, and that helps."""
    EmbeddedServer.acquire(data).close()
    (data / "password").chmod(mode)
    with pytest.raises(errors.FolderNotPrivateError, match="remove that file"):
        EmbeddedServer.acquire(data)
    (data / "password").unlink()
    EmbeddedServer.acquire(data).close()


def test_a_store_of_an_older_offerlog_is_given_to_the_role(data: Path) -> None:
    """Several processes open it at once; what it held is there, whoever made it, and is moved once."""
    # given a store that has been used as the superuser, with a view of the operator's in it
    with open_offerlog(data=data, keep_deadlines=False) as service:
        service.record([b"before", a_signal()])
    old = make_old(data)
    # when several processes open it at the same time
    command = [sys.executable, "-c", OPEN, str(data)]
    started = [LimitedProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in started]
    # then all of them work, apart from a rebuild that another is at
    assert all(out.strip().isdigit() or b"another rebuild" in err for out, err in answers), answers
    with EmbeddedServer.acquire(data) as server:
        assert conninfo_to_dict(server.dsn)["user"] == "offerlog_service"
        assert owners(server.dsn) == {"offerlog_service"}
        # and a process of the older build goes on as it was
        psycopg.connect(old).close()
    with open_offerlog(data=data, create=False, keep_deadlines=False) as service:
        assert b"before" in [kept.raw for kept in service.refusals()]


def test_a_store_is_moved_under_a_service_that_uses_it(data: Path) -> None:
    """An older build keeps the server running meanwhile; a lock of its is waited for."""
    with open_offerlog(data=data, keep_deadlines=False) as service:
        service.record([a_signal()])
    old = make_old(data)
    with EmbeddedServer.acquire(data):  # which moves it; so again, with the server running
        with psycopg.connect(old, autocommit=True) as connection:
            connection.execute("ALTER TABLE offerlog.refusals OWNER TO offerlog")
        (data / "password").write_text(PASSWORD)
        with psycopg.connect(old) as writing:
            writing.execute("LOCK TABLE offerlog.refusals IN ROW EXCLUSIVE MODE")
            opening = LimitedProcess([sys.executable, "-c", OPEN, str(data)], stdout=subprocess.PIPE)
            with pytest.raises(subprocess.TimeoutExpired):
                opening.wait(4)
            writing.rollback()
        out, _ = opening.communicate(timeout=60)
        assert out.strip() == b"1"
        assert owners(old) == {"offerlog_service"}


def test_a_lost_password_of_an_old_store_is_replaced(data: Path) -> None:
    """Without the superuser's password the move happens while no server runs."""
    EmbeddedServer.acquire(data).close()
    make_old(data)
    (data / "password").unlink()
    with EmbeddedServer.acquire(data) as server:
        assert owners(server.dsn) <= {"offerlog_service"}
    alone(data, "SELECT 1")
    assert (data / "password").stat().st_mode & 0o777 == 0o600
