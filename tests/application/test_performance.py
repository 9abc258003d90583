"""Counts, repeats and names of a page; and reports from them against a count of the events one by one."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.projections.page import Page, Positioned, streams_with_repeats
from offerlog_application.projections.performance import CountKey, NameRow, RepeatRow, Scope, performance
from offerlog_application.projections.slots import slot
from offerlog_application.reading.performance_report import report
from offerlog_domain.event_fields import SealedEvent
from offerlog_domain.events import LifecycleEvent, is_sealed_lifecycle_event
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import METRICS, Cohort, CountBy, Granularity, MetricSet
from offerlog_domain.visitor_offer import VisitorOffer
from support.memory_counts import count_pages
from support.scenario import MAP_ID, START, STREAM, BriefEvent, event, facts_of, minute, native, parked, uuid
from support.sealed import LOGGED_STREAM, seal

HOUR = slot(START)
Among = tuple[Scope, str | None, int | None]


def page(*briefs: BriefEvent, first: int = 1) -> Page:
    """A page that holds these events at positions 10, 20, 30 …; `first` leaves out those before."""
    events = [seal(one) for one in facts_of(VisitorOffer(STREAM), briefs, None)]
    positioned = [Positioned(10 * n, event) for n, event in enumerate(events, 1)][first - 1 :]
    stream = [one for one in events if is_sealed_lifecycle_event(one)]
    return Page(positioned, dict.fromkeys(streams_with_repeats(positioned), stream))


def test_an_event_counts_in_its_own_quarter_hour_and_in_that_of_its_offer() -> None:
    """Half-open: an event on the quarter-hour belongs to the one that begins."""
    change = performance(page(event("offered", at=14), event("accepted", at=15), event("started", at=29.99)))
    assert change.counts == {
        CountKey("acme", Cohort.EVENT, MAP_ID, HOUR, "webchat", None): {State.OFFERED: 1},
        CountKey("acme", Cohort.EVENT, MAP_ID, HOUR + 1, "webchat", None): {
            State.ACCEPTED: 1,
            State.STARTED: 1,
        },
        CountKey("acme", Cohort.OFFERED, MAP_ID, HOUR, "webchat", None): {
            State.OFFERED: 1,
            State.ACCEPTED: 1,
            State.STARTED: 1,
        },
    }
    assert not change.repeats
    assert not change.names


def test_what_waits_does_not_count() -> None:
    """Only lifecycle events do."""
    assert not performance(page(parked("accepted"))).counts


def test_a_state_reached_in_a_second_action_is_a_repeat() -> None:
    """It names the first time too, also where that was on an earlier page."""
    other: dict[str, Any] = {"media_type": "contentOffer", "action_map_version": 3}
    briefs = (
        event("offered", action_map_version=3), event("errored", at=1), event("offered", "b", 16, **other),
        event("errored", "b", 31), event("offered", "c", 46, **other), event("accepted", "c", 61),
    )  # fmt: skip
    chats = [(Scope.MEDIA_TYPE, "webchat", None), (Scope.VERSION, "webchat", None)]
    contents = [(Scope.MEDIA_TYPE, "contentOffer", None), (Scope.VERSION, "contentOffer", 3)]
    every = (Scope.ALL, None, None)

    def row(state: str, among: Among, ordinal: int, *slots: int) -> RepeatRow:
        scope, media_type, version = among
        return RepeatRow(
            LOGGED_STREAM,
            state,
            scope,
            media_type,
            version,
            ordinal,
            "acme",
            MAP_ID,
            *(HOUR + n for n in slots),
        )

    expected = [
        row("offered", every, 2, 1, 0, 1, 0),
        *(row("errored", among, 2, 2, 0, 1, 0) for among in (every, *chats)),
        row("offered", every, 3, 3, 0, 3, 0),
        *(row("offered", among, 2, 3, 1, 3, 1) for among in contents),
    ]
    assert performance(page(*briefs)).repeats == expected
    assert performance(page(*briefs, first=4)).repeats == expected[1:]
    assert streams_with_repeats(page(*briefs, first=1).events) == {LOGGED_STREAM}
    assert not streams_with_repeats(page(*briefs[:2]).events)


def test_very_many_repeats_of_one_visitor_are_counted_in_no_time() -> None:
    """A page takes no longer for coming late in a long stream; a projector that is slow is ended."""
    once = page(event("offered"), event("errored")).events
    stream = [
        SealedEvent(LOGGED_STREAM, 2 * n + k + 1, replace(one.event, action_number=n + 1), one.sealed)
        for n in range(8_000)
        for k, (_, one) in enumerate(once)
        if is_sealed_lifecycle_event(one)
    ]
    last = [Positioned(one.originator_version, one) for one in stream[-2_000:]]
    began = perf_counter()
    change = performance(Page(last, {LOGGED_STREAM: stream}))
    assert perf_counter() - began < 1
    assert [row.ordinal for row in change.repeats[-6:]] == [8_000] * 6


def test_the_newest_name_by_event_time_is_kept() -> None:
    """At the same time the later position wins; an event without a name says nothing."""
    briefs = (
        event("offered", at=2, action_map_name="two"), event("accepted", at=1, action_map_name="one"),
        event("rejected", at=3, stage=Stage.FORM),
    )  # fmt: skip
    assert performance(page(*briefs)).names == {("acme", MAP_ID): NameRow(b"two", minute(2), 10)}
    tied = (event("offered", action_map_name="first"), event("accepted", action_map_name="second"))
    assert performance(page(*tied)).names == {("acme", MAP_ID): NameRow(b"second", minute(0), 20)}
    same = page(event("offered", action_map_name="one"), event("accepted", action_map_name="one"))
    for events in (same.events, same.events[::-1]):  # a rebuild comes by them stream by stream
        assert performance(Page(events)).names == {("acme", MAP_ID): NameRow(b"one", minute(0), 10)}


STATES = [
    "offered",
    "accepted",
    "started",
    "rejected",
    "errored",
    "abandoned",
    "engaged",
    "ignored",
    "timedout",
]
MEDIA_TYPES = ["webchat", "contentOffer"]
ACTION = st.tuples(
    st.lists(st.sampled_from(STATES[1:]), max_size=3, unique=True),
    st.integers(0, 5_000),
    st.sampled_from(MEDIA_TYPES),
    st.sampled_from([3, 4, None]),
)
LIVES = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("mn"), st.lists(ACTION, max_size=3)), max_size=6
)
Lives = list[tuple[int, str, list[tuple[list[str], int, str, int | None]]]]


def staged(state: str, action: str, at: float, **fields: Any) -> BriefEvent:
    """A lifecycle event, with a stage where one is needed."""
    if state == "rejected":
        fields["stage"] = Stage.FORM
    return event(state, action, at, **fields)


def events_of(lives: Lives) -> list[Positioned]:
    """Visitor-offers with actions at any time; legal or not is not a report's business."""
    events: list[Positioned] = []
    seen: set[tuple[int, str]] = set()
    for visitor, action_map, actions in lives:
        if (visitor, action_map) in seen:
            continue
        seen.add((visitor, action_map))
        stream = UUID(int=1000 * visitor + ord(action_map))
        briefs = [
            staged(state, letter, at + 13 * n, media_type=media_type, action_map_version=version)
            for letter, (states, at, media_type, version) in zip("abc", actions, strict=False)
            for n, state in enumerate(["offered", *states])
        ]
        for made in facts_of(VisitorOffer(STREAM), briefs, None):
            moved = replace(made, event=replace(made.event, action_map_id=native(action_map)))
            events.append(Positioned(len(events) + 1, seal(moved, stream)))
    return events


def pages_of(events: Sequence[Positioned], size: int) -> list[Page]:
    """The same events in pages of that size."""
    streams: defaultdict[UUID, list[SealedEvent[LifecycleEvent]]] = defaultdict(list)
    for _, recorded in events:
        if is_sealed_lifecycle_event(recorded):
            streams[recorded.originator_id].append(recorded)
    cut = [events[start : start + size] for start in range(0, len(events), size)]
    return [Page(part, {stream: streams[stream] for stream in streams_with_repeats(part)}) for part in cut]


def hour_of(moment: datetime, zone: ZoneInfo) -> str:
    """The label of the hour: its first instant in the zone, with offset."""
    return moment.astimezone(zone).replace(minute=0, second=0, microsecond=0).isoformat()


def naive(
    query: ReportQuery, events: Sequence[Positioned]
) -> dict[tuple[str, str | None], Mapping[str, int]]:
    """Count the events one by one."""
    visitors: defaultdict[tuple[str, str | None, State], list[UUID]] = defaultdict(list)
    for one in events:
        briefs = one.recorded.event
        assert isinstance(briefs, LifecycleEvent)
        at = briefs.occurred_at if query.cohort is Cohort.EVENT else briefs.offered_at
        within = (query.start is None or query.start <= at) and (query.end is None or at < query.end)
        within &= query.media_type in {None, briefs.media_type}
        if within and (not query.action_maps or str(briefs.action_map_id) in query.action_maps):
            bucket = None if query.by is Granularity.TOTAL else hour_of(at, query.zone)
            visitors[str(briefs.action_map_id), bucket, briefs.state].append(one.recorded.originator_id)
    rows: defaultdict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
    for (action_map, bucket, state), who in visitors.items():
        if state in query.view.states:
            rows[action_map, bucket][METRICS[state]] = len(
                set(who) if query.count_by is CountBy.VISITORS else who
            )
    zeros = {METRICS[state]: 0 for state in query.view.states}
    return {key: zeros | counts for key, counts in rows.items()}


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(
    LIVES,
    st.integers(1, 7),
    st.builds(
        ReportQuery,
        organization=st.just("acme"),
        start=st.sampled_from([None, START, START + timedelta(hours=3, minutes=15)]),
        end=st.sampled_from([None, START + timedelta(hours=9), START + timedelta(hours=30, minutes=45)]),
        zone=st.sampled_from([ZoneInfo("UTC"), ZoneInfo("Asia/Kathmandu")]),
        by=st.sampled_from([Granularity.TOTAL, Granularity.HOUR]),
        action_maps=st.sampled_from([(), (uuid("m"),)]),
        view=st.sampled_from(MetricSet),
        count_by=st.sampled_from(CountBy),
        cohort=st.sampled_from(Cohort),
        media_type=st.sampled_from([None, *MEDIA_TYPES]),
    ),
)
def test_a_report_is_the_count_of_the_events(lives: Lives, size: int, query: ReportQuery) -> None:
    """In any view, cohort and zone, however the log was cut into pages; sorted by map, then bucket."""
    events = events_of(lives)
    source = count_pages(pages_of(events, size))
    rows = report(query, source).rows
    assert {(row.action_map_id, row.bucket): row.metrics for row in rows} == naive(query, events)
    keys = [(row.action_map_id, datetime.fromisoformat(row.bucket) if row.bucket else None) for row in rows]
    assert keys == sorted(keys, key=lambda key: (key[0], key[1] or datetime.min.replace(tzinfo=UTC)))


def test_a_row_shows_every_metric_of_its_view_and_the_rates() -> None:
    """Rejected may come on top of accepted; an unknown name is none."""
    briefs = (event("offered"), event("accepted", at=1), event("rejected", at=2, stage=Stage.FORM))
    source = count_pages([page(*briefs)])
    (row,) = report(ReportQuery("acme"), source).rows
    assert list(row.metrics.items()) == [
        ("nWebActionsOffered", 1),
        ("nWebActionsAccepted", 1),
        ("nWebActionsRejected", 1),
        ("nWebActionsStarted", 0),
        ("nWebActionsAbandoned", 0),
        ("nWebActionsEngaged", 0),
    ]
    assert row.rates == {"accepted": 1.0, "engaged": 0.0}
    assert (row.action_map_name, row.bucket) == (None, None)
    (named,) = report(
        ReportQuery("acme", view=MetricSet.FULL),
        count_pages([page(event("offered", action_map_name="Help"))]),
    ).rows
    assert (named.action_map_name, len(named.metrics), named.rates["engaged"]) == ("Help", 9, None)


def test_a_bucket_of_content_offers_has_no_share_of_engaged() -> None:
    """Nor has the report of this media type; a bucket that counts web chats too has one, of all accepted."""
    content: dict[str, Any] = {"media_type": "contentOffer"}
    source = count_pages(
        [
            page(event("offered", **content), event("accepted", at=1, **content)),
            page(
                *(event("offered", "b", 60, **content), event("accepted", "b", 61, **content)),
                event("offered", "c", 62),
            ),
        ]
    )
    assert [row.rates for row in report(ReportQuery("acme", by=Granularity.HOUR), source).rows] == [
        {"accepted": 1.0, "engaged": None},
        {"accepted": 0.5, "engaged": 0.0},
    ]
    (of_content,) = report(ReportQuery("acme", media_type="contentOffer"), source).rows
    assert of_content.rates == {"accepted": 1.0, "engaged": None}


@pytest.mark.parametrize(
    "query", [ReportQuery("acme", start=minute(60)), ReportQuery("other"), ReportQuery("acme")]
)
def test_rows_of_zeros_are_left_out(query: ReportQuery) -> None:
    """Nothing in the interval, nothing of that organization, nothing that the view shows."""
    cut = event("offered", at=0), event("errored", at=1)
    events = [one for one in page(*cut).events if one.recorded.event.stored_name == "errored"]
    assert not report(query, count_pages([Page(events)])).rows
