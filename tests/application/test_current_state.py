"""From a page of events to where every visitor-offer and action stands, and who is suppressed."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from offerlog_application.projections.current_state import (
    ActionRow,
    CurrentStateChange,
    OfferRow,
    ParkedRow,
    current_state,
)
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow, suppressions
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.memory.visitors import open_private
from support.scenario import (
    MAP_ID,
    ORGANIZATION,
    RAW,
    STREAM,
    BriefEvent,
    ended,
    event,
    facts_of,
    minute,
    native,
    parked,
)
from support.scenario import refused as refused_offer
from support.sealed import LOGGED_STREAM, TOKEN, seal


def page(*briefs: BriefEvent, first: int = 1) -> Page:
    """A page that holds these events, at positions 10, 20, 30 …; `first` leaves out those before."""
    events = [seal(one) for one in facts_of(VisitorOffer(STREAM), briefs, None)]
    return Page([Positioned(10 * n, event) for n, event in enumerate(events, 1)][first - 1 :])


def offer_row(change: CurrentStateChange) -> OfferRow:
    """The only visitor-offer of the change."""
    ((stream, row),) = change.offers.items()
    assert stream == LOGGED_STREAM
    return row


def action_row(
    state: State, stage: Stage | None, since: float, offered: float, accepted: datetime | None = None
) -> ActionRow:
    """The row of an action whose chat has not started."""
    return ActionRow(ORGANIZATION, MAP_ID, state, stage, minute(since), minute(offered), accepted)


def test_a_page_of_one_action_leaves_its_newest_state() -> None:
    """With its stage, its own time, and how many events the page added."""
    change = current_state(
        page(event("offered"), event("accepted", at=1), event("rejected", at=2, stage=Stage.FORM))
    )
    assert offer_row(change) == OfferRow(
        ORGANIZATION,
        TOKEN,
        MAP_ID,
        State.REJECTED,
        Stage.FORM,
        minute(2),
        1,
        3,
        None,
    )
    assert change.actions == {
        (LOGGED_STREAM, 1): action_row(State.REJECTED, Stage.FORM, 2, 0, accepted=minute(1))
    }


def test_the_newest_action_is_the_state_of_the_visitor_offer() -> None:
    """The older one stays as a separate row."""
    change = current_state(page(event("offered"), event("errored", at=1), event("offered", "b", 2)))
    row = offer_row(change)
    assert (row.state, row.actions, row.events_added) == ("offered", 2, 3)
    assert change.actions == {
        (LOGGED_STREAM, 1): action_row(State.ERRORED, None, 1, 0),
        (LOGGED_STREAM, 2): action_row(State.OFFERED, None, 2, 2),
    }


def test_an_open_action_is_silent_since_the_latest_of_its_times() -> None:
    """Of all events of that action, by either clock; an action that is over is not silent."""
    # given an event of the first action that was recorded late, and a clock that is ahead
    first = (event("offered", recorded=500), event("errored", at=1))
    second = (event("offered", "b", 2, recorded=9), event("accepted", "b", 3, recorded=7))
    # then
    assert offer_row(current_state(page(*first, *second))).touched_at == minute(9)
    assert offer_row(current_state(page(*first, event("offered", "b", 20, recorded=5)))).touched_at == minute(
        20
    )
    assert offer_row(current_state(page(*first))).touched_at is None


def test_a_page_counts_only_its_own_events() -> None:
    """What earlier pages brought is there already; bookkeeping events are no events."""
    briefs = (event("offered"), parked("engaged"), event("accepted", at=1), event("started", at=2))
    assert offer_row(current_state(page(*briefs, first=2))).events_added == 2
    assert not current_state(page(parked("engaged"))).offers


@pytest.mark.parametrize(("recorded", "withdrawn"), [(None, 1), (100, 101), (-100, 1)])
def test_an_unanswered_offer_times_out_from_the_later_of_its_clocks(
    recorded: float | None, withdrawn: float
) -> None:
    """The deadline's search needs that moment; an answered one has none."""
    offered = event("offered", timeout_seconds=60, recorded=recorded)
    assert offer_row(current_state(page(offered))).deadline_at == minute(withdrawn)
    assert offer_row(current_state(page(event("offered")))).deadline_at is None
    answered = current_state(page(offered, event("accepted", timeout_seconds=60)))
    assert offer_row(answered).deadline_at is None


def parked_rows(change: CurrentStateChange) -> dict[int, ParkedRow]:
    """What waits, by its place in the stream."""
    assert {stream for stream, _ in change.parked} <= {LOGGED_STREAM}
    return {version: row for (_, version), row in change.parked.items()}


def over(change: CurrentStateChange) -> list[int]:
    """The places of those that wait no longer."""
    return [version for _, version in change.over]


def test_a_parked_signal_waits_until_it_is_recorded_or_given_up() -> None:
    """What is over takes a row away, also one of an earlier page; parked again, it waits again."""
    briefs = (event("offered"), parked("started", at=1))
    row = ParkedRow(ORGANIZATION, TOKEN, MAP_ID, minute(1), 20, page(*briefs).events[1].recorded.sealed)
    assert parked_rows(current_state(page(*briefs))) == {2: row}
    assert open_private(row.sealed).raw == RAW
    released = current_state(page(*briefs, event("accepted", at=2), event("started", at=1)))
    assert (parked_rows(released), over(released)) == ({}, [2])
    given_up = current_state(page(*briefs, ended("started")))
    assert (parked_rows(given_up), over(given_up)) == ({}, [2])
    later = current_state(page(*briefs, ended("started"), first=3))
    assert (parked_rows(later), over(later)) == ({}, [2])
    again = page(*briefs, ended("started"), parked("started", at=1))
    assert parked_rows(current_state(again)) == {4: row._replace(position=40)}


def test_a_refused_offer_takes_away_what_waits_for_it() -> None:
    """In this page and in earlier ones; what waits for others stays."""
    briefs = (event("offered"), parked("started", "b", 1), parked("accepted", "c", 1))
    blocked = refused_offer("b", 2, "already_open", "a", "offered", 0)
    change = current_state(page(*briefs, blocked))
    assert (over(change), [*parked_rows(change)]) == ([2], [3])
    assert over(current_state(page(*briefs, blocked, first=4))) == [2]


SUPPRESSING: dict[str, Sequence[BriefEvent]] = {
    "engaged": (event("offered"), event("accepted"), event("started"), event("engaged", at=1)),
    "rejected": (event("offered"), event("rejected", at=1, stage=Stage.INVITATION)),
    "timedout": (event("offered"), event("timedout", at=1)),
    "ignored": (event("offered"), event("ignored", at=1)),
    "abandoned": (event("offered"), event("accepted"), event("started"), event("abandoned", at=1)),
}


@pytest.mark.parametrize("state", SUPPRESSING)
def test_a_terminal_state_suppresses(state: State) -> None:
    """Since it occurred, in that action."""
    changed = page(*SUPPRESSING[state])
    last = changed.events[-1].recorded
    row = SuppressionRow(ORGANIZATION, state, minute(1), last.originator_version, last.sealed)
    assert suppressions(changed).added == {SuppressionKey(TOKEN, MAP_ID): row}
    assert open_private(row.sealed).action_id == native("a")


def test_nothing_else_suppresses() -> None:
    """No open state, no error, nothing that waits or was refused."""
    briefs = (
        event("offered"),
        parked("engaged"),
        event("errored"),
        event("offered", "b"),
        event("accepted", "b"),
    )
    assert not suppressions(page(*briefs, refused_offer("c", 0, "already_open", "b", "accepted", 0))).added
