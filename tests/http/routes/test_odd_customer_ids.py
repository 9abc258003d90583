"""A customer id is any text of 1 to 256 characters, and every route answers about every such text."""

import http.client
import json
import uuid
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from offerlog_application.ports.keys import Role
from support.http_site import Site

pytest_plugins = ("support.http_site",)

MAP = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
ODD = {
    "a dot": ".",
    "two dots": "..",
    "dots within": "a/../b",
    "a line feed": "one\ntwo",
    "a line feed at the end": "one\n",
    "a slash": "/",
    "an escaped slash": "%2F",
    "an escape that is none": "100%",
    "the end of a route": "v/suppressions",
    "a whole route": f"v/action-maps/{MAP}/history",
    "what begins a query": "v?customer_id=w",
    "what begins a fragment": "v#w",
    "a backslash": "v\\w",
    "plus and ampersand": "v+w&x=y;z",
    "blanks": " v w ",
    "umlauts": "Jürgen",
    "an override of direction": "v\u202ew",
    "a null character": "v\x00w",
    "controls": "v\x1b[31m\x07\x7f\x9b\u2028w",
    "the longest": "\U0001f600" * 256,
}


@pytest.fixture
def site(shared_site: Site) -> Site:
    """One service for all tests here, and an organization for each."""
    return shared_site


def signals(customer: str) -> list[dict[str, Any]]:
    """An offer turned down."""
    action = str(uuid.uuid4())
    ids = {"actionId": action, "actionMapId": MAP, "sessionId": action, "customerId": customer}
    return [ids | {"actionState": state} for state in ("offered", "rejected")]


def raw(site: Site, path: str) -> Any:
    """Ask for a path exactly as it stands; clients of HTTP take `.` and `..` out of it."""
    connection = http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {site.key(Role.REPORTER)}"})
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status, answer.read())
        return json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("customer", ODD.values(), ids=ODD.keys())
def test_every_route_answers_about_an_odd_customer_id(site: Site, customer: str) -> None:
    """Recorded, asked for in the query, in the path and in a body, listed, and offered to."""
    # given
    with site.client() as admin:
        recorded = admin.post("/v1/signals", json=[*signals(customer), *signals("somebody else")]).json()
        assert {one["outcome"] for one in recorded["outcomes"]} == {"recorded"}
        site.service.wait(recorded["position"])
        # when
        who = {"customer_id": customer}
        pair = who | {"action_map_id": MAP}
        encoded = quote(customer, safe="")
        path = f"/v1/visitors/{encoded}"
        found = [
            admin.get("/v1/suppressions", params=who).json()["suppressions"],
            raw(site, f"{path}/suppressions")["suppressions"],
            admin.post("/v1/suppressions:batch", json={"visitors": [{"customerId": customer}]}).json()[
                "visitors"
            ][0]["suppressions"],
        ]
        why = [
            admin.get("/v1/eligibility", params=pair).json(),
            raw(site, f"{path}/action-maps/{MAP}/eligibility"),
        ]
        past = [
            admin.get("/v1/history", params=pair).json(),
            raw(site, f"{path}/action-maps/{MAP}/history"),
            admin.get("/v1/history", params=pair | {"version": 2}).json(),
        ]
        of_map = admin.get(f"/v1/action-maps/{MAP}/suppressions", params={"limit": 1}).json()
        rest = admin.get(
            f"/v1/action-maps/{MAP}/suppressions", params={"cursor": of_map["next_cursor"]}
        ).json()
        offer = admin.post("/v1/offers", json={"customerId": customer, "actionMapId": MAP, "sessionId": MAP})
    # then
    assert [[one["customer_id"] for one in each] for each in found] == [[customer]] * 3
    assert [(each["eligible"], each["reason"]) for each in why] == [(False, "terminal_state")] * 2
    assert [[event["event"] for event in each["events"]] for each in past] == [["offered", "rejected"]] * 3
    listed = [one["customer_id"] for one in of_map["items"] + rest["items"]]
    assert sorted(listed) == sorted([customer, "somebody else"])
    assert offer.json()["reason"] == "terminal_state"


@pytest.mark.parametrize("path", ["/v1/suppressions", "/v1/eligibility", "/v1/history"])
def test_a_question_without_a_visitor_names_what_is_missing(admin: httpx.Client, path: str) -> None:
    """And one that names two visitors is refused, as any question that can be read in two ways."""
    missing = admin.get(path, params={"action_map_id": MAP} if path != "/v1/suppressions" else {})
    two = admin.get(
        f"{path}?{urlencode([('customer_id', 'v'), ('customer_id', 'w'), ('action_map_id', MAP)])}"
    )
    assert (missing.status_code, missing.json()["field"]) == (400, "customer_id")
    assert two.status_code == 400


def test_a_line_feed_behind_a_route_is_no_part_of_it(admin: httpx.Client) -> None:
    """The address names nothing."""
    assert admin.get("/v1/visitors/v/suppressions").status_code == 200
    assert admin.get("/v1/visitors/v/suppressions%0A").status_code == 404
