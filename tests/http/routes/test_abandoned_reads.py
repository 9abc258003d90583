"""A read whose client has gone stops, in the store too; one that takes too long says so."""

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from offerlog_infrastructure.http.state import install_state, state_of_app
from offerlog_infrastructure.http.threads.thread_pools import REPORTS_EACH
from offerlog_infrastructure.postgres.reads import performance
from offerlog_infrastructure.postgres.refusals import refusal_log
from offerlog_infrastructure.settings import Settings
from support.http_site import Site, served
from support.raw_http import asking
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

REPORT = "/v1/reports/action-map-performance"
SLEEPING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep(25)%'
        AND pid <> pg_backend_pid()
"""

COUNT_DAYS = """
    INSERT INTO performance_days
    SELECT 'default', %s, 'event', day * 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'webchat'
    FROM generate_series(1, 5000) AS day
"""


@pytest.fixture
def slow_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every report asks the store for something that takes 25 seconds."""
    slow = performance._SELECT_SLOTS.replace("SELECT", "SELECT pg_sleep(25),", 1)
    monkeypatch.setattr(performance, "_SELECT_SLOTS", slow)


@pytest.mark.usefixtures("slow_reports")
def test_a_report_whose_client_has_gone_stops_in_the_store(site: Site, admin: httpx.Client, dsn: str) -> None:
    """Within seconds, for all of them; their threads and connections serve the next ones."""
    clients = [asking(site, REPORT) for _ in range(REPORTS_EACH)]
    until(lambda: rows(dsn, SLEEPING) == [(REPORTS_EACH,)])
    for client in clients:
        client.close()
    began = time.monotonic()
    until(lambda: rows(dsn, SLEEPING) == [(0,)])
    assert time.monotonic() - began < 10  # the statements would have gone on for 25 seconds
    assert admin.get("/v1/refusals/counts").json()["refusals"] == 0


@pytest.mark.usefixtures("slow_reports")
def test_one_whose_client_left_while_it_waited_for_a_thread_never_starts(site: Site, dsn: str) -> None:
    """It would only take up a thread."""
    staying = [asking(site, REPORT) for _ in range(REPORTS_EACH)]
    until(lambda: rows(dsn, SLEEPING) == [(REPORTS_EACH,)])
    leaving = asking(site, REPORT)
    time.sleep(0.5)
    leaving.close()
    time.sleep(2.0)
    for client in staying:
        client.close()
    until(lambda: rows(dsn, SLEEPING) == [(0,)])
    for _ in range(20):
        assert rows(dsn, SLEEPING) == [(0,)]
        time.sleep(0.02)


def test_a_streamed_list_whose_client_has_gone_stops(
    site: Site, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a page, as well as between two."""
    site.service.record([b"no signal"] * 10)
    slow = refusal_log._SELECT_REFUSALS.replace("SELECT", "SELECT pg_sleep(25),", 1)
    monkeypatch.setattr(refusal_log, "_SELECT_REFUSALS", slow)
    client = asking(site, "/v1/refusals", "application/x-ndjson")
    until(lambda: rows(dsn, SLEEPING) == [(1,)])
    client.close()
    began = time.monotonic()
    until(lambda: rows(dsn, SLEEPING) == [(0,)])
    assert time.monotonic() - began < 10


@pytest.fixture
def hasty(dsn: str) -> Iterator[Site]:
    """The service with a time limit for reads of half a second."""

    def prepare(app: FastAPI) -> None:
        install_state(app, replace(state_of_app(app), settings=Settings(read_timeout=0.5)))

    with served(dsn, prepare=prepare) as site:
        yield site


@pytest.mark.usefixtures("slow_reports")
def test_a_report_that_takes_too_long_says_so(hasty: Site, dsn: str) -> None:
    """With a separate type, and nothing goes on in the store."""
    with hasty.client() as admin:
        answer = admin.get(REPORT)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/read-timeout")
        assert "0.5 s" in answer.json()["detail"]
        assert rows(dsn, SLEEPING) == [(0,)]
        assert admin.get("/v1/refusals").status_code == 200


def test_a_report_with_too_many_buckets_is_a_bad_request(admin: httpx.Client, dsn: str) -> None:
    """The field is named, and what to choose instead."""
    rows(dsn, COUNT_DAYS, "00000000-0000-4000-8000-000000000001")
    answer = admin.get(REPORT, params={"by": "hour"})
    assert (answer.status_code, answer.json()["field"]) == (400, "by")
    assert "choose a coarser `by`" in answer.json()["cause"]
