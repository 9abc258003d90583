"""Who may do what: every route, with every role, in every organization."""

import json
import signal
import subprocess
import threading
import uuid
from pathlib import Path

import httpx
import pytest

from offerlog_application.ports.keys import Role, UnknownKeyError
from offerlog_infrastructure.composition import open_offerlog
from support.command_line import COMMAND_ENTRY
from support.http_site import Site
from support.keyrings import keyring_variable
from support.preloaded import preloaded
from support.processes import LimitedProcess
from support.recount import rows, until

pytest_plugins = ("support.http_site",)

MAP = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
SECRET = "visitor-of-another-tenant"  # noqa: S105 - a name to look for
KEY = "0a1b2c3d4e5f"
WEBHOOK = "/v1/webhooks/wh_7a1b2c3d4e5f6071"
READ = {Role.REPORTER, Role.ADMIN}
LOOK = {Role.SERVICE, Role.REPORTER, Role.ADMIN}
FOLLOW = {Role.SERVICE, Role.REPORTER, Role.EVENTS, Role.ADMIN}
PRIVATE = {Role.PRIVACY, Role.ADMIN}
ROUTES = {
    ("POST", "/v1/signals"): {Role.WIDGET, Role.SERVICE, Role.ADMIN},
    ("POST", "/v1/offers"): {Role.SERVICE, Role.ADMIN},
    ("POST", "/v1/suppressions:batch"): LOOK,
    ("GET", f"/v1/visitors/{SECRET}/suppressions"): LOOK,
    ("GET", f"/v1/visitors/{SECRET}/action-maps/{MAP}/eligibility"): LOOK,
    ("GET", f"/v1/visitors/{SECRET}/action-maps/{MAP}/history"): LOOK,
    ("GET", f"/v1/suppressions?customer_id={SECRET}"): LOOK,
    ("GET", f"/v1/eligibility?customer_id={SECRET}&action_map_id={MAP}"): LOOK,
    ("GET", f"/v1/history?customer_id={SECRET}&action_map_id={MAP}"): LOOK,
    ("GET", f"/v1/action-maps/{MAP}/suppressions"): LOOK,
    ("GET", f"/v1/action-maps/{MAP}/policy"): {Role.ADMIN},
    ("PUT", f"/v1/action-maps/{MAP}/policy"): {Role.ADMIN},
    ("GET", "/v1/reports/action-map-performance"): READ,
    ("GET", f"/v1/reports/action-map-performance/visitor-offers?action_map={MAP}&metric=offered"): READ,
    ("GET", "/v1/reports/action-maps"): READ,
    ("GET", "/v1/reports/funnel"): READ,
    ("GET", "/v1/reports/blocked-offers"): READ,
    ("GET", "/v1/reports/times"): READ,
    ("GET", f"/v1/visitor-offers?customer_id={SECRET}"): READ,
    ("GET", "/v1/action-maps"): READ,
    ("GET", f"/v1/timeline?customer_id={SECRET}"): READ,
    ("GET", "/v1/refusals"): READ,
    ("GET", f"/v1/visitors/{SECRET}/data"): PRIVATE,
    ("GET", f"/v1/visitor-data?customer_id={SECRET}"): PRIVATE,
    ("DELETE", f"/v1/visitors/{SECRET}"): PRIVATE,
    ("DELETE", f"/v1/visitors?customer_id={SECRET}"): PRIVATE,
    ("GET", "/v1/refusals/counts"): READ,
    ("GET", "/v1/projections"): READ,
    ("GET", "/v1/keys"): {Role.ADMIN},
    ("GET", "/v1/issued-reports"): {Role.ADMIN},
    ("GET", "/v1/keyring"): {Role.ADMIN},
    ("DELETE", "/v1/organization?organization=another"): {Role.ADMIN},
    ("POST", "/v1/keys"): {Role.ADMIN},
    ("DELETE", f"/v1/keys/{KEY}"): {Role.ADMIN},
    ("GET", "/v1/stream"): READ,
    ("GET", "/v1/events"): FOLLOW,
    ("GET", "/v1/events?identified=true"): {Role.EVENTS, Role.ADMIN},
    ("PUT", "/v1/subscriptions/a-test/cursor"): FOLLOW,
    ("GET", "/v1/subscriptions"): FOLLOW,
    ("DELETE", "/v1/subscriptions/a-test"): FOLLOW,
    ("POST", "/v1/webhooks"): {Role.ADMIN},
    ("GET", "/v1/webhooks"): {Role.ADMIN},
    ("GET", WEBHOOK): {Role.ADMIN},
    ("DELETE", WEBHOOK): {Role.ADMIN},
    ("POST", f"{WEBHOOK}/test"): {Role.ADMIN},
    ("POST", f"{WEBHOOK}/disable"): {Role.ADMIN},
    ("POST", f"{WEBHOOK}/enable"): {Role.ADMIN},
    ("POST", f"{WEBHOOK}/rotate"): {Role.ADMIN},
    ("GET", f"{WEBHOOK}/dead-letters"): {Role.ADMIN},
    ("POST", f"{WEBHOOK}/send-again"): {Role.ADMIN},
}
BODIES = {
    "/v1/signals": {"actionId": "x"},
    "/v1/offers": {
        "customerId": "v",
        "actionMapId": MAP,
        "sessionId": "5e000000-0000-4000-8000-000000000001",
    },
    "/v1/keys": {"role": "reporter"},
    f"/v1/action-maps/{MAP}/policy": {"suppress_for": {}},
    "/v1/webhooks": {"url": "https://shop.example/events"},
    "/v1/suppressions:batch": {"visitors": [{"customerId": SECRET}]},
}
ALIKE = {
    "/v1/signals",
    "/v1/offers",
    "/v1/projections",
    "/v1/stream",
    "/v1/subscriptions/a-test",
    f"/v1/keys/{KEY}",
    f"/v1/action-maps/{MAP}/policy",
    "/v1/issued-reports",
    "/v1/keyring",
    "/v1/organization?organization=another",
    WEBHOOK,
    *(f"{WEBHOOK}/{name}" for name in ("test", "disable", "enable", "rotate", "dead-letters", "send-again")),
}
"""Routes whose answers may be alike in two organizations."""
OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def ask(client: httpx.Client, method: str, path: str) -> tuple[int, str]:
    """Status and as much of the body as comes in a second."""
    with client.stream(method, path, json=BODIES.get(path)) as answer:
        if path == "/v1/stream" and answer.status_code == 200:
            lines = answer.iter_lines()
            return 200, next(lines) + next(lines)
        return answer.status_code, answer.read().decode()


@pytest.mark.parametrize("role", list(Role))
def test_every_route_with_every_role(site: Site, role: Role) -> None:
    """A role opens what it is for, and nothing else; without a key nothing opens."""
    with site.client(role) as client, httpx.Client(base_url=site.url) as nobody:
        for (method, path), roles in ROUTES.items():
            status, text = ask(client, method, path)
            assert (status != 403) is (role in roles), (path, text)
            assert status not in {401, 500}
            assert ask(nobody, method, path)[0] == 401


def test_what_is_of_a_visitor_is_not_erased_as_a_visitor(site: Site) -> None:
    """A path that another method knows is no customer id; such an id can be named in the query."""
    with site.client() as client:
        for ending in (
            "suppressions",
            "data",
            f"action-maps/{MAP}/history",
            f"action-maps/{MAP}/eligibility",
        ):
            assert client.delete(f"/v1/visitors/{SECRET}/{ending}").status_code == 405
            named = {"customer_id": f"{SECRET}/{ending}"}
            assert client.request("DELETE", "/v1/visitors", params=named).status_code == 404
        assert client.delete(f"/v1/visitors/{SECRET}/x").status_code == 404


def test_no_route_is_left_out(site: Site) -> None:
    """Whoever adds a route says above who may use it."""
    with site.client() as client:
        document = client.get("/openapi.json").json()
    paths = {
        path.partition("?")[0]
        .replace(SECRET, "{customer_id}")
        .replace(MAP, "{action_map_id}")
        .replace("a-test", "{name}")
        .replace(KEY, "{key_id}")
        .replace(WEBHOOK, "/v1/webhooks/{webhook_id}")
        for _, path in ROUTES
    }
    assert set(document["paths"]) - OPEN == paths


def test_nothing_of_one_organization_is_visible_to_another(site: Site) -> None:
    """Data in one, and every route asked with every key of the other."""
    signals = [
        {
            "actionId": "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11",
            "actionState": state,
            "actionMapId": MAP,
            "actionMapName": SECRET,
            "customerId": SECRET,
            "sessionId": "5e000000-0000-4000-8000-000000000001",
        }
        for state in ("offered", "accepted", "rejected", "nonsense")
    ]
    blocked = signals[0] | {"actionId": "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e12"}
    with site.client(organization="ours") as ours, site.client(organization="theirs") as theirs:
        site.service.wait(ours.post("/v1/signals", json=[*signals, blocked]).json()["position"])
        for method, path in ROUTES:
            seen, hidden = ask(ours, method, path)[1], ask(theirs, method, path)[1]
            assert SECRET not in hidden.replace(f'"customer_id":"{SECRET}"', ""), path
            if path not in ALIKE:
                assert seen != hidden, path
        assert theirs.get(f"/v1/visitors/{SECRET}/action-maps/{MAP}/history").json()["version"] == 0


def test_a_revoked_key_is_refused(own_site: Site) -> None:
    """At once where it was revoked; a key of another organization cannot be revoked."""
    key, text = own_site.service.keys.create("default", Role.ADMIN, "")
    headers = {"Authorization": f"Bearer {text}"}
    assert httpx.get(f"{own_site.url}/v1/projections", headers=headers).status_code == 200
    with pytest.raises(UnknownKeyError):
        own_site.service.keys.revoke("elsewhere", key.id)
    own_site.service.keys.revoke("default", key.id)
    assert httpx.get(f"{own_site.url}/v1/projections", headers=headers).status_code == 401


def test_no_key_can_be_read_from_the_store(own_site: Site, dsn: str) -> None:
    """Only a digest is kept; half a key, or another's id, opens nothing."""
    text = own_site.key()
    assert (
        text.split("_", 3)[3].encode() not in json.dumps(rows(dsn, "TABLE api_keys"), default=repr).encode()
    )
    for wrong in (text[:-1], text + "x", text.replace("admin", "widget"), "ofl_admin_x_y", "é"):
        headers = {b"Authorization": f"Bearer {wrong}".encode()}
        assert httpx.get(f"{own_site.url}/v1/projections", headers=headers).status_code == 401


def test_a_widgets_key_is_held_to_its_origins_and_rate(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preflight is answered; the key decides; too much is 429 with Retry-After."""
    url = f"{own_site.url}/v1/signals"
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert httpx.options(url, headers=asked).headers["access-control-allow-origin"] == "*"
    text = own_site.key(Role.WIDGET, origins=("https://shop.example",))
    headers = {"Authorization": f"Bearer {text}", "Origin": "https://shop.example"}
    answer = httpx.post(url, json={}, headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert httpx.post(url, json={}, headers=headers | {"Origin": "https://evil.example"}).status_code == 403
    monkeypatch.setattr("offerlog_infrastructure.http.requests.rates.time.monotonic", lambda: 1000.0)
    with httpx.Client(headers=headers) as client:
        found = [client.post(url, json={}) for _ in range(201)]
    assert found[-1].status_code == 429
    assert int(found[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("form", ["array", "ndjson"])
def test_a_widgets_key_sends_so_many_signals_at_once(site: Site, form: str) -> None:
    """Its rate is counted in requests: one that held a million signals would go around it."""
    lines = [f'{{"eventId": "{uuid.uuid4()}"}}' for _ in range(101)]

    def answer(count: int) -> httpx.Response:
        few = lines[:count]
        kind = "application/json" if form == "array" else "application/x-ndjson"
        body = f"[{','.join(few)}]" if form == "array" else "\n".join(few)
        with site.client(Role.WIDGET) as client:
            return client.post("/v1/signals", content=body, headers={"Content-Type": kind})

    refused = answer(101)
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/payload-too-large")
    assert list(site.service.refusals()) == []
    assert len(answer(100).json()["outcomes"]) == 100


def test_every_answer_has_the_security_headers(site: Site) -> None:
    """Errors and open routes too."""
    for path in ("/healthz", "/v1/projections", "/nothing"):
        headers = httpx.get(site.url + path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"


def test_told_to_stop_under_load_it_loses_nothing_acknowledged(dsn: str, tmp_path: Path) -> None:
    """SIGTERM while clients post: what was answered is in the log, and the exit code is 0."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        text = service.keys.create("default", Role.SERVICE, "")[1]
    command = [*preloaded(COMMAND_ENTRY), "serve", "--port", "0"]
    log = (tmp_path / "log").open("w")
    with log, LimitedProcess(
        command, env={"OFFERLOG_DATABASE_URL": dsn, "PATH": "", **keyring_variable()},
        stdout=subprocess.PIPE, stderr=log, text=True,
    ) as serving:  # fmt: skip
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[2]
        acknowledged: list[str] = []

        def post(worker: int) -> None:
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {text}"}) as client:
                for n in range(100_000):
                    who = f"visitor-{worker}-{n}"
                    offer = {
                        "actionId": f"{worker:08x}-0000-4000-8000-{n:012x}",
                        "actionState": "offered",
                        "actionMapId": MAP,
                        "customerId": who,
                        "sessionId": "5e000000-0000-4000-8000-000000000001",
                    }
                    try:
                        if client.post("/v1/signals", json=offer).status_code != 200:
                            return
                    except httpx.HTTPError:
                        return
                    acknowledged.append(who)

        threads = [threading.Thread(target=post, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 400)
        serving.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert serving.wait(30) == 0
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        for who in acknowledged[-400:]:
            assert service.history(customer_id=who, action_map_id=MAP).version == 1
    ((stored,),) = rows(dsn, "SELECT count(*) FROM offerlog_events")
    assert stored >= len(set(acknowledged)) == len(acknowledged)
