"""A pytest plugin: one embedded PostgreSQL a test run, one migrated template in it, one database a test."""

import contextlib
import fcntl
import os
import shlex
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.embedded.roles import ROLE
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.staging import executable_bindir
from offerlog_infrastructure.postgres.migrations import migrate
from support.own_server import superuser_url
from support.superuser import PASSWORD, enable, superuser

TEMPLATE = "offerlog_template"
SETTINGS = (
    "-c fsync=off -c full_page_writes=off -c shared_buffers=64MB -c max_wal_size=512MB"
    " -c max_connections=600"  # a service over three servers takes 22, and all are databases of this one
)
FOLDER = "OFFERLOG_TEST_FOLDER"


@pytest.fixture(scope="session")
def service_server() -> Iterator[str]:
    """The service's connection string for the test run's server, shared by all its worker processes.

    It is an embedded one, or a throw-away server that `support.own_server` has started.
    """
    folder = Path(os.environ[FOLDER])
    folder.chmod(0o755)
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = superuser_url()
        running = None if own else _embedded(folder / "store")
        dsn = running.dsn if running else make_conninfo(own or "", user=ROLE, password=PASSWORD)
        with psycopg.connect(superuser(dsn), autocommit=True) as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (TEMPLATE,))
            if known.fetchone() is None:
                if own:
                    connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'".encode())
                connection.execute(f'CREATE DATABASE "{TEMPLATE}_making" OWNER {ROLE}'.encode())
                migrate(make_conninfo(dsn, dbname=f"{TEMPLATE}_making"), SCHEMA)
                connection.execute(f'ALTER DATABASE "{TEMPLATE}_making" RENAME TO "{TEMPLATE}"'.encode())
    with running or contextlib.nullcontext():
        yield dsn


def _embedded(store: Path) -> EmbeddedServer:
    if not store.exists():
        EmbeddedServer.acquire(store).close()
        enable(store)
        _write_programs(store.with_name("bin"), ServerUser.of(store / "postgres"))
    return EmbeddedServer.acquire(store, bindir=store.with_name("bin"))


def _write_programs(folder: Path, user: ServerUser) -> None:
    """Write a program `postgres` that starts the embedded server with settings of the tests.

    Its databases live as long as one test, and no test of them stops the machine: nothing need be on the
    disk. The tests of durability, and those of the embedded store, use separate servers.
    """
    programs = executable_bindir(find_binaries(), user)
    folder.mkdir(mode=0o755)
    (folder / "initdb").symlink_to(programs / "initdb")
    script = folder / "postgres"
    postgres = shlex.quote(str(programs / "postgres"))
    script.write_text(f'#!/bin/sh\n[ "$1" != -D ] || set -- "$@" {SETTINGS}\nexec {postgres} "$@"\n')
    script.chmod(0o755)


@pytest.fixture(scope="session")
def server(service_server: str) -> str:
    """The same as the superuser, who may make databases and roles."""
    return superuser(service_server)


class Databases:
    """Databases with the tables in place and nothing in them; each is made over one connection."""

    def __init__(self, server: str, service_server: str) -> None:
        self._service_server = service_server
        self._connection = psycopg.connect(server, autocommit=True)

    def make(self, template: str = TEMPLATE) -> str:
        """Make one; returns the service's connection string.

        Args:
            template: The database to copy, which nobody may use meanwhile.
        """
        name = f"test_{uuid.uuid4().hex[:12]}"
        made = f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy OWNER {ROLE}'
        self._connection.execute(made.encode())
        return make_conninfo(self._service_server, dbname=name)

    def drop(self, made: Iterable[str]) -> None:
        """Drop databases, whoever still uses them."""
        for dsn in made:
            dropped = f'DROP DATABASE "{conninfo_to_dict(dsn)["dbname"]}" WITH (FORCE)'
            self._connection.execute(dropped.encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def making(self) -> Iterator[Callable[[], str]]:
        """Make databases that go when the block ends."""
        made: list[str] = []

        def make() -> str:
            made.append(self.make())
            return made[-1]

        yield make
        self.drop(made)


@pytest.fixture(scope="session")
def databases(server: str, service_server: str) -> Iterator[Databases]:
    """Makes databases on the server of the test run."""
    with contextlib.closing(Databases(server, service_server)) as made:
        yield made


@pytest.fixture
def make_dsn(databases: Databases) -> Iterator[Callable[[], str]]:
    """Makes databases with the tables in place and nothing in them; they go when the test ends."""
    with databases.making() as make:
        yield make


@pytest.fixture(scope="module")
def module_dsn(databases: Databases) -> Iterator[str]:
    """The connection string of a database that the tests of a module share."""
    dsn = databases.make()
    yield dsn
    databases.drop([dsn])


@pytest.fixture
def dsn(make_dsn: Callable[[], str]) -> str:
    """The connection string of a database with the tables in place and nothing in them."""
    return make_dsn()


@pytest.fixture
def offerlog(dsn: str) -> Iterator[Offerlog]:
    """The ready service over an empty log; deadlines are kept only when a test says so."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        yield service
