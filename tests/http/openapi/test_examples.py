"""The examples of the OpenAPI document, told as one story, and the errors, each provoked."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.recording.submissions import OverloadedError
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.testing.clock import SettableClock
from support.http_site import Site, served

pytest_plugins = ("support.http_site",)

Document = dict[str, Any]
WRITING = ("recordSignals", "makeOffer")
UNSHOWN = {"stream", "events", "visitorData", "visitorDataOf", "eraseVisitorOf", "deleteSubscription"}
UNSHOWN |= {"listWebhooks", "createWebhook", "showWebhook", "deleteWebhook", "testWebhook", "disableWebhook"}
UNSHOWN |= {"enableWebhook", "rotateWebhook", "deadLettersOfWebhook", "sendAgain"}
UNSHOWN |= {"listKeys", "createKey", "revokeKey", "keyring", "issuedReports", "deleteOrganization"}
"""What has no JSON answer, ids of chance in it, or erases who is erased already; other tests read it."""


@pytest.fixture
def site(dsn: str) -> Iterator[Site]:
    """The service at the moment of the examples."""
    clock = SettableClock(datetime.fromisoformat(examples.NOW))
    with served(dsn, clock=clock) as site:
        yield site


@pytest.fixture
def document(admin: httpx.Client) -> Document:
    """The document as it is served."""
    found: Document = admin.get("/openapi.json").json()
    return found


def operations(document: Document) -> dict[str, tuple[str, str, Document]]:
    """Method, path and description of every operation, those that write first."""
    found = {
        one["operationId"]: (method, path, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    return {name: found.pop(name) for name in WRITING} | found


def shown(content: Document) -> dict[str, Any]:
    """The examples of a body, by name."""
    return {
        name: one["value"] for name, one in content.get("application/json", {}).get("examples", {}).items()
    }


def asked(admin: httpx.Client, method: str, path: str, operation: Document, body: Any) -> httpx.Response:
    """Send a request with the parameters that are shown."""
    query = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        elif parameter.get("required"):
            query[parameter["name"]] = parameter["example"]
    return admin.request(method, path, params=query, **({"json": body} if body is not None else {}))


def test_every_example_is_true(site: Site, admin: httpx.Client, document: Document) -> None:
    """Sent in order to an empty store, each request gets the answer of its name, field for field."""
    for name, (method, path, operation) in operations(document).items():
        if name == "suppressionsOfVisitor":
            site.service.catch_up()  # from here on it is told what was written
        bodies = shown(operation.get("requestBody", {}).get("content", {}))
        answers = {
            each: (int(status), answer)
            for status, response in operation["responses"].items()
            for each, answer in shown(response.get("content", {})).items()
        }
        assert answers or name in UNSHOWN, f"{name} shows no answer"
        for body in bodies.values() if name in UNSHOWN else ():
            assert asked(admin, method, path, operation, body).is_success, name
        assert not bodies or name in UNSHOWN or bodies.keys() == answers.keys(), name
        for each, (status, answer) in answers.items():
            got = asked(admin, method, path, operation, bodies.get(each))
            assert (got.status_code, got.json()) == (status, answer), (name, each)


def test_every_problem_shown_is_true(
    site: Site, admin: httpx.Client, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer of each status that is an error, provoked, with the headers that are told of it."""

    def fails(error: Exception) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            raise error

        return fail

    def failing(error: Exception) -> httpx.Response:
        with monkeypatch.context() as patched:
            patched.setattr(site.service, "hand_in", fails(error))
            return admin.post("/v1/signals", json={})

    def often() -> httpx.Response:
        with monkeypatch.context() as patched, site.client(Role.WIDGET) as widget:
            patched.setattr("offerlog_infrastructure.http.requests.rates.time.monotonic", lambda: 1000.0)
            return [widget.post("/v1/signals", json={}) for _ in range(201)][-1]

    def held() -> httpx.Response:
        admin.post("/v1/signals", json=examples.SIGNAL)
        site.service.hold_visitor(
            customer_id="visitor-1", reason="lawsuit 12/2026", organization=site.organization
        )
        return admin.delete("/v1/visitors/visitor-1")

    with site.client(Role.WIDGET) as widget:
        provoked = {
            "BadRequest": admin.get("/v1/action-maps/none/suppressions"),
            "Unauthorized": httpx.get(f"{site.url}/v1/projections"),
            "Forbidden": widget.get("/v1/projections"),
            "NotFound": admin.get("/v1/nothing"),
            "Conflict": held(),
            "ContentTooLarge": admin.post("/v1/signals", json=[0] * 10_001),
            "UnsupportedMediaType": admin.post("/v1/signals", headers={"Content-Type": "text/xml"}),
            "TooManyRequests": often(),
            "InternalServerError": failing(ZeroDivisionError()),
            "ServiceUnavailable": failing(OverloadedError(1.0)),
            "InsufficientStorage": failing(StoreUnavailableError("53100", StoreTrouble.DISK_FULL)),
        }
    responses = document["components"]["responses"]
    assert provoked.keys() == responses.keys()
    for name, got in provoked.items():
        one_response = responses[name]
        assert got.json() == one_response["content"]["application/problem+json"]["example"], name
        assert got.json()["status"] == got.status_code
        assert all(header in got.headers for header in one_response.get("headers", ())), name
        assert got.headers["x-content-type-options"] == "nosniff"


def test_the_document_names_nothing_that_is_not_there(document: Document) -> None:
    """Every reference leads somewhere, and every schema is referred to."""
    text = json.dumps(document)
    for kind in ("schemas", "responses"):
        for name in document["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name
    for reference in set(text.split('"$ref": "')[1:]):
        _, _, kind, name = reference.partition('"')[0].split("/")
        assert name in document["components"][kind]
