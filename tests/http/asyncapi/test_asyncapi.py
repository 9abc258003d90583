"""The AsyncAPI document: whole in itself, and what the feed sends keeps to it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from offerlog import describe_event
from offerlog.testing import open_in_memory
from offerlog_application.feed.kinds import KINDS_BY_NAME
from offerlog_application.webhooks.messages import TEST_NAME, make_test_message
from offerlog_domain.event_fields import Event
from offerlog_domain.events import EVENTS, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import BEFORE_OFFER
from offerlog_domain.service_events import VisitorErased
from offerlog_infrastructure.http.app import create_app
from offerlog_infrastructure.http.asyncapi.document import build_document
from offerlog_infrastructure.settings import Settings
from support.journeys import DAY, journeys, signal

DOCUMENT = build_document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
WRITTEN = Path(__file__).parents[3] / "docs" / "asyncapi.json"


def references(part: object) -> Iterator[str]:
    """Every reference of a part of the document, at any depth."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for one in part.values():
            yield from references(one)
    elif isinstance(part, list | tuple):
        for one in part:
            yield from references(one)


def check(name: str, event: object) -> None:
    """Hold an event to the schema of its kind, and its data to the fields that the schema names."""
    validator = jsonschema_rs.Draft7Validator(SCHEMAS[name], validate_formats=True)
    document = json.loads(json.dumps(event))
    validator.validate(document)
    assert document["data"].keys() <= SCHEMAS[name]["properties"]["data"]["properties"].keys()
    assert document.keys() <= SCHEMAS[name]["properties"].keys()


def test_every_reference_leads_to_something_and_every_kind_is_a_message_of_the_feed() -> None:
    """The parts that AsyncAPI 3 needs are there; a message that nothing sends would be one too many."""
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert all({"host", "protocol"} <= one.keys() for one in DOCUMENT["servers"].values())
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])
    sent = {name for one in DOCUMENT["channels"].values() for name in one["messages"]}
    assert sent == DOCUMENT["components"]["messages"].keys() >= KINDS_BY_NAME.keys()
    bookkeeping: set[type[Event]] = {SignalParked, ParkingEnded}
    listed: set[type[Event]] = {*EVENTS, VisitorErased}
    kinds = {str(kind.stored_name) for kind in listed - bookkeeping}
    assert KINDS_BY_NAME.keys() == kinds | {"unreadable"}


@pytest.mark.parametrize("name", KINDS_BY_NAME)
def test_the_examples_of_each_kind_fit_its_schema(name: str) -> None:
    """Only the one for whom customer ids are shows whose event it is."""
    message = DOCUMENT["components"]["messages"][name]
    for example in message["examples"]:
        check(name, example["payload"])
        shows = example["payload"]["data"].keys() & {"customer_id", "session_id", "action_id"}
        assert bool(shows) is (example["name"] == "identified")
    assert message["name"] == message["examples"][0]["payload"]["type"]
    with pytest.raises(jsonschema_rs.ValidationError):
        check(name, message["examples"][0]["payload"] | {"type": "another"})


def test_the_test_message_of_webhooks_fits_its_schema() -> None:
    """Its message id is one that the headers may have."""
    message = DOCUMENT["components"]["messages"][TEST_NAME]
    sent = make_test_message("wh_1", "default", "msg_" + "0" * 32, DAY)
    for event in (message["examples"][0]["payload"], sent):
        check(TEST_NAME, event)
        headers = {"webhook-id": event["id"], "webhook-timestamp": "1", "webhook-signature": "v1,a"}
        jsonschema_rs.Draft7Validator(SCHEMAS["webhookHeaders"]).validate(headers)


def test_what_the_feed_sends_fits_the_document_and_the_service_shows_it() -> None:
    """All kinds of journeys, an erasure among them, thin and with everything; the page is the same."""
    with open_in_memory() as service:
        # given
        service.record(journeys(14))
        service.record([json.dumps(signal("offered", visitor=20, errorCode=45, timeoutSeconds=30))])
        for number, state in enumerate(BEFORE_OFFER, 21):
            service.record([json.dumps(signal(state, visitor=number))])
        service.erase(customer_id="visitor-8")

        async def show() -> httpx.Response:
            app = create_app(service, service.keys, Settings())
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
                return await client.get("/asyncapi.json")

        # when
        sent = [one for identified in (False, True) for one in service.events(identified=identified)]
        shown = asyncio.run(show()).json()
    # then
    for one in sent:
        check(one.name, describe_event(one))
    assert {one.name for one in sent} == KINDS_BY_NAME.keys() - {"unreadable"}
    assert shown == json.loads(WRITTEN.read_text()) == json.loads(json.dumps(DOCUMENT))
