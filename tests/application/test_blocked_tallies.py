"""Blocked offers in the commit that answers: a tally for a group, each name once, nothing without a block."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import OutcomeUnknownError, UnreadableEventError
from offerlog_domain.block_signals import NativeBlock
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import OfferKey, VisitorKey
from offerlog_domain.service_events import BlockedTally
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_domain.wire import read_any_signal
from support.memory_log import MemoryLog
from support.scenario import CUSTOMER, MAP, START, minute, signal, uuid
from support.wire import ID
from support.writing import held


def tallies(log: MemoryLog) -> list[tuple[str, int]]:
    """Reason and number of each tally of the log, in order."""
    events = [one.event for _, one in log.events_in_order]
    return [(one.reason, one.blocked) for one in events if isinstance(one, BlockedTally)]


def blocked(event: str, reason: str = "FrequencyCapping", **more: Any) -> bytes:
    """The vendor's event of an offer to the visitor of the scenario; the event's id has one letter."""
    inner = {"actionMap": {"id": MAP, "version": 3}, "blockingReason": reason}
    return json.dumps(
        {
            "id": ID[:-1] + event,
            "eventType": "BlockedWebActionOfferEvent",
            "customerId": CUSTOMER,
            "blockedWebActionOfferEvent": inner,
            **more,
        }
    ).encode()


def ask(desk: Any, action: str | None = None) -> Any:
    """Ask for an offer without waiting for the answer."""
    action_id = None if action is None else uuid(action)
    return desk.service.submit_offer(
        "acme", customer_id=CUSTOMER, action_map_id=MAP, session_id=uuid("s"), action_id=action_id
    )


def test_many_blocked_requests_of_a_group_are_one_event_in_one_append(desk: Any, log: MemoryLog) -> None:
    """Also where nothing else is in the group; the answers come after it."""
    # given
    desk.offer("a")
    busy = held(desk.service._writer, log)
    # when
    waiting = [ask(desk) for _ in range(50)]
    before = len(log.appends)
    log.open.set()
    answers = [one.result(10) for one in waiting]
    # then
    assert busy.result(10) == ["recorded"]
    assert {one.by.reason.value for one in answers} == {"already_open"}
    assert log.appends[before:] == [(0, 0)]
    assert tallies(log) == [("already_open", 50)]
    ((tally, sealed),) = [
        (one.event, one.sealed) for _, one in log.events_in_order if isinstance(one.event, BlockedTally)
    ]
    assert (tally.recorded_at, tally.quarter_hour, tally.media_type) == (minute(0), START, "webchat")
    assert sealed == b""


def test_without_a_blocked_offer_nothing_more_is_asked_or_stored(
    desk: Any, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look for names, no event."""
    monkeypatch.setattr(log, "counted_blocks", None)
    desk.offer("a")
    desk.record(signal("accepted", at=1), signal("accepted", at=1))
    assert desk.offer().by.reason.value == "already_open"
    assert [type(one.event).__name__ for _, one in log.events_in_order] == [
        "Offered",
        "Accepted",
        "BlockedTally",
    ]


def test_a_remembered_offer_has_no_tally(desk: Any, log: MemoryLog) -> None:
    """Its own event counts as one, and a repeat counts no more."""
    desk.offer("a")
    desk.offer("b")
    desk.offer("b")
    assert desk.record(signal("offered", action="b"), signal("offered", action="c")) == [
        "duplicate",
        "refused: already_open",
    ]
    assert tallies(log) == []


def test_the_vendors_event_is_recorded_once(desk: Any, log: MemoryLog) -> None:
    """In a call, in later ones, in another order, with another reason; an organization counts for itself."""
    assert desk.record(blocked("a"), blocked("b"), blocked("a")) == ["recorded", "recorded", "duplicate"]
    assert desk.record(blocked("b", "Unknown"), blocked("c")) == ["duplicate", "recorded"]
    assert desk.record(blocked("a"), organization="other") == ["recorded"]
    assert tallies(log) == [("FrequencyCapping", 2), ("FrequencyCapping", 1), ("FrequencyCapping", 1)]
    assert desk.stream() == []


def test_the_vendors_event_keeps_its_place_among_signals(desk: Any) -> None:
    """Outcomes are answered in the order of the call; what has the wrong time or media type is refused."""
    late = minute(6).isoformat()
    other = {"actionMap": {"id": MAP}, "blockingReason": "Unknown", "action": {"mediaType": "openAction"}}
    receipt = desk.submit(
        [
            blocked("a"),
            signal("offered", action="a"),
            blocked("b", createdDate=late),
            blocked("c", blockedWebActionOfferEvent=other),
            signal("accepted", action="a", at=0),
        ]
    )
    assert [(one.kind.value, one.reason) for one in receipt.outcomes] == [
        ("recorded", None),
        ("recorded", None),
        ("refused", "from_the_future"),
        ("refused", "not_tracked"),
        ("recorded", None),
    ]
    assert receipt.outcomes[0].event_id == ID[:-1] + "a"
    assert desk.record(blocked("b")) == ["recorded"], "a refused one was not counted"


def test_with_a_widget_key_only_the_vendors_own_reasons_count(desk: Any, log: MemoryLog) -> None:
    """Anybody may hold such a key, and could fill the reports with invented reasons."""
    receipt = desk.service.submit(
        [blocked("a", "Buy this"), blocked("b", "NoAvailableAgents")], "acme", from_widget=True
    ).result(10)
    assert [one.reason for one in receipt.outcomes] == ["not_tracked", None]
    assert tallies(log) == [("NoAvailableAgents", 1)]


def test_another_writer_that_counts_the_same_name_makes_it_a_duplicate(desk: Any, log: MemoryLog) -> None:
    """The append is refused, and the group decided again: the other event of the call is recorded."""
    # given
    key, reported = desk.log.key("acme"), read_any_signal(blocked("a"))
    assert isinstance(reported, NativeBlock)
    offer = key.offer(VisitorKey("cookie", CUSTOMER), reported.action_map_id)
    meanwhile = iter([key.block_of_event(offer, reported.event_id)])

    def interfere(_: Sequence[RecordedEvent[Event]]) -> None:
        for name in meanwhile:
            log.counted_blocks_at[name] = START

    log.before_append = interfere
    # when
    outcomes = desk.record(blocked("a"), blocked("b"))
    # then
    assert outcomes == ["duplicate", "recorded"]
    assert tallies(log) == [("FrequencyCapping", 1)]


def test_the_vendors_event_is_counted_although_its_visitor_offer_is_damaged(
    desk: Any, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visitor-offer is not loaded: it decides nothing about the event."""
    # given
    desk.offer("a")
    load = log.load

    def fail(offers: Collection[OfferKey]) -> Mapping[UUID, VisitorOffer]:
        if offers:
            raise UnreadableEventError("offered.2", "a stream", 1, "damaged")
        return load(offers)

    monkeypatch.setattr(log, "load", fail)
    # when
    outcomes = [desk.record(blocked("a")), desk.record(blocked("a"), blocked("b"))]
    # then
    assert outcomes == [["recorded"], ["duplicate", "recorded"]]
    assert tallies(log) == [("FrequencyCapping", 1), ("FrequencyCapping", 1)]


def test_after_a_lost_commit_the_same_event_may_be_sent_again(desk: Any, log: MemoryLog) -> None:
    """Whether or not it was stored: here it was not."""
    # given
    breaks = iter([OutcomeUnknownError("7")])

    def fail(_: Sequence[RecordedEvent[Event]]) -> None:
        for error in breaks:
            raise error

    log.before_append = fail
    # when
    with pytest.raises(OutcomeUnknownError, match="send the same signals again"):
        desk.record(blocked("a"))
    # then
    assert desk.record(blocked("a")) == ["recorded"]
    assert desk.record(blocked("a")) == ["duplicate"]
