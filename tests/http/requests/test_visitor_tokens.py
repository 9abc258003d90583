"""A page asks for an offer: for the visitor of its token alone, from its origins, at a public key's rates."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from offerlog_application.ports.keys import Role
from support.http_site import Site
from support.recount import rows
from support.visitor_tokens import part, token

pytest_plugins = ("support.http_site",)

ORIGIN = "https://shop.example"
MAP = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
SESSION = "5e000000-0000-4000-8000-000000000001"

Ask = Callable[..., httpx.Response]


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def page_key(site: Site, *origins: str) -> str:
    """The text of a new page key."""
    return site.key(Role.PAGE, origins=origins or (ORIGIN,))


@pytest.fixture
def ask(site: Site) -> Iterator[Ask]:
    """Ask for an offer to the visitor `v` as a page does, with this text in place of a key."""
    with httpx.Client(timeout=30) as browser:

        def ask_once(text: str, origin: str | None = ORIGIN, **more: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {text}"} | ({"Origin": origin} if origin else {})
            asked = {"customerId": "v", "actionMapId": MAP, "sessionId": SESSION} | more
            return browser.post(f"{site.url}/v1/offers", json=asked, headers=headers)

        yield ask_once


def test_a_page_gets_its_offer_recorded_and_learns_no_more_than_the_reason(site: Site, ask: Ask) -> None:
    """Offered once; the same action again is the same answer; then blocked, without state, time or action."""
    # given
    key, action = page_key(site), str(uuid.uuid4())
    page = token(key, {"customerId": "v"})
    # when
    first, again, other = (ask(page, actionId=one) for one in (action, action, None))
    # then
    assert (first.status_code, again.json()) == (201, first.json())
    assert first.headers["access-control-allow-origin"] == "*"
    assert other.json() == {
        "decision": "blocked",
        "action_id": None,
        "reason": "already_open",
        "state": None,
        "since": None,
        "blocking_action_id": None,
    }
    (event,) = site.service.history(customer_id="v", action_map_id=MAP).events
    assert event.action_id == action
    # when the visitor has answered
    with site.client(Role.SERVICE) as service:
        rejected = {"actionId": action, "actionState": "rejected", "actionMapId": MAP, "customerId": "v"}
        service.post("/v1/signals", json=rejected | {"sessionId": SESSION})
    # then
    assert ask(page).json() == other.json() | {"reason": "terminal_state"}


def test_a_token_opens_nothing_else(site: Site, ask: Ask) -> None:
    """Not another visitor, another origin, or another route; nor does the page key itself."""
    key = page_key(site)
    page = token(key, {"customerId": "v"})
    assert ask(page, customerId="w").json()["detail"] == "the visitor token is for another visitor"
    assert ask(page, customerIdType="email").status_code == 403
    assert ask(page, origin=None).json()["field"] == "Origin"
    evil = ask(page, origin="https://evil.example")
    assert evil.json()["detail"] == "this key is not for use from https://evil.example"
    assert evil.headers["access-control-allow-origin"] == "*"  # so that the page's console can show it
    assert "signs visitor tokens" in ask(key).json()["detail"]
    for path in ("/v1/suppressions?customer_id=v", f"/v1/history?customer_id=v&action_map_id={MAP}"):
        answer = httpx.get(f"{site.url}{path}", headers={"Authorization": f"Bearer {page}"})
        assert answer.status_code == 401
        assert answer.json()["detail"].startswith("a visitor token is for POST /v1/offers alone")
    assert not site.service.history(customer_id="v", action_map_id=MAP).known
    preflight = httpx.options(f"{site.url}/v1/offers", headers={"Origin": ORIGIN})
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "POST")


def test_only_a_whole_token_of_a_valid_key_is_accepted(site: Site, ask: Ask) -> None:
    """Forged, spoiled, expired, endless and foreign ones are 401, with the reason, and record nothing."""
    now = int(time.time())
    key, visitor = page_key(site), {"customerId": "v"}
    good = token(key, visitor)
    head, claims, signature = good.split(".")
    service_key = site.key(Role.SERVICE)
    wrong = {
        "its signature is wrong": [
            f"{head}.{part({'customerId': 'w', 'exp': now + 60})}.{signature}",
            f"{head}.{claims}.{signature[:-2]}",
            token(key[:-1] + ("A" if key[-1] != "A" else "B"), visitor),
        ],
        "only the algorithm HS256": [
            token(key, visitor, {"alg": "none"}),
            token(key, visitor, {"alg": "RS256"}),
            token(key, visitor, {"crit": ["exp"]}),
        ],
        "unknown, revoked or expired": [
            token(service_key, visitor),
            token("ofl_page_000000000000_x", visitor),
            token("ofl_page_\0_x", visitor),
        ],
        "not a JSON Web Token": ["a.b", "a.b.c.d", "..", f"{head}.{claims}.", f"{good}{'A' * 9000}"],
        "its header needs": [f"{part([])}.{claims}.{signature}", f"a.{claims}.{signature}"],
        "its claims cannot be read": [
            token(key, one) for one in ({}, {"customerId": 7}, visitor | {"exp": "x"})
        ],
        "customerId": [token(key, {"customerId": ""}), token(key, {"customerId": "x" * 257})],
        "it has expired": [token(key, visitor | {"exp": now - 61})],
        "at most a day": [token(key, visitor | {"exp": now + 90_000}), token(key, visitor | {"exp": 1e300})],
        "not valid yet": [token(key, visitor | {"nbf": now + 600})],
        'another "aud"': [token(key, visitor | {"aud": "elsewhere"})],
    }  # fmt: skip
    for cause, tokens in wrong.items():
        for one in tokens:
            answer = ask(one)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), cause
            assert cause in answer.json()["detail"]
    assert not site.service.history(customer_id="v", action_map_id=MAP).known
    longest = {"customerId": "\U0001f600" * 256}
    assert ask(token(key, longest | {"aud": ["offerlog"], "nbf": now}), **longest).is_success
    site.service.keys.revoke(site.organization, key.split("_")[2])  # on another service: seconds later
    while ask(good).status_code != 401:
        assert time.time() < now + 30
        time.sleep(0.25)


def test_a_page_is_held_to_the_rates_of_the_public(
    site: Site, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each visitor, each address, each key; and it brings up few new action maps."""
    monkeypatch.setattr("offerlog_infrastructure.http.requests.rates.time.monotonic", lambda: 1000.0)

    def asked(customer: str, action_map: str = MAP) -> httpx.Response:
        page = token(page_key(site), {"customerId": customer})  # a new key: its own rate is not used up
        return ask(page, customerId=customer, actionMapId=action_map)

    maps = [asked(f"visitor-{n}", str(uuid.uuid4())) for n in range(21)]
    assert [one.status_code for one in maps] == [201] * 20 + [429]
    many = [asked("v", "nonsense") for _ in range(61)]
    assert [one.status_code for one in many] == [400] * 60 + [429]
    assert "to this visitor" in many[-1].json()["detail"]
    key = page_key(site)
    flood = [ask(token(key, {"customerId": f"v{n}"}), customerId="x") for n in range(41)]
    assert [one.status_code for one in flood] == [403] * 40 + [429]
    assert "from this address" in flood[-1].json()["detail"]


def test_a_copy_of_the_database_signs_no_token(site: Site, ask: Ask, module_dsn: str) -> None:
    """Neither the secret nor anything that can take its place is stored."""
    text = page_key(site)
    ((digest,),) = rows(module_dsn, "SELECT digest FROM api_keys WHERE id = %s", text.split("_")[2])
    for secret in (bytes(digest), bytes(digest).hex().encode()):
        signed = token(text, {"customerId": "v"}, secret=secret)
        assert "its signature is wrong" in ask(signed).json()["detail"]
    assert text.split("_", 3)[3] not in repr(rows(module_dsn, "TABLE api_keys"))
