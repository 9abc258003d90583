"""The grouping of calls changes neither the answers nor the list of refusals."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from offerlog import OutcomeKind, Reason
from offerlog.testing import SettableClock, open_in_memory
from support.journeys import DAY, signal

_STATES = ("offered", "accepted", "rejected", "started", "engaged", "abandoned", "ignored", "errored")


def _make_calls(seed: int) -> Iterator[list[dict[str, object]]]:
    """Make small batches of six actions, many signals twice, some of them wrong."""
    chosen = random.Random(seed)  # noqa: S311 - an example, the same each time
    for _ in range(4):
        batch = [
            signal(chosen.choice(_STATES), visitor=chosen.randrange(2), action=chosen.randrange(3))
            for _ in range(chosen.randrange(1, 5))
        ]
        for one in [*batch]:
            if chosen.random() < 0.5:
                batch.insert(chosen.randrange(len(batch) + 1), one)
            if chosen.random() < 0.2:
                batch.append({**one, "createdDate": chosen.choice(["soon", "1990-01-01T00:00:00Z"])})
        yield batch


def _record(calls: Sequence[Any], *, at_once: bool) -> tuple[list[Any], Counter[tuple[Reason | None, bytes]]]:
    """Record calls one by one, or hand in all before the first answer; returns outcomes and refusals."""
    with open_in_memory(clock=SettableClock(DAY + timedelta(seconds=5))) as service:
        answers = (
            [pending.result(30) for pending in [service.submit(call) for call in calls]]
            if at_once
            else [service.record(call) for call in calls]
        )
        outcomes = [[(one.kind, one.reason) for one in answer.outcomes] for answer in answers]
        return outcomes, Counter((one.reason, one.raw) for one in service.refusals())


@pytest.mark.parametrize("seed", range(8))
def test_answers_and_refusals_are_those_of_calls_one_by_one(seed: int) -> None:
    """Each refused outcome has its entry, also that of a signal that came twice in a batch."""
    calls = [*_make_calls(seed)]
    # when
    outcomes, refusals = _record(calls, at_once=False)
    # then
    assert (outcomes, refusals) == _record(calls, at_once=True)
    refused = Counter(reason for call in outcomes for kind, reason in call if kind is OutcomeKind.REFUSED)
    assert refused <= Counter(reason for reason, _ in refusals.elements())


def test_what_waits_already_is_refused_once_and_what_comes_behind_is_refused_each_time() -> None:
    """A batch is put into order, so it matters in which call an offer comes. Their grouping does not."""
    before = [signal("offered"), signal("ignored")]
    twice = [signal("accepted", action=2)] * 2
    for calls, entries in (
        ([before, [*twice, signal("offered", action=2)]], 2),
        ([before, twice, [signal("offered", action=2)]], 1),
    ):
        outcomes, refusals = _record(calls, at_once=False)
        assert (
            sum(count for (reason, _), count in refusals.items() if reason is Reason.OFFER_REFUSED) == entries
        )
        assert (outcomes, refusals) == _record(calls, at_once=True)
