"""The judge of a soak of webhooks finds every violation."""

from dataclasses import replace

import pytest

from soak.webhooks.judge import MOST_AT_ONCE, MOST_IN_GROUP, Event, Run, judge

_EVENTS = [Event("a", 1), Event("b", 2), Event("a", 3), Event("b", 5)]
_FIRST = _EVENTS[0]


def test_a_clean_run_has_no_violation() -> None:
    """Visitors may come in any order, and what was sent before a kill may come again behind later events."""
    mixed = [_EVENTS[1], _FIRST, _EVENTS[3], _EVENTS[2]]
    doubled = [*mixed, *mixed * MOST_AT_ONCE, *[_FIRST] * 3]
    assert judge(Run(_EVENTS, mixed)) == []
    assert judge(Run(_EVENTS, doubled, lost_answers=3, kills=1)) == []
    assert judge(Run(_EVENTS, doubled, lost_answers=3, lost_turns=1)) == []
    assert judge(Run(_EVENTS, doubled, lost_answers=3, restarts=MOST_IN_GROUP // MOST_AT_ONCE)) == []


@pytest.mark.parametrize(
    ("changed", "violation"),
    [
        ({"taken": _EVENTS[:3]}, "lost: Event(visitor='b', position=5)"),
        ({"taken": [*_EVENTS, Event("b", 4)]}, "not of the log: Event(visitor='b', position=4)"),
        ({"taken": _EVENTS[::-1]}, "misplaced: Event(visitor='a', position=1) behind 3"),
        ({"taken": [*_EVENTS, *[_FIRST] * 33], "kills": 1}, "doubled: 33, and at most 32 may be"),
        ({"given_up": 1}, "given up: 1"),
    ],
)
def test_each_violation_is_found(changed: dict[str, object], violation: str) -> None:
    """A clean run, changed in one way."""
    assert violation in judge(replace(Run(_EVENTS, list(_EVENTS)), **changed))  # type: ignore[arg-type] # of a run
