"""Events that belong to no visitor-offer pass through the projections; `VisitorErased` removes rows."""

import random
from dataclasses import replace

import pytest

from offerlog_application.projections.current_state import current_state
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.performance import BlockedKey, performance
from offerlog_application.projections.slots import slot
from offerlog_application.projections.suppression import suppressions
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.events import OfferRefused, is_sealed_lifecycle_event
from offerlog_domain.service_events import BlockedTally, ServiceEvent, VisitorErased
from offerlog_domain.stream_ids import (
    make_organization_stream_id,
    make_stream_id,
    make_token,
    make_visitor_stream_id,
)
from offerlog_domain.visitor_offer import VisitorOffer
from support.scenario import MAP_ID, ORGANIZATION, START, STREAM, facts_of, native, one_of_each, parked
from support.sealed import LOGGED_STREAM, TOKEN, seal
from support.service_events import ONE_OF_EACH

NEIGHBOUR = make_stream_id(make_token(native("n"), START, 1), MAP_ID)


def page_of(*sealed: SealedEvent[Event]) -> Page:
    """A page that holds whole streams."""
    reached = [one for one in sealed if is_sealed_lifecycle_event(one)]
    streams = {one.originator_id for one in sealed}
    earlier = {stream: [one for one in reached if one.originator_id == stream] for stream in streams}
    return Page([Positioned(n, one) for n, one in enumerate(sealed, 1)], earlier)


def entry(event: ServiceEvent) -> SealedEvent[Event]:
    """The event in its stream: the erased visitor is that of the scenario."""
    own = make_visitor_stream_id(TOKEN)
    stream = own if isinstance(event, VisitorErased) else make_organization_stream_id(ORGANIZATION)
    return SealedEvent(stream, 1, event, b"")


BRIEFS = [*one_of_each(), parked("accepted", "z", 1)]
PAST = [seal(one) for one in facts_of(VisitorOffer(STREAM), BRIEFS, None)]


@pytest.mark.parametrize("event", [one for one in ONE_OF_EACH if not isinstance(one, BlockedTally)])
def test_no_count_changes(event: ServiceEvent) -> None:
    """Of no kind: not the counts, not the repeats, not the names."""
    assert performance(page_of(*PAST, entry(event))) == performance(page_of(*PAST))


def test_a_tally_adds_its_number_to_the_blocked_offers_alone() -> None:
    """To those of its map, reason, quarter-hour, media type and version; a refused offer counts as one."""
    # given
    (tally,) = [one for one in ONE_OF_EACH if isinstance(one, BlockedTally)]
    refused = [one for one in PAST if isinstance(one.event, OfferRefused)]
    # when
    before, after = performance(page_of(*PAST)), performance(page_of(*PAST, entry(tally)))
    # then
    key = BlockedKey(ORGANIZATION, MAP_ID, slot(START), "FrequencyCapping", "webchat", 3)
    assert after == replace(before, blocked_counts={**before.blocked_counts, key: 2**31})
    assert sum(before.blocked_counts.values()) == len(before.blocked) == len(refused) > 0


@pytest.mark.parametrize("event", [one for one in ONE_OF_EACH if not isinstance(one, VisitorErased)])
def test_the_other_kinds_change_no_row(event: ServiceEvent) -> None:
    """They are about no visitor."""
    with_entry, without = page_of(*PAST, entry(event)), page_of(*PAST)
    assert current_state(with_entry) == current_state(without)
    assert suppressions(with_entry) == suppressions(without)


def test_an_erasure_removes_the_rows_of_that_visitor_alone() -> None:
    """Also those of the same page, in whatever order a rebuild reads it."""
    # given
    neighbours = [seal(one, NEIGHBOUR) for one in facts_of(VisitorOffer(STREAM), BRIEFS, None)]
    (erased,) = [entry(one) for one in ONE_OF_EACH if isinstance(one, VisitorErased)]
    alone = page_of(*neighbours)
    for seed in range(3):
        order = [*PAST, erased]
        random.Random(seed).shuffle(order)  # noqa: S311 - an example
        # when
        state, listed = (
            current_state(page_of(*order, *neighbours)),
            suppressions(page_of(*order, *neighbours)),
        )
        # then
        assert (set(state.erased), set(listed.erased)) == ({TOKEN}, {TOKEN})
        assert {stream for stream, _ in state.parked} == {NEIGHBOUR}
        assert [*state.offers] == [NEIGHBOUR]
        assert state.actions == current_state(alone).actions
        assert listed.added == suppressions(alone).added
    assert LOGGED_STREAM not in current_state(page_of(erased)).offers
