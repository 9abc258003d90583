"""One visitor-offer that very many share, an id such as "undefined" for instance, holds up nobody else."""

import time
from dataclasses import replace
from uuid import UUID

import pytest

from offerlog_domain.decision import expire, judge
from offerlog_domain.facts import Fact
from offerlog_domain.rules import Circumstances
from offerlog_domain.visitor_offer import VisitorOffer, fold
from scenario import ORGANIZATION, RAW, START, STREAM, event, given, minute, parked, signal

MANY = 6_000


def judged(states: list[tuple[str, int]]) -> tuple[VisitorOffer, list[Fact]]:
    """What signals of numbered actions come to."""
    offer, facts = VisitorOffer(STREAM), list[Fact]()
    for state, number in states:
        one = signal(state)
        object.__setattr__(one, "action_id", str(UUID(int=number)))
        judgement = judge(offer, one, RAW, Circumstances(ORGANIZATION, START))
        offer = judgement.offer
        facts += judgement.facts
    return offer, facts


def test_a_stream_of_very_many_actions_is_folded_in_no_time() -> None:
    """A widget that fails again and again makes one action after the other."""
    offer, facts = judged([(state, n) for n in range(MANY) for state in ("offered", "errored")])
    assert len(offer.actions) == MANY
    began = time.perf_counter()
    assert fold(facts, VisitorOffer(STREAM)) == offer
    assert time.perf_counter() - began < 2


def test_very_many_parked_signals_are_ended_in_no_time() -> None:
    """All of them are due at the same moment."""
    ((waiting,), number) = given(parked("accepted")).offer.parked, 2 * MANY
    offer = VisitorOffer(STREAM, number, (), tuple(replace(waiting, action_id=str(n)) for n in range(number)))
    began = time.perf_counter()
    ended = expire(offer, Circumstances(ORGANIZATION, minute(15)))
    assert time.perf_counter() - began < 2
    assert (len(ended.ended), ended.offer.parked) == (number, ())


def test_only_the_newest_action_moves() -> None:
    """A stream that says otherwise is not one of ours, and no event of it is passed over in silence."""
    past = event("offered", "a"), event("errored", "a", 1), event("offered", "b", 2)
    with pytest.raises(ValueError, match="not the newest"):
        given(*past, event("accepted", "a", 3))
