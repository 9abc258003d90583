"""One tenant floods the service; another one's calls are answered as if nobody had."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import SCHEMA
from support.http_site import Site
from support.internals import keys_of

pytest_plugins = ("support.http_site",)

MAP = str(uuid.uuid4())
ELIGIBILITY = f"/v1/visitors/v/action-maps/{MAP}/eligibility"
SUPPRESSIONS = "/v1/visitors/v/suppressions"
REPORT = "/v1/reports/action-map-performance"
SECONDS = 2.0
"""A call that had to wait for the flood would take far longer: the flood does not end by itself."""


@contextmanager
def flooded(
    site: Site, ask: Callable[[httpx.Client, int], httpx.Response], calls: int = 60
) -> Iterator[list[Future[httpx.Response]]]:
    """So many calls of `alpha` at the same time, under way."""
    limits = httpx.Limits(max_connections=calls)
    headers = {"Authorization": f"Bearer {site.key(Role.ADMIN, 'alpha')}"}
    with (
        httpx.Client(base_url=site.url, headers=headers, timeout=60, limits=limits) as client,
        ThreadPoolExecutor(calls) as pool,
    ):
        yield [pool.submit(ask, client, n) for n in range(calls)]


def answers_at_once(client: httpx.Client, *paths: str) -> None:
    """Ask each of these, and be answered in time."""
    for path in paths:
        began = time.monotonic()
        answer = client.get(path, timeout=30)
        assert answer.status_code == 200, (path, answer.text)
        assert time.monotonic() - began < SECONDS, path


@pytest.mark.parametrize("method", ["check_eligibility", "report", "history", "suppressions"])
def test_slow_reads_of_one_organization_hold_nobody_elses(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Sixty calls that do not end; each kind of call of another organization is answered at once."""
    # given reads of one organization that take until they are let go
    begun, go = threading.Semaphore(0), threading.Event()

    def slow(read: Callable[..., Any], *asked: Any, **named: Any) -> Any:
        organization = named.get("organization") or asked[0].organization
        if organization == "alpha":
            begun.release()
            assert go.wait(60)
        return read(*asked, **named)

    for name in (method, "suppressions_of") if method == "suppressions" else (method,):
        monkeypatch.setattr(site.service, name, partial(slow, getattr(site.service, name)))
    history = ELIGIBILITY.replace("eligibility", "history")
    path = {"check_eligibility": ELIGIBILITY, "report": REPORT, "history": history}.get(method, SUPPRESSIONS)
    with site.client(organization="beta") as beta, flooded(site, lambda client, _: client.get(path)) as asked:
        try:
            assert begun.acquire(timeout=20)
            time.sleep(1)  # the others have come by then, and wait
            # when another organization asks for the same, for look-ups, and with a key that is new;
            # then it is answered at once, and so are load balancers and Prometheus
            answers_at_once(
                beta, path, SUPPRESSIONS, ELIGIBILITY, REPORT, "/v1/projections", "/readyz", "/metrics"
            )
            with site.client(organization="beta") as newcomer:
                answers_at_once(newcomer, SUPPRESSIONS)
            assert not any(one.done() for one in asked)
        finally:
            go.set()
        assert {one.result(60).status_code for one in asked} == {200}


def test_offers_that_wait_hold_no_look_up(site: Site, dsn: str) -> None:
    """They wait for the writer without a thread."""
    # given a writer that cannot write: somebody holds the table
    lock = f"LOCK TABLE {SCHEMA}.offerlog_events IN SHARE ROW EXCLUSIVE MODE"

    def offer(client: httpx.Client, n: int) -> httpx.Response:
        asked = {"customerId": f"v{n}", "actionMapId": MAP, "sessionId": MAP}
        return client.post("/v1/offers", json=asked)

    with site.client(organization="beta") as beta, psycopg.connect(dsn) as connection:
        answers_at_once(beta, SUPPRESSIONS)
        connection.execute(lock.encode())
        with flooded(site, offer) as asked:
            try:
                time.sleep(0.5)
                # when another organization looks up what its pages ask
                answers_at_once(beta, *[SUPPRESSIONS] * 20)
                # then it was not the end of the flood that let it through
                assert not any(one.done() for one in asked)
            finally:
                connection.rollback()
            # and every offer is made in the end
            assert {one.result(60).status_code for one in asked} == {201}


def test_unknown_keys_ask_the_store_a_bounded_number_of_times(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated and always new ones, while valid keys from the same address are let in."""
    # given a store that counts look-ups of keys
    asked: list[str] = []
    keys = keys_of(site.service)
    look_up = keys._look_up

    def counted(key_id: str) -> Any:
        asked.append(key_id)
        return look_up(key_id)

    monkeypatch.setattr(keys, "_look_up", counted)
    with site.client() as genuine, httpx.Client(base_url=site.url) as client:
        answers_at_once(genuine, SUPPRESSIONS)

        # when somebody tries keys, each many times and then each another
        def tried(text: str) -> int:
            headers = {"Authorization": f"Bearer {text}"}
            return client.get(SUPPRESSIONS, headers=headers).status_code

        same = {tried("ofl_admin_0a1b2c3d4e5f_x") for _ in range(20)}
        assert (same, asked.count("0a1b2c3d4e5f")) == ({401}, 1)
        others = [tried(f"ofl_admin_{n:012x}_x") for n in range(200)]
        # then the store is asked for a few of them, and the rest is sent away
        assert set(others) == {401, 429}
        assert len(asked) < 150
        # and who has shown a valid key before, from the same address, is let in also when it must be looked
        # up again
        known = keys._remembered._known
        keys._remembered._known = {name: (key, 0.0) for name, (key, _) in known.items()}
        answers_at_once(genuine, SUPPRESSIONS)
