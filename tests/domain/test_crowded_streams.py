"""One visitor-offer that very many share, an id such as "undefined" for instance, stays cheap."""

import time
from collections.abc import Iterable
from uuid import UUID

import pytest
from msgspec import structs

from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import decide, expire
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import SignalParked
from offerlog_domain.lifecycle import State
from offerlog_domain.offer_rule import MAX_PARKED_SIGNALS, MAX_REFUSED_OFFERS
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_domain.visitor_offer import VisitorOffer, fold
from support.crowds import crowded
from support.scenario import (
    ORGANIZATION,
    RAW,
    START,
    STREAM,
    event,
    given,
    minute,
    native_signal,
    parked,
    refused,
)

MANY = 6_000
EMPTY = VisitorOffer(STREAM)


def judged(
    states: Iterable[tuple[str, int]], offer: VisitorOffer = EMPTY
) -> tuple[VisitorOffer, list[RecordedEvent[Event]], list[str]]:
    """The visitor-offer, the events and the outcomes that signals of numbered actions come to."""
    events, outcomes = list[RecordedEvent[Event]](), list[str]()
    for state, number in states:
        event_id = UUID(int=number * 100 + [*State].index(State(state)))
        one = structs.replace(native_signal(state), action_id=UUID(int=number), event_id=event_id)
        decision = decide(offer, one, lambda: RAW, DecisionContext(ORGANIZATION, START))
        offer = decision.offer
        events += decision.events
        outcomes.append(decision.reason or str(decision.outcome))
    return offer, events, outcomes


def old_parked(number: int) -> VisitorOffer:
    """A visitor-offer of an older version, in which so many signals wait."""
    (waiting,), empty = given(parked("accepted")).offer.parked_signals, VisitorOffer(STREAM)
    return fold(crowded(waiting, number, empty), empty)


def test_a_stream_of_very_many_actions_is_folded_in_no_time() -> None:
    """A widget that fails again and again makes one action after the other."""
    offer, events, _ = judged([(state, n) for n in range(MANY) for state in ("offered", "errored")])
    assert len(offer.actions) == MANY
    began = time.process_time()
    assert fold(events, VisitorOffer(STREAM)) == offer
    assert time.process_time() - began < 2


def test_every_signal_of_a_long_stream_is_recognised() -> None:
    """By its event id and by its action and state, in the first action as in the last."""
    states = [(state, n) for n in range(500) for state in ("offered", "errored")]
    offer, _, _ = judged(states)
    _, events, outcomes = judged(states, offer)
    assert set(outcomes) == {"duplicate"}
    assert not events


def test_a_visitor_offer_remembers_a_bounded_number_of_refused_offers() -> None:
    """The next one is refused for the same reason, and judged anew when it comes again."""
    suppressed = given(event("offered"), event("ignored", at=1)).offer
    offer, events, outcomes = judged(
        [("offered", 1000 + n) for n in range(MAX_REFUSED_OFFERS + 2)], suppressed
    )
    assert set(outcomes) == {"terminal_state"}
    assert len(events) == len(offer.refused_offers) == MAX_REFUSED_OFFERS
    _, events, outcomes = judged([("offered", 1000), ("offered", 1000 + MAX_REFUSED_OFFERS)], offer)
    assert (outcomes, events) == (["duplicate", "terminal_state"], [])


def test_a_visitor_offer_holds_a_bounded_number_of_parked_signals() -> None:
    """The next one is refused as crowded; whatever leaves makes room."""
    offer, events, outcomes = judged([("accepted", n) for n in range(MAX_PARKED_SIGNALS + 1)])
    assert outcomes == ["parked"] * MAX_PARKED_SIGNALS + ["crowded"]
    assert len(events) == len(offer.parked_signals) == MAX_PARKED_SIGNALS
    offer, _, outcomes = judged([("offered", 7), ("started", 99), ("engaged", 99)], offer)
    assert outcomes == ["recorded", "parked", "crowded"]


def test_a_crowded_visitor_offer_still_records_what_is_legal() -> None:
    """Only remembering and waiting are bounded."""
    offer, _, _ = judged([("engaged", 1000 + n) for n in range(MAX_PARKED_SIGNALS)])
    states = [("offered", 1), ("accepted", 1), ("started", 1), ("engaged", 1)]
    assert judged(states, offer)[2] == ["recorded"] * 4


def test_parked_signals_of_an_action_whose_refusal_is_not_remembered_go_on_waiting() -> None:
    """Their wait ends by the clock alone."""
    past = event("offered"), event("ignored", at=1)
    many = [refused(chr(1000 + n), 2, "terminal_state", "a", "ignored", 1) for n in range(MAX_REFUSED_OFFERS)]
    offer = given(*past, *many, parked("accepted", "b", 2)).offer
    decision = decide(
        offer, native_signal("offered", "b", 3), lambda: RAW, DecisionContext(ORGANIZATION, minute(3))
    )
    assert (decision.outcome, decision.reason) == (OutcomeKind.REFUSED, Reason.TERMINAL_STATE)
    assert (decision.events, decision.ended_parkings, len(decision.offer.parked_signals)) == ((), (), 1)


def test_a_log_that_is_crowded_already_is_folded_and_decided_in_no_time() -> None:
    """Older versions remembered every refused offer and parked every early signal."""
    begun = given(
        event("offered"), event("ignored", at=1), refused("b", 2, "terminal_state", "a", "ignored", 1)
    )
    (known,) = begun.offer.refused_offers
    began = time.process_time()
    offer = fold(crowded(known, 10 * MANY, begun.offer), begun.offer)
    assert len(offer.refused_by_action) == 10 * MANY + 1
    states = [("offered", 1000 + n) for n in range(1000)]
    assert set(judged(states, offer)[2]) == {"duplicate"}
    assert time.process_time() - began < 3


def test_very_many_parked_signals_are_ended_in_no_time() -> None:
    """All of them are due at the same moment."""
    offer = old_parked(2 * MANY)
    began = time.process_time()
    ended = expire(offer, DecisionContext(ORGANIZATION, minute(15)))
    assert time.process_time() - began < 2
    assert (len(ended.ended_parkings), ended.offer.parked_signals) == (2 * MANY, ())
    assert [parked.originator_version for parked, _ in ended.ended_parkings] == [*range(1, 2 * MANY + 1)]


def test_a_signal_at_a_visitor_offer_where_very_many_wait_costs_no_look_at_all_of_them() -> None:
    """Nothing is due yet."""
    offer = old_parked(2 * MANY)
    assert all(isinstance(one.event, SignalParked) for one in offer.parked_signals)
    began = time.process_time()
    outcomes = judged([("accepted", 10**6 + n) for n in range(MANY)], offer)[2]
    assert set(outcomes) == {"crowded"}
    assert time.process_time() - began < 2


def test_only_the_newest_action_moves() -> None:
    """A stream that says otherwise is not one of ours, and no event of it is passed over in silence."""
    past = event("offered", "a"), event("errored", "a", 1), event("offered", "b", 2)
    with pytest.raises(ValueError, match="not the newest"):
        given(*past, event("accepted", "a", 3))
