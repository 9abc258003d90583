"""A batch: the checks before the visitor-offer is asked, the order inside, the outcomes in input order."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from offerlog_application.recording.offers import OfferService
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason
from offerlog_domain.signals import Signal
from support.scenario import MAP, minute, native, signal, uuid


def line(state: str, action: str = "a", at: float | None = 0, **fields: Any) -> bytes:
    """A signal as text."""
    return signal(state, action, at, **fields).to_json()


def test_signals_come_as_text_or_decoded_or_ready(desk: Any) -> None:
    """Text in bytes or str, a mapping, a `Signal`: one each way, and a repeat of each."""
    offered = signal("offered")
    ways = [offered, offered.to_json(), offered.to_json().decode(), json.loads(offered.to_json())]
    assert desk.record(*ways) == ["recorded", "duplicate", "duplicate", "duplicate"]


def test_each_signal_has_its_own_outcome_in_input_order(desk: Any) -> None:
    """A bad one harms no other; the outcome names the signal it is about."""
    receipt = desk.submit(
        [line("accepted"), b"{", line("completed"), line("offered", "b", 6), line("offered")], "acme"
    )
    cause = receipt.outcomes[1].cause
    assert cause
    assert receipt.outcomes == (
        Outcome(OutcomeKind.RECORDED, None, uuid("a"), "accepted"),
        Outcome(OutcomeKind.REFUSED, Reason.MALFORMED, cause=cause),
        Outcome(OutcomeKind.REFUSED, Reason.NOT_TRACKED, uuid("a"), "completed"),
        Outcome(OutcomeKind.REFUSED, Reason.FROM_THE_FUTURE, uuid("b"), "offered"),
        Outcome(OutcomeKind.RECORDED, None, uuid("a"), "offered"),
    )
    assert receipt.position == 2


YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)
BOUNDS: dict[str, tuple[bool, datetime, str]] = {
    "8 days old, from a widget": (True, minute(0) - timedelta(days=8), "recorded"),
    "more, from a widget": (True, minute(0) - timedelta(days=8, microseconds=1), "too_old"),
    "more, from anybody else": (False, minute(0) - timedelta(days=8, microseconds=1), "recorded"),
    "the first moment that counts": (False, YEAR_2000, "recorded"),
    "one microsecond before": (False, YEAR_2000 - timedelta(microseconds=1), "too_old"),
    "the year 1": (True, datetime(1, 1, 1, tzinfo=UTC), "too_old"),
}


@pytest.mark.parametrize(("from_widget", "at", "expected"), BOUNDS.values(), ids=BOUNDS)
def test_what_is_dated_too_far_back_is_refused(
    desk: Any,
    from_widget: bool,  # noqa: FBT001 - a case of the table
    at: datetime,
    expected: str,
) -> None:
    """Before the year 2000 from anybody; more than eight days ago from a widget key."""
    text = replace(signal("offered"), occurred_at=at).to_json()
    (outcome,) = desk.service.submit([text], "acme", from_widget=from_widget).result(10).outcomes
    assert (outcome.reason or outcome.kind) == expected
    assert [refusal.reason for refusal in desk.log.refused] == (["too_old"] if expected == "too_old" else [])


def test_a_long_text_is_kept_in_part_and_its_length_is_told(desk: Any) -> None:
    """Of what was refused and of what waits alike; a text of 4 KiB is kept whole."""
    refused = json.dumps({"actionId": 7, "pad": "x" * 9_000}).encode()
    whole = b"{" + b" " * 4_095
    waiting = json.dumps(json.loads(line("accepted")) | {"pad": "x" * 9_000}).encode()
    desk.record(refused, whole, waiting)
    assert [(one.raw, one.raw_length) for one in desk.log.refused] == [
        (refused[:4_096], len(refused)),
        (whole, None),
    ]
    desk.clock.set(minute(15))
    assert desk.record(line("started", "b")) == ["parked"]
    assert desk.log.refused[-1].reason == "never_reachable"
    assert (desk.log.refused[-1].raw, desk.log.refused[-1].raw_length) == (waiting[:4_096], len(waiting))


def test_a_decoded_signal_that_is_too_long_keeps_its_text(desk: Any) -> None:
    """As one that comes as text does: the first 4 KiB, and the length it had."""
    # given a decoded signal of more than 64 KiB
    decoded = json.loads(line("offered")) | {"pad": "x" * 65_536}
    text = json.dumps(decoded).encode()
    # when it is recorded
    assert desk.record(decoded) == ["refused: malformed"]
    # then the refusal log has its text
    (kept,) = desk.log.refused
    assert (kept.raw, kept.raw_length) == (text[:4_096], len(text))
    assert kept.cause == "longer than 64 KiB"


def test_a_whole_text_that_an_older_offerlog_parked_is_cut_when_its_wait_ends(desk: Any) -> None:
    """The refusal log keeps 4 KiB of it, and the length it had."""
    # given a signal that was parked with a text of more than 4 KiB
    desk.record(line("accepted"))
    (parked,) = desk.stream()
    text = b"x" * 9_000
    desk.log.put(
        parked.originator_id, [structs.replace(parked, private=structs.replace(parked.private, raw=text))]
    )
    # when its wait is over
    desk.clock.set(minute(15))
    desk.record(line("started", "b"))
    # then its refusal is cut as any other
    (kept,) = desk.log.refused
    assert (kept.reason, kept.raw, kept.raw_length) == ("never_reachable", text[:4_096], len(text))


def test_another_event_of_the_vendor_is_not_tracked(desk: Any) -> None:
    """With the field that says so; it harms no other signal."""
    other = b'{"eventType": "com.genesys.journey.OutcomeAchievedEvent", "id": "x"}'
    receipt = desk.submit([other, line("offered")], "acme")
    assert [(one.kind, one.reason, one.field) for one in receipt.outcomes] == [
        ("refused", "not_tracked", "eventType"),
        ("recorded", None, None),
    ]


def test_refusals_are_kept_as_the_text_that_came(desk: Any) -> None:
    """With reason, and field and cause where it was malformed."""
    texts = [b'{"actionId": 7', b"\xff", line("completed"), line("offered", at=6), line("offered")]
    desk.record(*texts)
    assert desk.record(line("timedout")) == ["recorded"]
    assert desk.record(line("started")) == ["refused: action_over"]
    kept = [(refusal.reason, refusal.raw) for refusal in desk.log.refused]
    assert kept == [
        ("malformed", texts[0]),
        ("malformed", texts[1]),
        ("not_tracked", texts[2]),
        ("from_the_future", texts[3]),
        ("action_over", line("started")),
    ]
    desk.record(json.dumps(json.loads(line("offered")) | {"actionId": "x"}))
    last = desk.log.refused[-1]
    assert (last.field, bool(last.cause), last.organization) == ("actionId", True, "acme")


def test_more_than_five_minutes_ahead_is_from_the_future(desk: Any) -> None:
    """Exactly five minutes are not; the future goes before everything that the visitor-offer knows."""
    microsecond = 1 / 60_000_000
    assert desk.record(line("offered", at=5, event_id=uuid("1"))) == ["recorded"]
    for ahead in (line("offered", at=5 + microsecond), line("offered", at=6, event_id=uuid("1"))):
        assert desk.record(ahead) == ["refused: from_the_future"]
    desk.clock.advance(timedelta(minutes=1))
    assert desk.record(line("offered", at=6, event_id=uuid("1"))) == ["refused: conflicting_duplicate"]


def test_an_untracked_state_goes_before_the_future(desk: Any) -> None:
    """And what cannot be read before both."""
    assert desk.record(line("completed", at=600)) == ["refused: not_tracked"]
    assert desk.record(line("offered", at=600, media_type="openAction")) == ["refused: not_tracked"]
    both = json.loads(line("completed", at=600)) | {"sessionId": ""}
    assert desk.record(both) == ["refused: malformed"]


def test_an_untracked_signal_leaves_no_event_id_behind(desk: Any) -> None:
    """Only what is recorded, parked or a refused offer does."""
    report: dict[str, Any] = {"event_id": uuid("1")}
    assert desk.record(line("completed", **report)) == ["refused: not_tracked"]
    assert desk.record(line("offered", at=9, **report)) == ["refused: from_the_future"]
    assert desk.record(line("offered", **report)) == ["recorded"]


def test_one_action_in_reverse_is_judged_in_lifecycle_order(desk: Any) -> None:
    """Nothing has to wait."""
    batch = [line(state) for state in ("engaged", "started", "accepted", "offered")]
    assert desk.record(*batch) == ["recorded"] * 4
    assert desk.short_events() == ["offered a", "accepted a", "started a", "engaged a"]


def test_an_action_takes_only_the_places_that_it_holds(desk: Any) -> None:
    """Action b is judged behind a's first signal and before a's second, as in the input."""
    batch = [line("errored"), line("offered", "b", 1), line("offered"), line("accepted", "b", 1)]
    assert desk.record(*batch) == ["recorded", "refused: already_open", "recorded", "refused: offer_refused"]
    assert desk.short_events() == ["offered a", "offer-refused b", "errored a"]


def test_final_states_of_one_action_keep_their_input_order(desk: Any) -> None:
    """The first one ends it."""
    batch = [line("timedout"), line("ignored"), line("rejected"), line("offered")]
    assert desk.record(*batch) == ["recorded", "refused: action_over", "refused: action_over", "recorded"]


def test_repeats_in_a_batch_keep_their_input_order(desk: Any) -> None:
    """The first is recorded, under its own event id."""
    batch = [line("offered", event_id=uuid("1")), line("offered", event_id=uuid("2"))]
    assert desk.record(*batch) == ["recorded", "duplicate"]
    assert desk.stream()[0].private.event_id == native("1")


def test_what_is_from_the_future_holds_its_place_and_what_cannot_be_read_holds_none(desk: Any) -> None:
    """`accepted` gives the first place of its action to the offer, and comes behind that of b."""
    desk.record(line("accepted"), line("offered", "b", 0), line("offered", at=98))
    assert desk.short_events() == ["offered b", "signal-parked a"]
    other: dict[str, Any] = {"customer_id": "visitor-2"}
    unread = json.loads(line("offered", **other)) | {"createdDate": "yesterday"}
    first_answers = desk.record(
        line("accepted", **other), line("offered", "b", 0, **other), unread, line("completed", **other)
    )
    assert first_answers == ["parked", "recorded", "refused: malformed", "refused: not_tracked"]
    events = desk.log.events(desk.service.name("acme", VisitorKey("cookie", "visitor-2"), ActionMapId(MAP)))
    assert [one.event.stored_name for one in events] == ["signal-parked", "offered"]


def test_places_are_those_of_one_visitor_offer(desk: Any) -> None:
    """The same action id at another visitor or map is another action."""
    other: dict[str, Any] = {"customer_id": "visitor-2"}
    batch = [line("accepted"), line("accepted", **other), line("offered", **other), line("offered")]
    assert desk.record(*batch) == ["recorded"] * 4
    batch = [
        line("accepted", action_map_id=uuid("m")),
        line("accepted"),
        line("offered", action_map_id=uuid("m")),
    ]
    assert desk.record(*batch) == ["recorded", "duplicate", "recorded"]


def test_the_same_action_id_elsewhere_holds_no_place_here(desk: Any) -> None:
    """The error of a is judged before the offer of b, although another visitor's a is offered behind both."""
    desk.record(line("offered"))
    batch = [line("errored", at=1), line("offered", "b", 1), line("offered", customer_id="visitor-2")]
    assert desk.record(*batch) == ["recorded"] * 3


def test_organizations_share_nothing(desk: Any) -> None:
    """The same signal is another one in another organization."""
    assert desk.record(line("offered")) == desk.record(line("offered"), organization="other") == ["recorded"]
    assert len(desk.log.events_of) == 2
    assert {events[0].event.organization for events in desk.log.events_of.values()} == {"acme", "other"}


@pytest.mark.parametrize("name", ["", "a b", "-a", "é", "a" * 65, "a\n", "../a"])
def test_an_organization_needs_a_name(desk: Any, name: str) -> None:
    """Nothing is taken under any other."""
    with pytest.raises(ValueError, match="organization"):
        desk.record(line("offered"), organization=name)
    assert not desk.log.events_of


def test_an_empty_batch_has_no_outcomes(desk: Any) -> None:
    """And stores nothing."""
    receipt = desk.submit([], "acme")
    assert (receipt.outcomes, receipt.position) == ((), None)
    assert not desk.log.appends


def expected_order(batch: list[Signal]) -> list[Signal]:
    """The rule, taken word by word: places held by each action, its signals in lifecycle order."""
    ranks = {"offered": 0, "accepted": 1, "started": 2}
    order = list(batch)
    for action in {one_signal.action_id for one_signal in batch}:
        places = [place for place, one_signal in enumerate(batch) if one_signal.action_id == action]
        own = [batch[place] for place in places]
        for rank_place, one_signal in zip(
            places, sorted(own, key=lambda one: ranks.get(one.state.value, 3)), strict=True
        ):
            order[rank_place] = one_signal
    return order


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_batch_is_judged_as_if_its_signals_had_come_one_by_one_in_that_order(
    desk: Any, data: st.DataObject
) -> None:
    """Another visitor hears them one by one and comes to the same outcomes and the same events."""
    states = st.sampled_from(["offered", "accepted", "started", "rejected", "errored", "engaged"])
    first_answers = st.lists(
        st.tuples(states, st.sampled_from("ab"), st.sampled_from([0, 1, 40])), max_size=8
    )
    desk.clock.set(minute(60))
    customers = [data.draw(st.uuids()).hex for _ in range(2)]
    batches = [
        [signal(*one, customer_id=customer, event_id=None) for one in data.draw(first_answers, label="batch")]
        if number == 0
        else []
        for number, customer in enumerate(customers)
    ]
    batch = batches[0]
    together = dict(zip(map(id, batch), desk.record(*batch), strict=True))
    for one_signal in expected_order(batch):
        alone = replace(one_signal, customer_id=customers[1])
        assert desk.record(alone) == [together[id(one_signal)]]
    service: OfferService = desk.service
    offers = [service.name("acme", VisitorKey("cookie", one), ActionMapId(MAP)) for one in customers]
    told_of = [
        [(one.event.stored_name, one.private.action_id) for one in desk.log.events(offer)] for offer in offers
    ]
    assert told_of[0] == told_of[1]
