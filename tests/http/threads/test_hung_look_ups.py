"""A look-up whose connection hangs, and look-ups of a locked table, over HTTP."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from offerlog_infrastructure.composition import SCHEMA
from support.http_site import Site
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

PATH = "/v1/visitors/v{}/suppressions"
LOOKED_UP = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle' AND query LIKE '%JOIN suppressions%'
"""


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Stop a process while the block runs."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_look_up_whose_connection_hangs_holds_no_other(site: Site, dsn: str) -> None:
    """Those behind it are answered over other connections, at once; it is answered when its own goes on."""
    site.service.record([b"{}"])  # else the organization is not known, and no table is asked
    with site.client() as client, site.client() as others, ThreadPoolExecutor(1) as pool:
        # given the process of PostgreSQL that answers look-ups, stopped
        assert client.get(PATH.format(0)).status_code == 200
        ((process,),) = rows(dsn, LOOKED_UP)
        with stopped(process):
            hung = pool.submit(client.get, PATH.format(1))
            time.sleep(0.5)
            # when others look up
            began = time.monotonic()
            statuses = {others.get(PATH.format(n)).status_code for n in range(20)}
            # then they are answered although it hangs
            assert statuses == {200}
            assert time.monotonic() - began < 5
            assert not hung.done()
        assert hung.result(30).status_code == 200


def test_look_ups_of_a_locked_table_fail_with_the_reason_and_recover(
    site: Site, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that were gathered; and once the lock is gone, the next ones are answered."""
    monkeypatch.setattr("offerlog_infrastructure.postgres.reads.lookups.READERS_LOCK_TIMEOUT", "300ms")
    site.service.record([b"{}"])
    with site.client() as client, psycopg.connect(dsn) as connection, ThreadPoolExecutor(12) as pool:
        # given somebody who holds the table
        connection.execute(f"LOCK TABLE {SCHEMA}.suppressions IN ACCESS EXCLUSIVE MODE".encode())
        # when many look up at once, then all are told so
        answers = [one.result(30) for one in [pool.submit(client.get, PATH.format(n)) for n in range(12)]]
        assert {(one.status_code, one.json()["type"]) for one in answers} == {(503, "/problems/store-locked")}
        assert {one.headers["retry-after"] for one in answers} == {"2"}
        connection.rollback()
        until(lambda: client.get(PATH.format(0)).status_code == 200)
