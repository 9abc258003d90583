"""Attacks by number: offers, streams, action maps, refused lines and log-ins. Others are served meanwhile."""

import json
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlencode

import httpx
import psycopg

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.http.streams.live_reports import STREAMS_OF_A_KEY
from support.http_site import Site
from support.loop_latency import TOLERABLE, watched
from support.many_clients import Answer, ask_all, fresh_addresses, request
from support.raw_http import answer_of, connected
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

SESSION = "5e000000-0000-4000-8000-000000000001"
NDJSON = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"
TAKES_LOCK = f"LOCK TABLE {SCHEMA}.offerlog_events IN SHARE ROW EXCLUSIVE MODE"


def signal(customer: str, action_map: str, state: str = "offered") -> dict[str, str]:
    """A signal of a new action."""
    return {
        "actionId": str(uuid.uuid4()),
        "actionState": state,
        "actionMapId": action_map,
        "customerId": customer,
        "sessionId": SESSION,
    }


def statuses(answers: list[Answer]) -> Counter[int]:
    """How many answers had which status."""
    return Counter(one.status for one in answers)


def test_offers_that_wait_for_a_busy_writer_do_not_stop_the_loop(dsn: str) -> None:
    """Sixty of them; another organization's look-ups come meanwhile, and every offer is made in the end."""
    with watched(dsn) as (site, probe), psycopg.connect(dsn) as holder:
        key, other = site.key(), site.key(organization="beta")
        look_up = request("GET", "/v1/visitors/v/suppressions", other)
        offers: list[Answer] = []
        looked_up: list[Answer] = []

        def attack() -> None:
            asked = [
                {"customerId": str(uuid.uuid4()), "actionMapId": SESSION, "sessionId": SESSION}
                for _ in range(60)
            ]
            holder.execute(TAKES_LOCK.encode())
            with ExitStack() as held:
                waiting = [held.enter_context(connected(site)) for _ in asked]
                for connection, one in zip(waiting, asked, strict=True):
                    connection.sendall(request("POST", "/v1/offers", key, json.dumps(one).encode()))
                until(lambda: site.service.queue_depth() > 0)
                looked_up.extend(ask_all(site, [look_up] * 20))
                holder.rollback()
                offers.extend(Answer(int(answer_of(one)[9:12])) for one in waiting)

        blocked = probe.blocked_by(attack)
        assert set(statuses(offers)) == {201}
        assert set(statuses(looked_up)) == {200}
        assert blocked < TOLERABLE


def test_very_many_streams_of_one_key_do_not_stop_the_loop(dsn: str) -> None:
    """Three hundred over a report of three thousand maps, while another organization and its own write."""
    maps = [str(uuid.uuid4()) for _ in range(3_000)]
    with watched(dsn) as (site, probe):
        lines = [json.dumps(signal(f"v{n}", one)).encode() for n, one in enumerate(maps)]
        site.service.wait(site.service.record(lines).position)
        ask = request("GET", "/v1/stream", site.key(Role.REPORTER))
        service, other = site.key(Role.SERVICE), site.key(Role.SERVICE, "beta")
        found: list[Counter[int]] = []

        def write(text: str, count: int, some_maps: list[str]) -> None:
            for _ in range(count):
                body = json.dumps([signal(str(uuid.uuid4()), one) for one in some_maps]).encode()
                assert ask_all(site, [request("POST", "/v1/signals", text, body)])[0].status == 200
                time.sleep(0.1)

        def attack() -> None:
            source = fresh_addresses()
            with ExitStack() as held:
                streams = [held.enter_context(connected(site, source=source(n))) for n in range(300)]
                for one in streams:
                    one.sendall(ask)
                found.append(Counter(int(answer_of(one)[9:12]) for one in streams))
                write(other, 10, maps[:1])
                write(service, 4, maps[:250])  # so many that the whole report is read again
            until(lambda: opened(site, ask) == 200)

        blocked = probe.blocked_by(attack)
        assert found == [Counter({200: STREAMS_OF_A_KEY, 429: 300 - STREAMS_OF_A_KEY})] * len(found)
        assert blocked < TOLERABLE


def opened(site: Site, ask: bytes) -> int:
    """The status of one more stream, which is closed at once."""
    with connected(site) as connection:
        connection.sendall(ask)
        return int(answer_of(connection)[9:12])


def test_new_action_maps_of_a_widget_key_do_not_stop_the_loop(dsn: str) -> None:
    """Three thousand in requests of a hundred, and one by one; those that are let through are few."""
    with watched(dsn) as (site, probe):

        def attack() -> list[Answer]:
            key = site.key(Role.WIDGET, f"organization-{uuid.uuid4()}")  # of which nothing is used up
            many = [[signal("v", str(uuid.uuid4())) for _ in range(100)] for _ in range(20)]
            single = [[signal("v", str(uuid.uuid4()))] for _ in range(1_000)]
            bodies = [json.dumps(one).encode() for one in [*many, *single]]
            asked = [request("POST", "/v1/signals", key, body) for body in bodies]
            return ask_all(site, asked, source=fresh_addresses())

        found: list[list[Answer]] = []
        blocked = probe.blocked_by(lambda: found.append(attack()))
        assert all(set(statuses(one)) == {200, 429} for one in found)
        ((recorded,),) = rows(dsn, "SELECT count(*) FROM offerlog_events")
        assert 1 <= recorded <= 101 * len(found)
        assert blocked < TOLERABLE


def test_refused_lines_of_a_public_key_do_not_stop_the_loop(dsn: str) -> None:
    """Four connections send nothing but those; a visitor's genuine reports are taken meanwhile."""
    with watched(dsn) as (site, probe):
        attackers: list[Counter[int]] = []
        visitors: list[Answer] = []

        def attack() -> None:
            key, source = site.key(Role.WIDGET), fresh_addresses()  # of which nothing is used up
            refused = request("POST", "/v1/signals", key, b"{}\n" * 100, kind=NDJSON)
            genuine = request("POST", "/v1/signals", key, json.dumps(signal("v", SESSION)).encode())
            found: list[Answer] = []
            for _ in range(5):
                found += ask_all(site, [refused] * 80, at_once=4, source=lambda _: source(1))
                visitors.extend(ask_all(site, [genuine] * 2, source=lambda _: source(2)))
            attackers.append(statuses(found))

        blocked = probe.blocked_by(attack)
        assert all(set(one) == {200, 429} and one[200] < 20 for one in attackers)
        assert set(statuses(visitors)) == {200}
        assert blocked < TOLERABLE


def test_a_thousand_log_ins_of_one_reporter_do_not_stop_the_loop(dsn: str) -> None:
    """From many addresses, each in its rate; who was logged in with another key stays so."""
    with watched(dsn) as (site, probe), httpx.Client(base_url=site.url, timeout=90) as other:
        assert other.post("/login", data={"key": site.key(Role.REPORTER, "beta")}).status_code == 303
        form = urlencode({"key": site.key(Role.REPORTER)}).encode()
        found: list[Answer] = []

        def attack() -> None:
            asked = [request("POST", "/login", body=form, kind=FORM)] * 1_000
            found.extend(ask_all(site, asked, source=fresh_addresses()))

        blocked = probe.blocked_by(attack)
        assert set(statuses(found)) == {303}
        assert other.get("/v1/projections").status_code == 200
        assert blocked < TOLERABLE
