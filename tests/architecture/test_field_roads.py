"""Every field of every kind of event has the roads that the events catalogue declares, and no others.

A field is changed in one event, and the projections' tables and the answers that change show its roads.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from field_roads import ANSWERS, SERVICE_ROADS, TABLES, Road, find_road, list_declared, list_fields
from msgspec import structs

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.projections.current_state import current_state
from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.performance import performance
from offerlog_application.projections.suppression import suppressions
from offerlog_application.reading.audit import history
from offerlog_application.reading.performance_report import report
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent, SealedEvent
from offerlog_domain.events import (
    EVENTS,
    LifecycleEvent,
    OfferRefused,
    Rejected,
    SignalParked,
    is_sealed_lifecycle_event,
)
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.lifecycle import LIFECYCLES, WEBCHAT, Lifecycle, Stage, State
from offerlog_domain.metrics import Cohort, Granularity, MetricSet
from offerlog_domain.outcomes import Reason
from offerlog_domain.service_events import SERVICE_EVENTS, ServiceEvent
from offerlog_domain.stream_ids import make_stream_id, make_visitor_stream_id
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.reads import MemoryReads
from support.recount import rows
from support.scenario import (
    CUSTOMER,
    MAP,
    MAP_ID,
    STREAM,
    BriefEvent,
    ended,
    event,
    facts_of,
    minute,
    native,
    parked,
    refused,
)
from support.sealed import LOGGED_STREAM, TOKEN, seal
from support.service_events import ONE_OF_EACH

VISITOR = VisitorKey("cookie", CUSTOMER)
OTHER_VALUES: Mapping[str, Any] = {
    "organization": "other",
    "action_map_id": native("m"),
    "recorded_at": minute(1_000),
    "media_type": "another",
    "occurred_at": minute(700),
    "dated": False,
    "action_map_version": 9,
    "action_map_name": "Another",
    "timeout_seconds": 77,
    "action_number": 9,
    "offered_at": minute(-700),
    "parked_version": 1,
    "rejected_stage": Stage.INVITATION,
    "reason": Reason.TERMINAL_STATE,
    "blocking_state": State.ACCEPTED,
    "blocking_since": minute(500),
    "parked_versions": (77,),
    "parked_state": State.ENGAGED,
    "raw_length": 1_000_000,
    "session_id": native("z"),
    "action_id": native("y"),
    "event_id": native("x"),
    "error_code": "77",
    "error_message": "another message",
    "blocking_action_id": native("w"),
    "raw": b"another text",
}
"""For each field, a value that no event below has."""


def last_of(kind: type[Event]) -> list[RecordedEvent[Event]]:
    """A stream whose last event is of that kind. A lifecycle event comes a second time there."""
    briefs: list[BriefEvent] = [parked("started", "c", 0), event("offered", "a")]
    if issubclass(kind, LifecycleEvent):
        stage: dict[str, Any] = {"stage": Stage.FORM} if kind.state is State.REJECTED else {}
        fields: dict[str, Any] = {
            "action_map_name": "Help",
            "timeout_seconds": 60,
            "event_id": native("e"),
        } | stage
        if kind.state is not State.OFFERED:
            briefs += [event(kind.state, "a", 1, **stage), event("offered", "b", 60)]
        briefs.append(event(kind.state, "b", 90, **fields))
    elif kind.stored_name == "offer-refused":
        briefs += [parked("accepted", "b", 1), refused("b", 2, "already_open", "a", "offered", 0)]
    elif kind.stored_name == "signal-parked":
        briefs += [parked("started", "a", 1)]
    else:
        briefs += [parked("started", "a", 1), ended("started", "a")]
    events = facts_of(VisitorOffer(STREAM), briefs, None)
    assert type(events[-1].event) is kind
    return events


def with_other(events: Sequence[RecordedEvent[Event]], field: str) -> list[RecordedEvent[Event]]:
    """The stream, with another value of a field in its last event."""
    *before, last = events
    part = "private" if field in PrivateFields.__struct_fields__ else "event"
    known = getattr(last, part)
    assert getattr(known, field) != OTHER_VALUES[field]
    changed = structs.replace(known, **{field: OTHER_VALUES[field]})
    return [*before, structs.replace(last, **{part: changed})]


def tables(events: Sequence[RecordedEvent[Event]]) -> dict[str, Any]:
    """What each table gets of the stream, from a page that holds its last event alone."""
    sealed = [seal(one, LOGGED_STREAM) for one in events]
    reached = [one for one in sealed if is_sealed_lifecycle_event(one)]
    page = Page([Positioned(len(sealed), sealed[-1])], {LOGGED_STREAM: reached})
    return tables_of(page) | {"parked_signals": (current_state(page).over, current_state(page).parked)}


def tables_of(page: Page) -> dict[str, Any]:
    """What each table gets of a page."""
    state, counted = current_state(page), performance(page)
    return {
        "current_offers": state.offers,
        "current_actions": state.actions,
        "parked_signals": state.parked,
        "suppressions": suppressions(page).added,
        "performance_counts": counted.counts,
        "performance_repeats": counted.repeats,
        "action_map_names": counted.names,
        "form_rejections": counted.form_rejections,
        "blocked_offers": counted.blocked,
        "blocked_counts": counted.blocked_counts,
    }


def answers(events: Sequence[RecordedEvent[Event]]) -> dict[str, Any]:
    """What each answer says of the stream."""
    log = MemoryLog(RefusalPolicy())
    offer = log.key("acme").offer(VISITOR, MAP_ID)
    token = log.visitors.make(offer, minute(0)).token
    stream = make_stream_id(token, MAP_ID)
    sealed = [seal(one, stream) for one in events]
    log._project([Positioned(place, one) for place, one in enumerate(sealed, 1)])
    reads = MemoryReads(log)
    queries = [
        ReportQuery("acme", view=MetricSet.ALL, by=Granularity.HOUR, cohort=cohort) for cohort in Cohort
    ]
    return {
        "history": history(events, VISITOR),
        "suppressions": (
            reads.suppressions_of_visitor("acme", VISITOR),
            list(reads.suppressions_of_action_map("acme", ActionMapId(MAP))),
        ),
        "parked": list(reads.parked("acme")),
        "report": [
            (row.action_map_id, row.bucket, row.metrics)
            for query in queries
            for row in report(query, log.counts).rows
        ],
        "names": {name for _, name in log.counts.action_maps("acme")},
    }


@pytest.fixture(autouse=True)
def another_media_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A media type in which no state suppresses."""
    another = Lifecycle("another", WEBCHAT.transitions, frozenset())
    monkeypatch.setitem(cast("dict[str, Lifecycle]", LIFECYCLES), "another", another)


@pytest.mark.parametrize("kind", EVENTS)
def test_every_field_has_the_roads_that_are_declared(kind: type[Event]) -> None:
    """It changes the tables and answers that are named for it; a new field needs a road."""
    # given
    events = last_of(kind)
    # when
    found: dict[str, Road] = {}
    for field in list_fields(kind):
        changed = with_other(events, field)
        found[field] = Road(
            frozenset(_differences(tables(events), tables(changed))),
            frozenset(_differences(answers(events), answers(changed))),
        )
    # then
    assert list_declared(kind) == {*list_fields(kind)}
    assert found == {field: find_road(kind, field) for field in list_fields(kind)}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


@pytest.mark.parametrize("service_event", ONE_OF_EACH)
def test_an_event_of_no_visitor_offer_has_the_tables_that_are_declared(service_event: ServiceEvent) -> None:
    """It removes rows from them, and adds none to any; a new kind needs a line."""
    # given
    before = [seal(one) for one in last_of(Rejected)]
    waiting = [seal(one) for kind in (OfferRefused, SignalParked) for one in last_of(kind)]
    # when
    changed = rows_of([*before, *waiting], SealedEvent(make_visitor_stream_id(TOKEN), 1, service_event, b""))
    # then
    assert set(SERVICE_ROADS) == set(SERVICE_EVENTS)
    assert tuple(changed) == tuple(SERVICE_ROADS[type(service_event)])


def rows_of(events: Sequence[SealedEvent[Event]], more: SealedEvent[Event]) -> Sequence[str]:
    """The tables that get other rows, because one more event is on the page."""
    reached = [one for one in events if is_sealed_lifecycle_event(one)]
    pages = [
        Page([Positioned(number, one) for number, one in enumerate(found, 1)], {LOGGED_STREAM: reached})
        for found in (events, [*events, more])
    ]
    before, behind = (tables_of(page) for page in pages)
    assert all(before.values())
    return _differences(before, behind)


def test_every_table_and_answer_is_the_end_of_a_road(dsn: str) -> None:
    """And every table that is named is in the store."""
    roads = [find_road(kind, field) for kind in EVENTS for field in list_fields(kind)]
    assert {table for road in roads for table in road.tables} == {*TABLES}
    assert {answer for road in roads for answer in road.answers} == {*ANSWERS}
    stored = rows(
        dsn, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'offerlog'"
    )
    assert {*TABLES} <= {name for (name,) in stored}
