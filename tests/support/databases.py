"""A pytest plugin: one embedded PostgreSQL a test run, one migrated template in it, one database a test."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.roles import ROLE
from offerlog_infrastructure.postgres.migrations import migrate
from support.own_server import superuser_url
from support.superuser import PASSWORD, enable, superuser

TEMPLATE = "offerlog_template"
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
    return EmbeddedServer.acquire(store)


@pytest.fixture(scope="session")
def server(service_server: str) -> str:
    """The same as the superuser, who may make databases and roles."""
    return superuser(service_server)


@pytest.fixture
def make_dsn(server: str, service_server: str) -> Iterator[Callable[[], str]]:
    """Makes databases with the tables in place and nothing in them; they go when the test ends."""
    made: list[str] = []

    def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER {ROLE}'.encode())
        made.append(name)
        return make_conninfo(service_server, dbname=name)

    yield make
    with psycopg.connect(server, autocommit=True) as connection:
        for name in made:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def dsn(make_dsn: Callable[[], str]) -> str:
    """The connection string of a database with the tables in place and nothing in them."""
    return make_dsn()


@pytest.fixture
def offerlog(dsn: str) -> Iterator[Offerlog]:
    """The ready service over an empty log; deadlines are kept only when a test says so."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        yield service
