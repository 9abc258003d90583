"""Every kind of event that the log may hold is known to the aggregate, and to the tests' grammar."""

from offerlog_domain.events import EVENTS
from offerlog_domain.visitor_offer import VisitorOffer, fold
from support.scenario import STREAM, facts_of, one_of_each


def test_the_aggregate_takes_every_kind_of_event() -> None:
    """A kind without its step would make the visitor-offers that hold it unreadable."""
    # given
    empty = VisitorOffer(STREAM)
    events = facts_of(empty, one_of_each(), None)
    assert {type(one.event) for one in events} == set(EVENTS), "the grammar has a word for each"
    # when
    offer = fold(events, empty)
    # then
    assert offer.version == len(events)
    assert offer.lifecycle_version == len(events) - 3
    assert not offer.parked_signals
    assert len(offer.refused_offers) == 1
