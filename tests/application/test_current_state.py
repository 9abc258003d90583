"""From a page of events to where every visitor-offer and action stands, and who is suppressed."""

from collections.abc import Sequence

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
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.visitor_offer import VisitorOffer
from support.scenario import (
    CUSTOMER,
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


def page(*briefs: BriefEvent, first: int = 1) -> Page:
    """A page that holds these events, at positions 10, 20, 30 …; `first` leaves out those before."""
    events = facts_of(VisitorOffer(STREAM), briefs, None)
    return Page([Positioned(10 * n, event) for n, event in enumerate(events, 1)][first - 1 :])


def offer_row(change: CurrentStateChange) -> OfferRow:
    """The only visitor-offer of the change."""
    ((stream, row),) = change.offers.items()
    assert stream == STREAM
    return row


def test_a_page_of_one_action_leaves_its_newest_state() -> None:
    """With its stage, its own time, and how many events the page added."""
    change = current_state(
        page(event("offered"), event("accepted", at=1), event("rejected", at=2, stage=Stage.FORM))
    )
    assert offer_row(change) == OfferRow(
        ORGANIZATION,
        VisitorKey("cookie", CUSTOMER),
        MAP_ID,
        native("a"),
        State.REJECTED,
        Stage.FORM,
        minute(2),
        1,
        3,
        None,
    )
    assert change.actions == {
        (STREAM, native("a")): ActionRow(1, State.REJECTED, Stage.FORM, minute(2), minute(0))
    }


def test_the_newest_action_is_the_state_of_the_visitor_offer() -> None:
    """The older one stays as a row of its own."""
    change = current_state(page(event("offered"), event("errored", at=1), event("offered", "b", 2)))
    row = offer_row(change)
    assert (row.action_id, row.state, row.actions, row.events_added) == (native("b"), "offered", 2, 3)
    assert change.actions == {
        (STREAM, native("a")): ActionRow(1, State.ERRORED, None, minute(1), minute(0)),
        (STREAM, native("b")): ActionRow(2, State.OFFERED, None, minute(2), minute(2)),
    }


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


def parked_rows(change: CurrentStateChange) -> dict[str, ParkedRow]:
    """What waits, by state."""
    return {state: row for (_, _, state), row in change.parked.items()}


def over(change: CurrentStateChange) -> list[str]:
    """The states that wait no longer, if they ever did."""
    return [state for _, _, state in change.over]


def test_a_parked_signal_waits_until_it_is_recorded_or_given_up() -> None:
    """What is over takes a row away, also one of an earlier page; parked again, it waits again."""
    row = ParkedRow(ORGANIZATION, minute(1), 20, RAW)
    briefs = (event("offered"), parked("started", at=1))
    assert parked_rows(current_state(page(*briefs))) == {"started": row}
    released = current_state(page(*briefs, event("accepted", at=2), event("started", at=1)))
    assert (parked_rows(released), over(released)) == ({}, ["offered", "accepted", "started"])
    given_up = current_state(page(*briefs, ended("started")))
    assert (parked_rows(given_up), over(given_up)) == ({}, ["offered", "started"])
    later = current_state(page(*briefs, ended("started"), first=3))
    assert (parked_rows(later), over(later)) == ({}, ["started"])
    again = page(*briefs, ended("started"), parked("started", at=1))
    assert parked_rows(current_state(again)) == {"started": row._replace(position=40)}


def test_a_refused_offer_takes_away_what_waits_for_it() -> None:
    """In this page and, by the action's name, in earlier ones; what waits for others stays."""
    briefs = (event("offered"), parked("started", "b", 1), parked("accepted", "c", 1))
    change = current_state(page(*briefs, refused_offer("b", 2, "already_open", "a", "offered", 0)))
    assert change.refused_actions == {(STREAM, native("b"))}
    assert [action for _, action, _ in change.parked] == [native("c")]


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
    key = SuppressionKey(ORGANIZATION, VisitorKey("cookie", CUSTOMER), MAP_ID)
    assert suppressions(page(*SUPPRESSING[state])) == {key: SuppressionRow(state, native("a"), minute(1))}


def test_nothing_else_suppresses() -> None:
    """No open state, no error, nothing that waits or was refused."""
    briefs = (
        event("offered"),
        parked("engaged"),
        event("errored"),
        event("offered", "b"),
        event("accepted", "b"),
    )
    assert not suppressions(page(*briefs, refused_offer("c", 0, "already_open", "b", "accepted", 0)))
