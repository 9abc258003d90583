"""Asking for an offer, asking whether one may be made, and what time alone brings about."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from offerlog import Offerlog
from offerlog.testing import open_in_memory
from offerlog_application.recording.offers import OfferService
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Blocker, OfferBlocked, OfferMade, Reason
from offerlog_domain.signals import MalformedSignalError
from support.scenario import CUSTOMER, MAP, minute, native, signal, uuid

OPEN = Blocker(Reason.ALREADY_OPEN, State.OFFERED, uuid("a"), minute(0))


def eligibility(desk: Any) -> Blocker | None:
    """What stands against an offer to the visitor of the scenario."""
    service: OfferService = desk.service
    return service.eligibility("acme", VisitorKey("cookie", CUSTOMER), ActionMapId(MAP)).blocker


def test_an_offer_is_recorded_as_it_is_decided(desk: Any) -> None:
    """At the time of asking, with a new action id; no report said when."""
    decision = desk.offer(timeout_seconds=45, action_map_version=3)
    (recorded,) = desk.stream()
    event, private = recorded.event, recorded.private
    assert decision == OfferMade(str(private.action_id))
    assert (event.stored_name, event.occurred_at, event.dated) == ("offered", minute(0), False)
    assert (event.timeout_seconds, event.action_map_version, private.session_id) == (45, 3, native("s"))


def test_an_offer_is_of_the_media_type_that_is_asked_for(desk: Any) -> None:
    """Its signals follow that table; a media type without a table is a mistake of the caller."""
    desk.offer("a", media_type="contentOffer")
    accepted = {"action_id": uuid("a"), "media_type": "contentOffer"}
    assert desk.record(signal("accepted", at=1, **accepted)) == ["recorded"]
    decision = desk.offer("b", media_type="webchat")
    assert decision.by == Blocker(Reason.TERMINAL_STATE, State.ACCEPTED, uuid("a"), minute(1))
    with pytest.raises(MalformedSignalError, match="actionMediaType: give one of webchat"):
        desk.offer("c", media_type="openAction")


def test_two_new_action_ids_are_never_the_same(desk: Any) -> None:
    """Other visitors, other actions."""
    assert len({desk.offer(customer_id=f"visitor-{n}").action_id for n in range(20)}) == 20


def test_a_blocked_offer_tells_why_and_is_counted(desk: Any) -> None:
    """It is a decision and no refusal: nothing stands in the refusal log."""
    desk.offer("a")
    assert desk.offer() == OfferBlocked(None, OPEN)
    assert desk.offer("b") == OfferBlocked(uuid("b"), OPEN)
    desk.record(signal("rejected", at=1))
    rejected = Blocker(Reason.TERMINAL_STATE, State.REJECTED, uuid("a"), minute(1))
    assert desk.offer("c") == OfferBlocked(uuid("c"), rejected)
    assert desk.service.blocked == {Reason.ALREADY_OPEN: 2, Reason.TERMINAL_STATE: 1}
    assert not desk.log.refused
    assert desk.short_events() == ["offered a", "offer-refused b", "rejected a", "offer-refused c"]


def test_the_same_action_id_again_gets_the_same_decision(desk: Any) -> None:
    """Offered stays offered, whatever became of it; blocked stays blocked, although it would not be now."""
    assert desk.offer("a") == OfferMade(uuid("a"))
    assert desk.offer("b") == OfferBlocked(uuid("b"), OPEN)
    desk.record(signal("errored", at=1))
    assert desk.offer("a") == OfferMade(uuid("a"))
    assert desk.offer("b") == OfferBlocked(uuid("b"), OPEN)
    assert desk.offer("c") == OfferMade(uuid("c"))
    assert desk.short_events() == ["offered a", "offer-refused b", "errored a", "offered c"]


def test_an_action_id_is_the_same_in_any_case(desk: Any) -> None:
    """UUIDs are kept in lower case."""
    shouted = "ABCDEF00-0000-4000-8000-000000000000"
    ask = {"customer_id": CUSTOMER, "action_map_id": MAP.upper(), "session_id": uuid("s").upper()}
    for own in (shouted, shouted.lower()):
        decision = desk.service.submit_offer("acme", action_id=own, **ask).result(10)
        assert decision == OfferMade(shouted.lower())
    assert len(desk.stream()) == 1


def test_the_widgets_report_of_an_offer_that_was_asked_for_is_a_duplicate(desk: Any) -> None:
    """And that of a blocked one as well."""
    desk.offer("a")
    desk.offer("b")
    assert desk.record(signal("offered", "a"), signal("offered", "b")) == ["duplicate", "duplicate"]


def test_an_offer_asked_for_releases_what_waits_for_it(desk: Any) -> None:
    """Or ends it, when it is blocked; then it stands in the refusal log as it came."""
    desk.record(signal("accepted", "a"), signal("started", "b"))
    desk.offer("a")
    desk.offer("b")
    assert desk.short_events() == [
        "signal-parked a",
        "signal-parked b",
        "offered a",
        "accepted a",
        "offer-refused b",
    ]
    assert [(one.reason, one.raw) for one in desk.log.refused] == [
        ("offer_refused", signal("started", "b").to_json())
    ]


def test_eligibility_asks_without_recording(desk: Any) -> None:
    """It explains what the offer would have met, now."""
    assert eligibility(desk) is None
    assert not desk.log.appends
    desk.offer("a", timeout_seconds=60)
    assert eligibility(desk) == OPEN
    desk.clock.set(minute(16))
    timed_out = Blocker(Reason.TERMINAL_STATE, State.TIMEDOUT, uuid("a"), minute(1))
    assert eligibility(desk) == timed_out
    assert len(desk.log.appends) == 1
    assert desk.offer() == OfferBlocked(None, timed_out)
    assert desk.short_events() == ["offered a", "timedout a"]
    assert desk.service.blocked == {Reason.TERMINAL_STATE: 1}


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("customerId", "customer_id", ""),
        ("customerId", "customer_id", "\ud800"),
        ("customerIdType", "customer_id_type", ""),
        ("actionMapId", "action_map_id", "x"),
        ("sessionId", "session_id", "x"),
        ("timeoutSeconds", "timeout_seconds", 0),
        ("actionMapVersion", "action_map_version", "3"),
    ],
)
def test_an_argument_that_is_wrong_is_named(desk: Any, name: str, argument: str, value: object) -> None:
    """By its name on the wire; nothing is recorded."""
    with pytest.raises(MalformedSignalError) as raised:
        desk.offer(**{argument: value})
    assert raised.value.field == name
    assert not desk.log.events_of


@pytest.mark.parametrize("ask", [Offerlog.eligibility, Offerlog.history])
@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("customerId", "customer_id", ""),
        ("customerId", "customer_id", "\ud800"),
        ("customerIdType", "customer_id_type", ""),
        ("actionMapId", "action_map_id", "x"),
    ],
)
def test_a_question_about_a_wrong_id_names_it(
    ask: Callable[..., object], name: str, argument: str, value: str
) -> None:
    """By its name on the wire, too."""
    ids = {"customer_id": CUSTOMER, "action_map_id": MAP, argument: value}
    with open_in_memory() as service, pytest.raises(MalformedSignalError) as raised:
        ask(service, **ids)
    assert raised.value.field == name


@pytest.mark.parametrize("own", ["x", " ", ""])
def test_an_action_id_of_ones_own_must_be_one(desk: Any, own: str) -> None:
    """Nor does an empty one stand for none: the same id again would not get the same decision."""
    ask = {"customer_id": CUSTOMER, "action_map_id": MAP, "session_id": uuid("s")}
    with pytest.raises(MalformedSignalError) as raised:
        desk.service.submit_offer("acme", action_id=own, **ask)
    assert raised.value.field == "actionId"


@pytest.mark.parametrize(
    ("state", "media", "cause"),
    [
        (State.FREQUENCY_CAP_REACHED, "webchat", "has ended without an offer"),
        (State.QUALIFIED, "contentOffer", "has another media type"),
    ],
)
def test_an_offer_that_cannot_follow_its_action_is_not_called_made(
    desk: Any, state: State, media: str, cause: str
) -> None:
    """With the id of an action that was withheld, or has qualified as another media type."""
    assert desk.record(signal(state)) == ["recorded"]
    for _ in range(2):
        with pytest.raises(MalformedSignalError, match=rf"^actionId: .*{cause}") as raised:
            desk.offer("a", media_type=media)
        assert raised.value.field == "actionId"
    assert [one.event.stored_name for one in desk.stream()] == [state]
    assert isinstance(desk.offer("b", media_type=media), OfferMade)


def test_parking_that_ends_when_something_else_is_judged_is_refused_as_well(desk: Any) -> None:
    """First what was given up, then the signal's own refusal."""
    desk.record(signal("accepted", "b"), signal("offered"), signal("ignored"))
    desk.clock.advance(timedelta(minutes=15))
    assert desk.record(signal("started")) == ["refused: action_over"]
    assert [one.reason for one in desk.log.refused] == ["never_reachable", "action_over"]
    assert desk.log.refused[0].raw == signal("accepted", "b").to_json()
