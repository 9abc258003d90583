"""What a public key can do: little at a time, to nobody's harm, and without learning about a visitor."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.requests.widget_maps import WidgetMaps
from offerlog_infrastructure.http.state import install_state, state_of_app
from offerlog_infrastructure.settings import Settings
from support.http_site import Site, served
from support.recount import rows

pytest_plugins = ("support.http_site",)

MAP = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
SESSION = "5e000000-0000-4000-8000-000000000001"
ACTION = "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11"


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def signal(state: str = "offered", action: str = ACTION, **more: Any) -> dict[str, Any]:
    """A signal of the visitor `v`."""
    fields = {"actionId": action, "actionState": state, "actionMapId": MAP, "customerId": "v"}
    return fields | {"sessionId": SESSION} | more


def from_address(site: Site, address: str, text: str) -> httpx.Client:
    """A client of this key that calls from another address of this machine."""
    transport = httpx.HTTPTransport(local_address=address)
    headers = {"Authorization": f"Bearer {text}"}
    return httpx.Client(base_url=site.url, headers=headers, transport=transport, timeout=30)


PASTS = {
    "nothing": [],
    "the offer turned down": [
        signal(action=str(uuid.UUID(int=1))),
        signal("rejected", str(uuid.UUID(int=1))),
    ],
    "an open offer": [signal(action=str(uuid.UUID(int=1)))],
    "the same action": [signal()],
    "the same action, over": [signal(), signal("rejected")],
    "the same action, refused": [signal(action=str(uuid.UUID(int=1))), signal()],
    "another signal of that event id": [signal(eventId=SESSION, errorCode="1")],
}
ASKED = [
    signal(eventId=SESSION),
    signal("accepted"),
    signal("engaged"),
    signal("timedout", action=str(uuid.UUID(int=9))),
]


def test_no_answer_tells_of_the_visitors_past(make_dsn: Callable[[], str]) -> None:
    """The same signals to stores with every past there is: the same answer, header for header."""
    answers = {}
    for name, past in PASTS.items():
        with (
            served(make_dsn()) as site,
            site.client(Role.SERVICE) as service,
            site.client(Role.WIDGET) as widget,
        ):
            if past:
                assert service.post("/v1/signals", json=past).status_code == 200
            for form in ("json", "x-ndjson"):
                body = json.dumps(ASKED) if form == "json" else "\n".join(map(json.dumps, ASKED))
                kind = {"Content-Type": f"application/{form}"}
                answer = widget.post("/v1/signals", content=body, headers=kind)
                headers = {k: v for k, v in answer.headers.items() if k not in {"x-request-id", "date"}}
                answers[name, form] = answer.status_code, headers, answer.text
    assert len(set(map(str, answers.values()))) == 1
    ((_, _, text), *_) = answers.values()
    document = json.loads(text)
    assert document["position"] is None
    assert [one["outcome"] for one in document["outcomes"]] == ["received"] * 4
    assert {one["reason"] for one in document["outcomes"]} == {None}


def test_a_service_key_still_learns_everything(site: Site) -> None:
    """Only public keys are answered so."""
    with site.client(Role.SERVICE) as service:
        answer = service.post("/v1/signals", json=[signal(), signal(), signal("engaged")]).json()
        assert [one["outcome"] for one in answer["outcomes"]] == ["recorded", "duplicate", "parked"]
        assert answer["position"] is not None


def test_reasons_of_the_signal_itself_stay(site: Site) -> None:
    """Its sender can mend those; the browser module sends one of them again."""
    asked = [
        signal(customerId=7),
        signal("completed"),
        signal(createdDate="2126-01-01T00:00:00Z"),
        signal(createdDate="1999-01-01T00:00:00Z"),
    ]
    with site.client(Role.WIDGET) as widget:
        outcomes = widget.post("/v1/signals", json=asked).json()["outcomes"]
    assert [(one["outcome"], one["reason"]) for one in outcomes] == [
        ("refused", "malformed"),
        ("refused", "not_tracked"),
        ("refused", "from_the_future"),
        ("refused", "too_old"),
    ]
    assert outcomes[0]["field"] == "customerId"


def test_one_address_does_not_use_up_the_key(site: Site) -> None:
    """Four connections send rubbish with the site's public key; all visitors' reports are taken meanwhile."""
    text = site.key(Role.WIDGET)
    over, statuses = threading.Event(), set[int]()

    def flood() -> None:
        with from_address(site, "127.0.0.1", text) as client:
            while not over.is_set():
                statuses.add(client.post("/v1/signals", content=b"{}").status_code)

    attackers = [threading.Thread(target=flood) for _ in range(4)]
    for one in attackers:
        one.start()
    try:
        with from_address(site, "127.0.0.2", text) as visitor:
            answers = [visitor.post("/v1/signals", json=signal()).status_code for _ in range(30)]
    finally:
        over.set()
        for one in attackers:
            one.join(30)
    assert set(answers) == {200}
    assert statuses == {200, 429}


def test_lines_refused_for_what_they_say_cost_as_much_as_requests(site: Site) -> None:
    """Two requests of a hundred unreadable lines are more than an address has."""
    with site.client(Role.WIDGET) as widget:
        found = [widget.post("/v1/signals", json=[7] * 100).status_code for _ in range(2)]
        assert found == [200, 429]


@pytest.fixture
def few_maps(dsn: str) -> Iterator[Site]:
    """The service, where widget keys bring up ten action maps an hour, and one address two of them."""

    def prepare(app: FastAPI) -> None:
        state = state_of_app(app)
        few = WidgetMaps(
            state.service.changes.known_maps,
            state.threads.look_ups,
            Settings(widget_new_maps=10).widget_new_maps,
        )
        install_state(app, replace(state, widget_maps=few))

    with served(dsn, prepare=prepare) as site:
        yield site


def test_new_action_maps_are_bounded(few_maps: Site, dsn: str) -> None:
    """By address and in all; known ones go on; nothing of a refused request is kept."""
    new = [signal(action=str(uuid.uuid4()), actionMapId=str(uuid.uuid4())) for _ in range(12)]
    text = few_maps.key(Role.WIDGET)
    with (
        from_address(few_maps, "127.0.0.1", text) as first,
        from_address(few_maps, "127.0.0.2", text) as second,
    ):
        assert [first.post("/v1/signals", json=one).status_code for one in new[:3]] == [200, 200, 429]
        refused = first.post("/v1/signals", json=[signal(), new[4]])
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/rate-limited")
        assert int(refused.headers["retry-after"]) > 1_000
        assert "send the first signal of a new action map with a service key" in refused.json()["detail"]
        assert rows(dsn, "SELECT count(*) FROM offerlog_events") == [(2,)]
        # known ones, from anywhere
        assert first.post("/v1/signals", json=new[:2]).status_code == 200
        assert [second.post("/v1/signals", json=one).status_code for one in (*new[:2], new[5])] == [200] * 3
        # announced by a service key
        with few_maps.client(Role.SERVICE) as service:
            few_maps.service.wait(service.post("/v1/signals", json=new[6:]).json()["position"])
        assert first.post("/v1/signals", json=new[6:]).status_code == 200


@pytest.mark.parametrize(
    "hidden",
    [
        '{{"x": NaN, "actionMapId": "{new}", {rest}}}',
        '{{"actionMapId": "{new}", "webActionEvent": {{"actionMap": {{"id": "{known}"}}}}, {rest}}}',
        '{{"actionMapId": "{known}", "actionMapId": "{new}", {rest}}}',
        '{{"actionMapId": "{upper}", {rest}}}',
        '{{"eventBody": {{"actionMapId": "{new}", {rest}}}}}',
        (
            '{{"id": "{action}", "eventType": "BlockedWebActionOfferEvent", "customerId": "v",'
            ' "blockedWebActionOfferEvent": {{"actionMap": {{"id": "{new}"}}, "blockingReason": "Unknown"}}}}'
        ),
    ],
)
def test_a_new_action_map_cannot_be_hidden(few_maps: Site, hidden: str) -> None:
    """However the signal is written: what is recorded has been counted."""
    with few_maps.client(Role.WIDGET) as widget:
        assert widget.post("/v1/signals", json=signal()).status_code == 200
        statuses = []
        for _ in range(3):
            new, action = str(uuid.uuid4()), str(uuid.uuid4())
            rest = json.dumps(
                {"actionId": action, "actionState": "offered", "customerId": "v", "sessionId": SESSION}
            )[1:-1]
            body = hidden.format(new=new, upper=new.upper(), known=MAP, rest=rest, action=action)
            answer = widget.post("/v1/signals", content=body)
            statuses.append(answer.status_code)
        assert statuses == [200, 429, 429]
