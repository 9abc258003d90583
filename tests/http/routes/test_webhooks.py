"""Webhooks over HTTP: what an admin may do, in the words of the command, and what a wrong request is told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from offerlog_application.ports.webhooks import WebhookAttempts, WebhookDelivery
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.webhooks import store
from offerlog_infrastructure.presentation.webhook_documents import describe_webhook_lag
from support.http_site import Site, serving
from support.receiver import Answer, Receiver, receiving

pytest_plugins = ("support.http_site",)

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def site(module_dsn: str) -> Iterator[Site]:
    """A service that may send to this machine, for all tests here."""
    with (
        open_offerlog(
            database_url=module_dsn, keep_deadlines=False, project=False, webhook_networks="127.0.0.1"
        ) as service,
        serving(service) as site,
    ):
        yield site


@pytest.fixture
def organization() -> str:
    """An organization of the test's own."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def admin(site: Site, organization: str) -> Iterator[httpx.Client]:
    """A client that may do everything in it."""
    with site.client(organization=organization) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on this machine."""
    with receiving() as running:
        yield running


def make(admin: httpx.Client, url: str, **more: Any) -> dict[str, Any]:
    """Make a webhook; the answer with its secret."""
    answer = admin.post("/v1/webhooks", json={"url": url, **more})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made: dict[str, Any] = answer.json()
    return made


def test_a_webhook_is_made_tried_changed_and_deleted(
    site: Site, admin: httpx.Client, organization: str, receiver: Receiver
) -> None:
    """Its secret is shown when it is made or rotated, and in no other answer."""
    # when
    made = make(admin, receiver.url, types=["io.offerlog.offered.v1"], after=0)
    at = f"/v1/webhooks/{made['id']}"
    tried = admin.post(f"{at}/test").json()
    receiver.answers = [Answer(410)]
    refused = admin.post(f"{at}/test").json()
    # then
    assert receiver.got[0].verify(made["secret"])["type"] == "io.offerlog.webhook-test.v1"
    assert tried | {"seconds": 0} == {"delivered": True, "status": 204, "error": None, "seconds": 0}
    assert (refused["delivered"], refused["status"]) == (False, 410)
    shown, listed = admin.get(at), admin.get("/v1/webhooks")
    (known,) = site.service.webhooks.all(organization=organization)
    assert listed.json() == {"webhooks": [describe_webhook_lag(known)]}
    assert shown.json() == {**describe_webhook_lag(known), "deliveries": []}
    assert made == {name: shown.json()[name] for name in made if name != "secret"} | {
        "secret": made["secret"],
        "types": ["offered"],
    }
    # and when
    rotated = admin.post(f"{at}/rotate", params={"keep": "12h"}).json()
    admin.post(f"{at}/test")
    # then both secrets sign
    assert len({one["secret"] for one in (made, rotated)}) == 2
    for secret in (made["secret"], rotated["secret"]):
        receiver.got[-1].verify(secret)
        assert secret not in shown.text + listed.text + admin.get(at).text
    # and when
    disabled = admin.post(f"{at}/disable").json()
    enabled = admin.post(f"{at}/enable", params={"skip": "true"}).json()
    # then
    assert (disabled["disabled_because"], enabled["disabled_at"]) == ("operator", None)
    assert admin.delete(at).json() == {"deleted": made["id"]}
    assert admin.get("/v1/webhooks").json() == {"webhooks": []}


def test_events_that_were_given_up_are_shown_and_sent_again(
    site: Site, admin: httpx.Client, receiver: Receiver
) -> None:
    """One by its position, or all of them."""
    # given
    made = make(admin, receiver.url)
    at = f"/v1/webhooks/{made['id']}"
    for position in (7, 9):
        dead = WebhookDelivery(made["id"], position, "engaged", "v1", 10, NOW, NOW, 500, "no", NOW)
        site.service.webhooks._store.note_attempts(WebhookAttempts(made["id"], NOW, failed=[dead]))
    # when
    listed = admin.get(f"{at}/dead-letters").json()["dead_letters"]
    # then
    assert [one["id"] for one in listed] == ["7", "9"]
    assert (listed[0]["dead_at"], listed[0]["next_attempt_at"]) == ("2026-11-22T10:00:00Z", None)
    assert admin.get(at).json()["deliveries"] == listed
    # and when
    wrong = admin.post(f"{at}/send-again", params={"position": 8})
    one = admin.post(f"{at}/send-again", params={"position": 9}).json()
    # then
    assert (wrong.status_code, wrong.json()["field"]) == (404, "position")
    assert one == {"webhook": made["id"], "waiting": 1}
    waiting, given_up = admin.get(at).json()["deliveries"]
    assert (waiting["id"], waiting["dead_at"], given_up["id"]) == ("9", None, "7")
    assert admin.post(f"{at}/send-again").json()["waiting"] == 1


def test_a_webhook_of_another_organization_is_not_there(
    site: Site, admin: httpx.Client, receiver: Receiver
) -> None:
    """Whatever is asked of it."""
    at = f"/v1/webhooks/{make(admin, receiver.url)['id']}"
    with site.client(organization="strangers") as stranger:
        assert stranger.get("/v1/webhooks").json() == {"webhooks": []}
        for method, path in (
            *(("GET", at), ("DELETE", at), ("GET", f"{at}/dead-letters")),
            *(("POST", f"{at}/{name}") for name in ("test", "disable", "enable", "rotate", "send-again")),
        ):
            answer = stranger.request(method, path)
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), path
    assert receiver.got == []
    assert admin.get(at).json()["disabled_at"] is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "ftp://shop.example/"}, "url"),
        ({"url": "https://shop.example:65536/"}, "url"),
        ({"types": ["nonsense"]}, "types"),
        ({"action_maps": ["x"]}, "action_maps"),
        ({"after": 10**9}, "after"),
        ({"after": -1}, "after"),
        ({"after": 2**64}, "after"),
        ({"type": "offered"}, "type"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(admin: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    """Nothing is made then."""
    answer = admin.post("/v1/webhooks", json={"url": "https://shop.example/", **wrong})
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert not answer.json()["detail"].startswith(f"{field}:")
    assert admin.get("/v1/webhooks").json() == {"webhooks": []}


def test_what_is_too_much_is_refused(
    admin: httpx.Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More webhooks than an organization may have, a second test beside the first, a secret for ever."""
    monkeypatch.setattr(store, "MOST_ENDPOINTS", 1)
    at = f"/v1/webhooks/{make(admin, receiver.url)['id']}"
    too_many = admin.post("/v1/webhooks", json={"url": receiver.url})
    assert (too_many.status_code, too_many.json()["type"]) == (409, "/problems/too-many-webhooks")
    for keep in ("31d", "soon", "-1"):
        assert admin.post(f"{at}/rotate", params={"keep": keep}).json()["field"] == "keep"
    receiver.held.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(admin.post, f"{at}/test")
        receiver.await_requests(1)
        second = admin.post(f"{at}/test")
        receiver.held.set()
        assert first.result(timeout=20).json()["delivered"]
    assert (second.status_code, second.headers["retry-after"]) == (429, "20")
    assert admin.post(f"{at}/test").json()["delivered"]
