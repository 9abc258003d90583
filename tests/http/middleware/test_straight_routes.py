"""Straight routes answer as the framework's do: status, headers and body, for good requests and bad ones."""

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.http.middleware.straight_routes import StraightRoute, StraightRoutes
from support.http_site import serving
from support.visitor_tokens import token

MAP, SESSION = str(UUID(int=1)), str(UUID(int=2))
JSON = {"Content-Type": "application/json"}
OFFER = {"customerId": "v", "actionMapId": MAP, "sessionId": SESSION}
SIGNAL = OFFER | {"actionId": str(UUID(int=3)), "actionState": "offered"}
LOOK_UP = "/v1/visitors/v/suppressions"
VARYING = {"date", "x-request-id"}
"""Headers that differ from answer to answer."""

Request = tuple[str, str, dict[str, str], bytes]
"""Method, path with query, headers and body."""


@dataclass
class Ways:
    """One service, served twice: with the straight routes, and by the framework alone.

    Attributes:
        straight: A client of the first.
        framework: A client of the second.
        keys: A key of each role.
    """

    straight: httpx.Client
    framework: httpx.Client
    keys: dict[str, str]

    def ask(self, request: Request) -> tuple[Any, Any]:
        """Ask both ways; returns what is to be the same."""
        return _shown(self.straight, request), _shown(self.framework, request)

    def headers(self, role: str = Role.ADMIN.value) -> dict[str, str]:
        """The headers of a key with a role."""
        return {"Authorization": f"Bearer {self.keys[role]}"}


def _shown(client: httpx.Client, request: Request) -> Any:
    method, path, headers, body = request
    answer = client.request(method, path, headers=headers, content=body or None)
    text = answer.text
    if answer.headers.get("content-type", "").startswith("application/json") and method != "HEAD":
        document = answer.json()
        for varying in ("position", "age_seconds"):
            if varying in document:
                document[varying] = "varies"
        text = json.dumps(document)  # in the order of the answer
    kept = [(name, value) for name, value in answer.headers.multi_items() if name not in VARYING]
    if text != answer.text or (method == "HEAD" and answer.is_success):  # the length follows the position
        kept = [one for one in kept if one[0] != "content-length"]
    return answer.status_code, kept, text


def _without_straight_routes(app: FastAPI) -> None:
    before = len(app.user_middleware)
    kept = [one for one in app.user_middleware if getattr(one.cls, "__name__", "") != StraightRoutes.__name__]
    app.user_middleware[:] = kept
    assert len(app.user_middleware) == before - 1


@pytest.fixture
def ways(dsn: str) -> Iterator[Ways]:
    """Both ways to one service, with a visitor who has turned an offer down."""
    with ExitStack() as held:
        service = held.enter_context(open_offerlog(database_url=dsn, keep_deadlines=False))
        service.wait(service.record([SIGNAL, SIGNAL | {"actionState": "rejected"}]).position)
        straight = held.enter_context(serving(service))
        framework = held.enter_context(serving(service, _without_straight_routes))
        keys = {role.value: straight.key(role) for role in Role} | {
            "of one site": straight.key(Role.WIDGET, origins=("https://shop.example",))
        }
        clients = [httpx.Client(base_url=one.url, timeout=30) for one in (straight, framework)]
        yield Ways(held.enter_context(clients[0]), held.enter_context(clients[1]), keys)


def encoded(document: Any) -> bytes:
    """A JSON body."""
    return json.dumps(document).encode()


CASES: dict[str, Request] = {
    "a signal that is known": ("POST", "/v1/signals", JSON, encoded(SIGNAL)),
    "several signals": ("POST", "/v1/signals", JSON, encoded([SIGNAL, {}, 7])),
    "no signals": ("POST", "/v1/signals", JSON, b"[]"),
    "lines": ("POST", "/v1/signals", {"Content-Type": "application/x-ndjson"}, encoded(SIGNAL) + b"\n{no\n"),
    "lines for lines": (
        "POST",
        "/v1/signals",
        {"Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"},
        encoded(SIGNAL) + b"\n\n{no\n",
    ),
    "a packed signal": (
        "POST",
        "/v1/signals",
        JSON | {"Content-Encoding": "gzip"},
        gzip.compress(encoded(SIGNAL)),
    ),
    "what is not packed": ("POST", "/v1/signals", JSON | {"Content-Encoding": "gzip"}, b"plain"),
    "another packing": ("POST", "/v1/signals", JSON | {"Content-Encoding": "br"}, b"x"),
    "an empty body": ("POST", "/v1/signals", JSON, b""),
    "two values": ("POST", "/v1/signals", JSON, b"{}{}"),
    "UTF-16": ("POST", "/v1/signals", JSON, "{}".encode("utf-16")),
    "another type": ("POST", "/v1/signals", {"Content-Type": "text/xml"}, b"<x/>"),
    "a beacon without its key": ("POST", "/v1/signals", {"Content-Type": "text/plain"}, b"{}\n{}"),
    "a parameter that signals ignore": ("POST", "/v1/signals?x=1", JSON, encoded(SIGNAL)),
    "a line feed behind the path": ("POST", "/v1/signals%0A", JSON, encoded(SIGNAL)),
    "a method that signals do not have": ("PUT", "/v1/signals", JSON, b"{}"),
    "a preflight request": ("OPTIONS", "/v1/signals", {"Origin": "https://shop.example"}, b""),
    "an offer that is blocked": ("POST", "/v1/offers", JSON, encoded(OFFER)),
    "an offer with another map": ("POST", "/v1/offers", JSON, encoded(OFFER | {"actionMapId": "none"})),
    "an offer without a visitor": ("POST", "/v1/offers", JSON, encoded({})),
    "an offer with a misspelt field": ("POST", "/v1/offers", JSON, encoded(OFFER | {"actionid": MAP})),
    "an offer with a time-out of no time": (
        "POST",
        "/v1/offers",
        JSON,
        encoded(OFFER | {"timeoutSeconds": 0}),
    ),
    "an offer of another type": ("POST", "/v1/offers", {"Content-Type": "text/plain"}, encoded(OFFER)),
    "an offer that is no JSON": ("POST", "/v1/offers", JSON, b"{no"),
    "an offer with too many fields": ("POST", "/v1/offers", JSON, b'"' + b":" * 20_001 + b'"'),
    "an offer with a parameter": ("POST", "/v1/offers?dry_run=1", JSON, encoded(OFFER)),
    "an offer that is got": ("GET", "/v1/offers", {}, b""),
    "a look-up": ("GET", LOOK_UP, {}, b""),
    "a look-up without a body": ("HEAD", LOOK_UP, {}, b""),
    "a look-up of nobody": ("GET", "/v1/visitors//suppressions", {}, b""),
    "a look-up of somebody unknown": ("GET", "/v1/visitors/nobody/suppressions", {}, b""),
    "a look-up by another type": ("GET", f"{LOOK_UP}?customer_id_type=email", {}, b""),
    "a look-up by no type": ("GET", f"{LOOK_UP}?customer_id_type=", {}, b""),
    "a look-up by two types": ("GET", f"{LOOK_UP}?customer_id_type=a&customer_id_type=b", {}, b""),
    "a look-up with a misspelt parameter": ("GET", f"{LOOK_UP}?type=email", {}, b""),
    "a look-up of a long id": ("GET", f"/v1/visitors/{'v' * 257}/suppressions", {}, b""),
    "a look-up that is not UTF-8": ("GET", "/v1/visitors/%FF/suppressions", {}, b""),
    "a look-up of a line feed": ("GET", "/v1/visitors/v%0A/suppressions", {}, b""),
    "a line feed behind a look-up": ("GET", f"{LOOK_UP}%0A", {}, b""),
    "a look-up that is posted": ("POST", LOOK_UP, JSON, b"{}"),
    "a look-up by the query": ("GET", "/v1/suppressions?customer_id=v", {}, b""),
    "one by the query and type": ("GET", "/v1/suppressions?customer_id=v&customer_id_type=cookie", {}, b""),
    "one by the query of nobody": ("GET", "/v1/suppressions?customer_id=", {}, b""),
    "one by the query without anybody": ("GET", "/v1/suppressions", {}, b""),
    "one by the query with a stranger": ("GET", "/v1/suppressions?customer=v", {}, b""),
    "one by the query of two": ("GET", "/v1/suppressions?customer_id=v&customer_id=w", {}, b""),
}


def test_both_ways_give_the_same_answer(ways: Ways) -> None:
    """With the rights of an admin: to good requests, to bad ones, and to those that are not straight."""
    statuses = set()
    for name, (method, path, headers, body) in CASES.items():
        straight, framework = ways.ask((method, path, headers | ways.headers(), body))
        assert straight == framework, name
        statuses.add(straight[0])
    assert statuses == {200, 204, 400, 404, 405, 415}


def test_both_ways_give_the_same_rights(ways: Ways) -> None:
    """To every role, to a key of one site from another, to a key that is not known, and to nobody."""
    callers = [ways.headers(role) for role in ways.keys]
    callers += [one | {"Origin": "https://elsewhere.example"} for one in callers]
    callers += [{}, {"Authorization": "Bearer ofl_admin_0a1b2c3d4e5f_x"}, {"Authorization": "Basic x"}]
    tokens = [token(ways.keys[Role.PAGE.value], {"customerId": one}) for one in ("v", "another visitor")]
    callers += [{"Authorization": f"Bearer {one}"} for one in [*tokens, "no.token.this"]]
    for path, body in (
        ("/v1/signals", SIGNAL),
        ("/v1/offers", OFFER),
        (LOOK_UP, None),
        ("/v1/suppressions?customer_id=v", None),
    ):
        statuses = set()
        for caller in callers:
            request = (
                ("GET", path, caller, b"") if body is None else ("POST", path, JSON | caller, encoded(body))
            )
            straight, framework = ways.ask(request)
            assert straight == framework, (path, caller)
            statuses.add(straight[0])
        assert statuses == {200, 401, 403}


def test_a_new_offer_is_made_either_way(ways: Ways) -> None:
    """The ids differ, and nothing else."""
    answers = [
        client.post("/v1/offers", json=OFFER | {"customerId": str(uuid4())}, headers=ways.headers())
        for client in (ways.straight, ways.framework)
    ]
    assert [(one.status_code, one.headers["content-length"]) for one in answers] == [
        (201, answers[0].headers["content-length"])
    ] * 2
    assert [one.json() | {"action_id": None} for one in answers] == [
        dict.fromkeys(answers[0].json()) | {"decision": "offered"}
    ] * 2


TEXTS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=5), st.just(MAP))
PARAMETERS = st.lists(
    st.tuples(st.sampled_from(["customer_id", "customer_id_type", "x"]), st.text(max_size=3)), max_size=3
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offer=st.dictionaries(st.sampled_from([*OFFER, "actionId", "timeoutSeconds", "x"]), TEXTS, max_size=4),
    parameters=PARAMETERS,
)
def test_both_ways_give_the_same_answer_to_anything(
    ways: Ways, offer: dict[str, Any], parameters: list[tuple[str, str]]
) -> None:
    """Bodies of offers and signals with fields changed, and look-ups with any parameters."""
    query = urlencode(parameters)
    headers = ways.headers()
    for request in (
        ("POST", "/v1/offers", JSON | headers, encoded(OFFER | offer)),
        ("POST", "/v1/signals", JSON | headers, encoded(SIGNAL | offer)),
        ("GET", f"{LOOK_UP}?{query}", headers, b""),
        ("GET", f"/v1/suppressions?{query}", headers, b""),
    ):
        ways.ask(
            request
        )  # from the second time on, a signal or an offer is known, and its answer stays the same
        straight, framework = ways.ask(request)
        assert straight == framework, request


def test_a_route_that_needs_more_than_text_is_not_served_straight() -> None:
    """It is noticed when the application is made, and not by a request."""
    router = APIRouter()

    @router.get("/numbers")
    async def numbers(request: Any, limit: int) -> None:
        del request, limit

    (route,) = router.routes
    assert isinstance(route, APIRoute)
    with pytest.raises(TypeError, match="/numbers cannot be served straight"):
        StraightRoute(route)
