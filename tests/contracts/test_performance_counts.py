"""What the performance report's counts promise, in memory and on PostgreSQL alike."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.read_side import PerformanceSource
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.slots import DAY_SLOTS
from offerlog_domain.event_fields import Event, RecordedEvent, SealedEvent
from offerlog_domain.events import LifecycleEvent, is_sealed_lifecycle_event
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import METRICS, Cohort, CountBy
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.projections.projector import PostgresProjector
from offerlog_infrastructure.postgres.reads.lists import PostgresReadSide
from offerlog_infrastructure.postgres.reads.performance import PostgresPerformance
from support.keyrings import run_keyring
from support.memory_counts import count_pages
from support.recount import until
from support.scenario import START, STREAM, BriefEvent, event, facts_of, key_of, uuid
from support.sealed import seal

MAP_A, MAP_B, MAP_C, MAP_D = (ActionMapId(uuid(letter)) for letter in "mnop")
DAY = 24 * 60
FIRST = int(START.timestamp()) // 900
"""The slot of minute 0; the day begins 40 slots earlier."""
START_OF_DAY = FIRST - FIRST % DAY_SLOTS

Count = Callable[[Sequence[RecordedEvent[Event]]], PerformanceSource]


def life(
    number: int, *briefs: BriefEvent, action_map: str = MAP_A, organization: str = "acme"
) -> list[RecordedEvent[Event]]:
    """The events of another visitor-offer."""
    stream = UUID(int=number)
    events = facts_of(VisitorOffer(STREAM), briefs, None)
    return [
        replace(
            one,
            originator_id=stream,
            event=replace(one.event, action_map_id=UUID(action_map), organization=organization),
        )
        for one in events
    ]


def in_memory(_: pytest.FixtureRequest) -> Iterator[Count]:
    """Counted in two pages, as a projector might take them."""

    def count(events: Sequence[RecordedEvent[Event]]) -> PerformanceSource:
        streams: defaultdict[UUID, list[SealedEvent[LifecycleEvent]]] = defaultdict(list)
        sealed = [seal(one, one.originator_id) for one in events]
        for one in sealed:
            if is_sealed_lifecycle_event(one):
                streams[one.originator_id].append(one)
        positioned = [Positioned(n, one) for n, one in enumerate(sealed, 1)]
        half = len(positioned) // 2
        return count_pages([Page(part, streams) for part in (positioned[:half], positioned[half:])])

    yield count


def on_postgresql(request: pytest.FixtureRequest) -> Iterator[Count]:
    """Counted by the projector, from the log."""
    dsn = request.getfixturevalue("dsn")
    with (
        closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application,
        closing(PostgresProjector(application)) as projector,
        closing(PostgresReadSide(application, SystemClock())) as reads,
    ):

        def count(events: Sequence[RecordedEvent[Event]]) -> PerformanceSource:
            log = PostgresLog(application)
            for one in events:  # one by one, so that positions are those of the order given
                log.load([key_of(one)])
                log.append([one], [])
            projector.wake()
            until(lambda: reads.position() >= log.last())
            return PostgresPerformance(application)

        yield count


@pytest.fixture(params=[in_memory, on_postgresql])
def count(request: pytest.FixtureRequest) -> Iterator[Count]:
    """Counts a log of each kind; only the one on PostgreSQL needs a server."""
    yield from request.param(request)


def counted(source: PerformanceSource, query: ReportQuery, most: int | None = None) -> dict[str, str]:
    """The counts of all time, in short: by map, `state count` of each that is not 0."""
    first, end = source.slots(query)
    found = source.counts(query, first, end, [(first, 0)], most)
    for row in found.values():
        assert list(row.states) == list(METRICS)
    return {
        action_map: ", ".join(f"{state} {number}" for state, number in row.states.items() if number)
        for (action_map, _), row in found.items()
    }


def test_nothing_counted_has_no_slots(count: Count) -> None:
    """And no names, maps or spans."""
    source = count(life(1, event("offered")))
    for query in (ReportQuery("other"), ReportQuery("acme", action_maps=(MAP_B,))):
        assert source.slots(query) == (0, 0)
        assert list(source.spans(query, 0, FIRST + 9999, 1)) == []
        assert source.counts(query, 0, FIRST + 9999, [(0, 0)], None) == {}
    assert source.names("acme", [MAP_A]) == {}
    assert list(source.action_maps("other")) == []


def test_slots_and_spans_are_those_of_whole_days(count: Count) -> None:
    """A span ends where more days than asked for hold nothing; it is cut at the bounds asked for."""
    # given events on days 0, 2 and 9 of one map, and on day 30 of another
    source = count(
        [
            *life(1, event("offered"), event("accepted", at=2 * DAY)),
            *life(2, event("offered", at=9 * DAY)),
            *life(3, event("offered", at=30 * DAY), action_map=MAP_B),
        ]
    )
    query, day = ReportQuery("acme", action_maps=(MAP_A,)), START_OF_DAY
    # then
    first, end = source.slots(query)
    assert (first, end) == (day, day + 10 * DAY_SLOTS)
    assert source.slots(ReportQuery("acme")) == (day, day + 31 * DAY_SLOTS)
    nine = (day + 9 * DAY_SLOTS, end)
    assert list(source.spans(query, first, end, 2)) == [(day, day + 3 * DAY_SLOTS), nine]
    assert list(source.spans(query, first, end, 7)) == [(day, end)]
    assert list(source.spans(query, day + 5, end - 5, 1)) == [
        (day + 5, day + DAY_SLOTS),
        (day + 2 * DAY_SLOTS, day + 3 * DAY_SLOTS),
        (nine[0], end - 5),
    ]
    assert list(source.spans(query, day + 5 * DAY_SLOTS, day + 6 * DAY_SLOTS, 2)) == []


def test_counts_are_by_map_and_bucket(count: Count) -> None:
    """Half-open; a bucket of several days and one of a quarter-hour are counted alike."""
    # given
    source = count(
        [
            *life(1, event("offered"), event("accepted", at=15), event("started", at=29.9)),
            *life(2, event("offered", at=14), event("ignored", at=3 * DAY)),
            *life(3, event("offered", at=5 * DAY), action_map=MAP_B),
        ]
    )
    query = ReportQuery("acme")
    # when they are asked for by quarter-hours and the rest
    edges = [(FIRST, 0), (FIRST + 1, 1), (FIRST + 2, 2)]
    found = source.counts(query, FIRST, FIRST + 4 * DAY_SLOTS, edges, None)
    # then
    assert {where: {s: n for s, n in row.states.items() if n} for where, row in found.items()} == {
        (MAP_A, 0): {State.OFFERED: 2},
        (MAP_A, 1): {State.ACCEPTED: 1, State.STARTED: 1},
        (MAP_A, 2): {State.IGNORED: 1},
    }
    assert counted(source, query) == {
        MAP_A: "offered 2, accepted 1, started 1, ignored 1",
        MAP_B: "offered 1",
    }
    assert counted(source, ReportQuery("acme", action_maps=(MAP_B,))) == {MAP_B: "offered 1"}


def test_a_cohort_is_counted_where_it_was_offered(count: Count) -> None:
    """The whole funnel of an action in the slot of its offer."""
    source = count(life(1, event("offered"), event("accepted", at=DAY), event("started", at=2 * DAY)))
    query = ReportQuery("acme", cohort=Cohort.OFFERED)
    assert source.slots(query) == (START_OF_DAY, START_OF_DAY + DAY_SLOTS)
    assert counted(source, query) == {MAP_A: "offered 1, accepted 1, started 1"}


@pytest.mark.parametrize("cohort", Cohort)
def test_a_visitor_counts_once_in_a_bucket(count: Count, cohort: Cohort) -> None:
    """However many actions of the visitor-offer reached the state there."""
    # given three actions of one visitor within an hour and a day, and one of another visitor
    source = count(
        [
            *life(
                1,
                *(event("offered"), event("errored", at=1)),
                *(event("offered", "b", 20), event("errored", "b", 21)),
                *(event("offered", "c", DAY), event("accepted", "c", DAY + 1)),
            ),
            *life(2, event("offered", at=2)),
        ]
    )
    actions = ReportQuery("acme", cohort=cohort)
    visitors = dataclasses.replace(actions, count_by=CountBy.VISITORS)
    # then
    assert counted(source, actions) == {MAP_A: "offered 4, accepted 1, errored 2"}
    assert counted(source, visitors) == {MAP_A: "offered 2, accepted 1, errored 1"}
    edges = [(FIRST, 0), (FIRST + 4, 1)]
    found = source.counts(visitors, FIRST, FIRST + 2 * DAY_SLOTS, edges, None)
    assert [found[MAP_A, bucket].states[State.OFFERED] for bucket in (0, 1)] == [2, 1]


@pytest.mark.parametrize("cohort", Cohort)
def test_one_media_type_is_counted_alone(count: Count, cohort: Cohort) -> None:
    """A visitor counts once among the actions of the type; whole days and quarter-hours are counted alike."""
    content: dict[str, Any] = {"media_type": "contentOffer"}
    source = count(
        [
            *life(
                1,
                *(event("offered"), event("errored", at=1)),
                *(event("offered", "b", 20, **content), event("errored", "b", 21, **content)),
                *(event("offered", "c", DAY, action_map_version=4), event("errored", "c", DAY + 1)),
                *(event("offered", "d", 3 * DAY, **content), event("accepted", "d", 3 * DAY + 1, **content)),
            ),
            *life(2, event("offered", at=2), action_map=MAP_B),
        ]
    )
    every = ReportQuery("acme", cohort=cohort)
    chats, contents = (dataclasses.replace(every, media_type=one) for one in ("webchat", "contentOffer"))
    visitors = [dataclasses.replace(one, count_by=CountBy.VISITORS) for one in (every, chats, contents)]
    # then
    assert counted(source, every)[MAP_A] == "offered 4, accepted 1, errored 3"
    assert counted(source, chats) == {MAP_A: "offered 2, errored 2", MAP_B: "offered 1"}
    assert counted(source, contents) == {MAP_A: "offered 2, accepted 1, errored 1"}
    assert [counted(source, one)[MAP_A] for one in visitors] == [
        "offered 1, accepted 1, errored 1",
        "offered 1, errored 1",
        "offered 1, accepted 1, errored 1",
    ]
    assert source.slots(contents) == (START_OF_DAY, START_OF_DAY + 4 * DAY_SLOTS)
    assert list(source.spans(chats, START_OF_DAY, START_OF_DAY + 9 * DAY_SLOTS, 1))[-1][1] == (
        START_OF_DAY + 2 * DAY_SLOTS
    )


def test_a_row_knows_the_media_types_that_it_counts(count: Count) -> None:
    """Of whole days and of quarter-hours, of one bucket and not of the map."""
    # given content offers on days 0 and 9, and a web chat and a web messaging offer on day 4
    content: dict[str, Any] = {"media_type": "contentOffer"}
    source = count(
        [
            *life(1, event("offered", **content), event("accepted", at=1, **content)),
            *life(2, event("offered", at=4 * DAY)),
            *life(3, event("offered", at=4 * DAY, media_type="webMessagingOffer")),
            *life(4, event("offered", at=9 * DAY, **content)),
        ]
    )
    query = ReportQuery("acme")
    first, behind = START_OF_DAY, START_OF_DAY + 10 * DAY_SLOTS
    edges = [(first, 0), (first + 3 * DAY_SLOTS, 1), (first + 8 * DAY_SLOTS, 2)]
    # when
    found = source.counts(query, first, behind, edges, None)
    cut = source.counts(query, FIRST, FIRST + 4, [(FIRST, 0)], None)
    whole = source.counts(query, first, behind, [(first, 0)], None)
    # then
    types = {bucket: sorted(row.media_types) for (_, bucket), row in found.items()}
    assert types == {0: ["contentOffer"], 1: ["webMessagingOffer", "webchat"], 2: ["contentOffer"]}
    assert list(cut[MAP_A, 0].media_types) == ["contentOffer"]
    assert sorted(whole[MAP_A, 0].media_types) == ["contentOffer", "webMessagingOffer", "webchat"]


def test_no_more_rows_than_asked_for_and_one(count: Count) -> None:
    """The one shows that there are too many."""
    maps = [uuid(letter) for letter in "mnopq"]
    source = count(
        [one for n, each in enumerate(maps) for one in life(n + 1, event("offered"), action_map=each)]
    )
    assert len(counted(source, ReportQuery("acme"), most=2)) == 3
    assert len(counted(source, ReportQuery("acme"), most=9)) == 5


def test_the_newest_name_of_a_map_wins(count: Count) -> None:
    """Of two of the same moment the greater text, whichever came first; each cut at 256 characters."""
    # given
    source = count(
        [
            *life(1, event("offered", at=5, action_map_name="newer")),
            *life(2, event("offered", at=1, action_map_name="older")),
            *life(3, event("offered", action_map_name="beta"), action_map=MAP_B),
            *life(4, event("offered", action_map_name="alpha"), action_map=MAP_B),
            *life(5, event("offered", action_map_name="n" * 300), action_map=MAP_C),
            *life(6, event("offered"), action_map=MAP_D),
        ]
    )
    # then
    names = {MAP_A: "newer", MAP_B: "beta", MAP_C: "n" * 256}
    assert source.names("acme", [MAP_A, MAP_B, MAP_C, MAP_D]) == names
    assert source.names("acme", [MAP_A]) == {MAP_A: "newer"}
    assert source.names("other", [MAP_A]) == {}
    assert list(source.action_maps("acme")) == [*names.items(), (MAP_D, None)]
    assert list(source.action_maps("acme", MAP_B)) == [(MAP_C, "n" * 256), (MAP_D, None)]
