"""Every kind of event that the log may hold passes through every projection."""

from offerlog_application.projections.current_state import current_state
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.performance import performance
from offerlog_application.projections.suppression import suppressions
from offerlog_domain.events import EVENTS, is_sealed_lifecycle_event
from offerlog_domain.lifecycle import State
from offerlog_domain.visitor_offer import VisitorOffer
from support.scenario import STREAM, facts_of, one_of_each
from support.sealed import LOGGED_STREAM, seal


def test_the_projections_take_every_kind_of_event() -> None:
    """One that a projection does not know would keep the visitor-offers that hold it out of it."""
    # given
    events = [seal(one) for one in facts_of(VisitorOffer(STREAM), one_of_each(), None)]
    assert {type(one.event) for one in events} == set(EVENTS)
    lifecycle = [one for one in events if is_sealed_lifecycle_event(one)]
    page = Page([Positioned(n, event) for n, event in enumerate(events, 1)], {LOGGED_STREAM: lifecycle})
    # when
    counts, state, listed = performance(page).counts, current_state(page), suppressions(page).added
    # then
    assert {reached for count in counts.values() for reached in count} == set(State)
    assert {row.state for row in state.actions.values()} >= {State.ERRORED, State.TIMEDOUT, State.ENGAGED}
    assert not state.parked
    assert [row.state for row in listed.values()] == [State.REJECTED]
