"""A store records the visitors of its own slices and no other, whoever changes them meanwhile."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, Final

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import SliceElsewhereError
from offerlog_application.recording.batches import Receipt
from offerlog_domain.identity import VisitorKey
from offerlog_domain.stream_ids import ALL_SLICES, slice_of
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from support.internals import application_of
from support.journeys import an_id, blocked_event, signal
from support.recount import rows

_VISITORS: Final = 60
"""Enough that each of two halves of the slices has some of them; the secret of a store is random."""

_COUNT_EVENTS: Final = """
    SELECT count(*) FROM offerlog_events WHERE topic LIKE 'offered%%'
      AND ('x' || substr(originator_id::text, 1, 1))::bit(4)::int = ANY(%s)
"""


def own(dsn: str, slices: Sequence[int]) -> None:
    """Let the store own these slices and no other."""
    rows(dsn, "UPDATE slices SET is_owned = slice = ANY(%s), epoch = epoch + 1", list(slices))


def slice_of_visitor(service: Offerlog, visitor: object) -> int:
    """The slice of the visitor of a signal."""
    key = application_of(service).keys.key(service.organization)
    sent = signal("offered", visitor=visitor)
    return slice_of(key.digest(VisitorKey("cookie", str(sent["customerId"]))))


def fate(future: Future[Receipt]) -> str:
    """What became of one signal."""
    error = future.exception(60)
    if error is None:
        return future.result(60).outcomes[0].kind.value
    assert isinstance(error, SliceElsewhereError)
    return f"elsewhere {sorted(error.slices)}"


def test_only_signals_of_other_slices_fail_and_their_group_does_not(offerlog: Offerlog, dsn: str) -> None:
    """The same process learns what has gone, and what has come back, by itself."""
    slices = [slice_of_visitor(offerlog, n) for n in range(_VISITORS)]
    owned = sorted(set(slices))[::2]

    def record() -> list[str]:
        futures = [offerlog.submit([signal("offered", visitor=n)]) for n in range(_VISITORS)]
        return [fate(one) for one in futures]

    # given a process that has recorded one of the visitors
    assert offerlog.record([signal("offered", visitor=0)]).outcomes[0].kind.value == "recorded"
    # when
    own(dsn, owned)
    # then
    first = "duplicate" if slices[0] in owned else f"elsewhere [{slices[0]}]"
    expected = ["recorded" if one in owned else f"elsewhere [{one}]" for one in slices]
    assert record() == [first, *expected[1:]]
    assert rows(dsn, _COUNT_EVENTS, [*ALL_SLICES - set(owned)]) == [(int(slices[0] not in owned),)]
    # and when it owns all of them again
    own(dsn, sorted(ALL_SLICES))
    again = ["duplicate" if one in owned else "recorded" for one in slices]
    assert record() == ["duplicate", *again[1:]]


def test_a_slice_that_comes_is_noticed_though_none_of_its_visitors_is_known(
    offerlog: Offerlog, dsn: str
) -> None:
    """Neither a load nor an append would tell the process, if it refused the signal by what it remembers."""
    own(dsn, sorted(ALL_SLICES - {slice_of_visitor(offerlog, 1)}))
    with pytest.raises(SliceElsewhereError):
        offerlog.record([signal("offered")])
    own(dsn, sorted(ALL_SLICES))
    assert offerlog.record([signal("offered")]).outcomes[0].kind.value == "recorded"


@pytest.fixture
def without_the_visitor(offerlog: Offerlog, dsn: str) -> Offerlog:
    """A service that has recorded a visitor, whose slice the store does not own any more."""
    offerlog.record([signal("offered"), blocked_event(1, 1, an_id("map"), "frequencyCap")])
    own(dsn, sorted(ALL_SLICES - {slice_of_visitor(offerlog, 1)}))
    return offerlog


def _visitor(**more: object) -> dict[str, Any]:
    sent = signal("offered")
    return {"customer_id": str(sent["customerId"]), **more}


def _with_map(**more: object) -> dict[str, Any]:
    return _visitor(action_map_id=str(signal("offered")["actionMapId"]), **more)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda service: service.record([signal("offered")]), id="a repeat"),
        pytest.param(lambda service: service.record([signal("engaged")]), id="a signal to park"),
        pytest.param(lambda service: service.record([signal("qualified")]), id="a signal to refuse"),
        pytest.param(
            lambda service: service.record([blocked_event(1, 1, an_id("map"), "frequencyCap")]),
            id="a repeat of a blocked offer",
        ),
        pytest.param(lambda service: service.offer(**_with_map(session_id=an_id(1))), id="an offer"),
        pytest.param(lambda service: service.eligibility(**_with_map()), id="eligibility"),
        pytest.param(lambda service: service.erase(**_visitor()), id="an erasure"),
        pytest.param(lambda service: service.visitor_data(**_visitor()), id="a request for data"),
        pytest.param(lambda service: service.hold_visitor(**_visitor(reason="a lawsuit")), id="a legal hold"),
    ],
)
def test_nothing_is_answered_from_a_slice_that_has_gone(
    without_the_visitor: Offerlog, dsn: str, ask: Callable[[Offerlog], object]
) -> None:
    """The rows are still there, and stay as they are: the slice may be on its way."""
    before = rows(dsn, "SELECT * FROM offerlog_events ORDER BY 1")
    with pytest.raises(SliceElsewhereError, match="send it again"):
        ask(without_the_visitor)
    assert rows(dsn, "SELECT * FROM offerlog_events ORDER BY 1") == before
    assert rows(dsn, "SELECT count(*) FROM refusals") == [(0,)]
    # and when it has come back
    own(dsn, sorted(ALL_SLICES))
    ask(without_the_visitor)


def test_behind_the_fence_no_event_comes_into_a_slice_that_was_given_away(dsn: str) -> None:
    """Two services write all the time. What they acknowledge is in the log; what they do not, is not."""
    over = threading.Event()
    kept: dict[str, list[int]] = {"recorded": [], "elsewhere": []}
    reached = {"recorded": threading.Semaphore(0), "elsewhere": threading.Semaphore(0)}

    def write(start: int) -> None:
        with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
            number = start
            while not over.is_set():
                numbers = range(number, number + 40)
                futures = [service.submit([signal("offered", visitor=n)]) for n in numbers]
                for n, future in zip(numbers, futures, strict=True):
                    kind = fate(future).split()[0]
                    kept[kind].append(n)
                    reached[kind].release()
                number += 40

    given_away = [0, 3, 6, 9, 12, 15]
    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10_000_000)]
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service,
        closing(OfferlogApplication(dsn, SCHEMA)) as application,
    ):
        for thread in threads:
            thread.start()
        try:
            for _ in range(4):
                # given writers at work
                for _ in range(200):
                    assert reached["recorded"].acquire(timeout=60)
                # when
                own(dsn, sorted(ALL_SLICES - set(given_away)))
                PostgresFence(application).finish(60)
                # then
                before = rows(dsn, _COUNT_EVENTS, given_away)
                while reached["elsewhere"].acquire(blocking=False):
                    pass
                for _ in range(60):
                    assert reached["elsewhere"].acquire(timeout=60)
                assert rows(dsn, _COUNT_EVENTS, given_away) == before
                own(dsn, sorted(ALL_SLICES))
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        assert rows(dsn, _COUNT_EVENTS, sorted(ALL_SLICES)) == [(len(kept["recorded"]),)]
        assert {slice_of_visitor(service, n) for n in kept["elsewhere"]} == set(given_away)


def test_no_slice_changes_hands_without_a_new_epoch(offerlog: Offerlog, dsn: str) -> None:
    """Writers look at the epoch alone."""
    application = application_of(offerlog)
    epoch, owned, _ = application.log.select_epoch_state()
    assert owned == ALL_SLICES
    rows(dsn, "UPDATE slices SET is_owned = false WHERE slice = 7")
    assert application.log.select_epoch_state()[:2] == (epoch + 1, ALL_SLICES - {7})
    rows(dsn, "DELETE FROM slices WHERE slice = 8")
    assert application.log.select_epoch_state()[:2] == (epoch + 2, ALL_SLICES - {7, 8})
