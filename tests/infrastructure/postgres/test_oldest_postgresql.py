"""The oldest supported PostgreSQL, as an operator runs it: every call of the service works there."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog
from support.journeys import journeys
from support.own_server import running
from support.recount import recounted, shown
from support.store_calls import calls

OLDEST = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.skipif(not (OLDEST / "initdb").exists(), reason="no PostgreSQL 15 of the system here")
def test_every_call_works_on_the_oldest_version() -> None:
    """`make test-postgres` runs the tests of the store on any version; this one runs with every change."""
    # given
    with running(OLDEST) as superuser:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("CREATE ROLE owner LOGIN PASSWORD 'known'")
            connection.execute("CREATE DATABASE log OWNER owner")
        dsn = make_conninfo(superuser, user="owner", password="known", dbname="log")  # noqa: S106 - throw-away
        with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
            # when
            service.wait(service.record(journeys(21)).position)
            service.rebuild()
            # then
            assert shown(service, dsn) == recounted(dsn)
            _, key = service.keys.create("default", Role.REPORTER, "one")
            for call in calls(service, key).values():
                call()
