"""One visitor-offer as it is, as it was at a version, and as it was known at a time."""

from collections.abc import Sequence

import pytest

from offerlog_application.reading.audit import History, history
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.visitor_offer import VisitorOffer
from support.scenario import CUSTOMER, STREAM, event, facts_of, minute, parked, refused

VISITOR = VisitorKey("cookie", CUSTOMER)

FACTS: Sequence[RecordedEvent[Event]] = facts_of(
    VisitorOffer(STREAM),
    [
        parked("accepted", at=9, recorded=1),
        event("offered", at=8, recorded=2),
        event("accepted", at=9, recorded=2),
        refused("b", 10, "already_open", "a", "accepted", 9),
        event("started", at=3, recorded=20),
    ],
    None,
)


def states(past: History) -> list[str]:
    """Its events in short."""
    return [one.state.value for one in past.events]


def test_the_whole_history_counts_lifecycle_events_only() -> None:
    """What waited or was refused has no version."""
    past = history(FACTS, VISITOR)
    assert states(past) == ["offered", "accepted", "started"]
    assert (past.version, past.state) == (3, State.STARTED)
    assert {one.visitor for one in past.events} == {VISITOR}


@pytest.mark.parametrize(
    ("version", "state"),
    [(0, None), (1, "offered"), (2, "accepted"), (3, "started"), (9, "started"), (10**30, "started")],
)
def test_a_version_stops_behind_that_event(version: int, state: str | None) -> None:
    """A version that is not there yet is the newest."""
    past = history(FACTS, VISITOR, version=version)
    assert past.state == state
    assert past.version == min(version, 3)


@pytest.mark.parametrize(("at", "version"), [(0, 0), (1, 0), (1.99, 0), (2, 2), (19, 2), (20, 3), (99, 3)])
def test_as_of_is_what_had_been_recorded_by_then(at: float, version: int) -> None:
    """By the service's clock, that instant included; not by when it happened."""
    assert history(FACTS, VISITOR, as_of=minute(at)).version == version


def test_both_together() -> None:
    """The earlier end wins."""
    assert history(FACTS, VISITOR, version=1, as_of=minute(99)).version == 1
    assert history(FACTS, VISITOR, version=3, as_of=minute(2)).version == 2


def test_what_is_no_version_and_no_moment() -> None:
    """Both are said by name."""
    with pytest.raises(ValueError, match="version: 0 or more is needed, not -1"):
        history(FACTS, VISITOR, version=-1)
    with pytest.raises(ValueError, match="as_of: a time with an offset is needed"):
        history(FACTS, VISITOR, as_of=minute(1).replace(tzinfo=None))


def test_nothing_ever_offered() -> None:
    """No version and no state."""
    for events in ([], FACTS[:1]):
        past = history(events, VISITOR)
        assert (past.version, past.state) == (0, None)
