"""What is read says how far it goes, keeps to its own threads, and names what was wrong with the question."""

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.http.threads.thread_pools import REPORTS_EACH
from support.http_site import Site, served
from support.recount import rows

pytest_plugins = ("support.http_site",)

REPORT = "/v1/reports/action-map-performance"
MAP = str(uuid.uuid4())
STATES = ("offered", "accepted", "started", "engaged")


def signal_of(state: str, customer: str) -> dict[str, str]:
    """A signal of that visitor's one action."""
    action = str(uuid.uuid5(uuid.NAMESPACE_OID, customer))
    ids = {"actionId": action, "actionMapId": MAP, "sessionId": action, "customerId": customer}
    return ids | {"actionState": state}


def test_slow_reports_keep_no_page_view_waiting(
    site: Site, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the server has threads in all."""
    begun, going_on = threading.Semaphore(0), threading.Event()
    report = site.service.report

    def slow(query: Any, **more: Any) -> Any:
        begun.release()
        assert going_on.wait(30)
        return report(query, **more)

    monkeypatch.setattr(site.service, "report", slow)
    with ThreadPoolExecutor(60) as pool, httpx.Client(headers=admin.headers, timeout=30) as client:
        asked = [pool.submit(client.get, f"{site.url}{REPORT}") for _ in range(60)]
        assert all(begun.acquire(timeout=10) for _ in range(REPORTS_EACH))
        time.sleep(1)  # the others have come by then, and wait
        assert admin.get("/v1/visitors/v/suppressions", timeout=5).json()["suppressions"] == []
        assert not any(one.done() for one in asked)
        going_on.set()
        assert {one.result(30).status_code for one in asked} == {200}


def test_reports_that_hang_in_the_store_keep_no_page_view_waiting(
    site: Site, admin: httpx.Client, dsn: str
) -> None:
    """Nor an offer, nor an explanation; here somebody has locked the tables of counts."""
    lock = f"LOCK TABLE {SCHEMA}.performance_counts, {SCHEMA}.performance_days"
    visitor = {"customerId": "v", "sessionId": MAP, "actionMapId": MAP}
    with psycopg.connect(dsn) as connection, ThreadPoolExecutor(20) as pool:
        connection.execute(lock.encode())
        with httpx.Client(headers=admin.headers, timeout=30) as client:
            asked = [pool.submit(client.get, f"{site.url}{REPORT}") for _ in range(20)]
            time.sleep(1)  # as many as may have come to the lock by then
            began = time.monotonic()
            assert admin.get("/v1/visitors/v/suppressions").json()["suppressions"] == []
            assert admin.post("/v1/suppressions:batch", json={"visitors": []}).json()["visitors"] == []
            assert admin.post("/v1/offers", json=visitor).status_code == 201
            why = admin.get(f"/v1/visitors/v/action-maps/{MAP}/eligibility").json()
            assert why["reason"] == "already_open"
            assert time.monotonic() - began < 2
            assert not any(one.done() for one in asked)
            connection.rollback()
            assert {one.result(30).status_code for one in asked} == {200}


def test_what_is_missing_is_said_and_its_coming_in_too(dsn: str) -> None:
    """A dead letter that is taken in moves the report, but no position: tag and stream tell of it."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        service.record([signal_of(state, "v") for state in STATES])
    rows(dsn, "UPDATE offerlog_events SET topic = 'vanished.7' WHERE topic = 'accepted.3'")
    with served(dsn) as site, site.client() as admin:
        site.service.catch_up()
        short = admin.get(REPORT)
        assert (short.json()["short_by"], short.json()["rows"][0]["metrics"]["nWebActionsEngaged"]) == (3, 0)
        for found in (
            admin.get("/v1/visitors/v/suppressions").json(),
            admin.post("/v1/suppressions:batch", json={"visitors": [{"customerId": "v"}]}).json(),
        ):
            assert found["short_by"] == 3
        rows(dsn, "UPDATE offerlog_events SET topic = 'accepted.3' WHERE topic = 'vanished.7'")
        with admin.stream("GET", "/v1/stream") as stream:
            lines = stream.iter_lines()
            next(line for line in lines if line.startswith("data: "))
            assert site.service.retry_dead_letters() == 3
            decoded = json.loads(next(line for line in lines if line.startswith("data: "))[len("data: ") :])
        assert decoded["rows"][0]["metrics"]["nWebActionsEngaged"] == 1
        whole = admin.get(REPORT, headers={"If-None-Match": short.headers["etag"]})
        assert whole.status_code == 200
        assert whole.json()["rows"][0]["metrics"]["nWebActionsEngaged"] == 1
        assert whole.json().get("short_by", 0) == 0


def test_a_report_built_anew_is_another_one(site: Site, admin: httpx.Client, dsn: str) -> None:
    """By other code the same events may come to other figures: no browser goes on with the old ones."""
    site.service.record([signal_of("offered", "v")])
    site.service.catch_up()
    rows(dsn, "UPDATE performance_counts SET offered = offered + 1")
    before = admin.get(REPORT)
    assert before.json()["rows"][0]["metrics"]["nWebActionsOffered"] == 2
    site.service.rebuild("performance", accept_difference=True)
    after = admin.get(REPORT, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["rows"][0]["metrics"]["nWebActionsOffered"] == 1


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{REPORT}?action_map=none", "action_map"),
        ("/v1/visitors/v/action-maps/none/eligibility", "action_map_id"),
        (f"/v1/visitors/{'v' * 300}/action-maps/{MAP}/history", "customer_id"),
        ("/v1/visitors/v/suppressions?customer_id_type=", "customer_id_type"),
        ("/v1/action-maps/none/suppressions", "action_map_id"),
    ],
)
def test_a_parameter_at_fault_is_named_as_it_was_given(admin: httpx.Client, path: str, field: str) -> None:
    """Not by the name of a signal's field that holds the same."""
    assert admin.get(path).json()["field"] == field
