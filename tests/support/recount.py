"""What the views must show, counted from the log by other code than the projections', and what they show."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import (
    LifecycleEvent,
    OfferRefused,
    ParkingEnded,
    SignalParked,
    is_lifecycle_event,
)
from offerlog_domain.metrics import METRICS, Cohort, CountBy, MetricSet
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.mapper import EventMapper

TERMINAL: Final = {"engaged", "rejected", "timedout", "ignored", "abandoned"}

NOT_OF_PROJECTIONS: Final = {
    "offerlog_events",
    "offerlog_tracking",
    "organizations",
    "key_encryption_keys",
    "refusals",
    "refusals_in_clear",
    "refusal_counts",
    "refusal_tallies",
    "migrations",
    "log_epoch",
}
"""Tables that no projection keeps."""


def rows(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement gives, run in a connection of its own."""
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def contents(dsn: str) -> dict[str, set[tuple[object, ...]]]:
    """Every row of every projection's tables."""
    tables = rows(dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", SCHEMA)
    return {name: set(rows(dsn, f"TABLE {name}")) for (name,) in tables if name not in NOT_OF_PROJECTIONS}


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Look until something holds; a test that waits longer than that has failed."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def events(dsn: str) -> list[RecordedEvent[Event]]:
    """Everything in the log, in order of position."""
    mapper = EventMapper()
    stored = rows(
        dsn,
        "SELECT originator_id, originator_version, topic, state FROM offerlog_events"
        " ORDER BY notification_id",
    )
    read = [
        mapper.to_domain_event(StoredEvent(stream, version, topic, bytes(state)))
        for stream, version, topic, state in stored
    ]
    return [event for event in read if isinstance(event, RecordedEvent)]


def event_ids(dsn: str) -> Counter[str | None]:
    """How often each report's own id is in the log."""
    ids = [one.private.event_id for one in events(dsn)]
    return Counter(None if one is None else str(one) for one in ids)


def recounted(dsn: str) -> dict[str, Any]:
    """What the views must show of this log, in the form of `shown`."""
    streams: dict[UUID, list[RecordedEvent[LifecycleEvent]]] = defaultdict(list)
    parked: dict[tuple[UUID, UUID, str], bytes | None] = {}
    for recorded in events(dsn):
        stream, event, action = recorded.originator_id, recorded.event, recorded.private.action_id
        if is_lifecycle_event(recorded):
            streams[stream].append(recorded)
            parked.pop((stream, action, recorded.event.state.value), None)
        elif isinstance(event, SignalParked):
            parked[stream, action, event.parked_state.value] = recorded.private.raw
        elif isinstance(event, ParkingEnded):
            parked.pop((stream, action, event.parked_state.value), None)
        elif isinstance(event, OfferRefused):
            parked = {key: raw for key, raw in parked.items() if key[:2] != (stream, action)}
    all_events = [(one, one.event, one.private) for events in streams.values() for one in events]
    return {
        "offers": {
            (
                stream,
                str(events[-1].private.action_id),
                events[-1].event.state.value,
                len({one.private.action_id for one in events}),
                len(events),
            )
            for stream, events in streams.items()
        },
        "actions": {(one.originator_id, str(p.action_id)): e.state.value for one, e, p in all_events},
        "parked": Counter(parked.values()),
        "suppressions": Counter(
            (p.customer_id, p.customer_id_type, str(e.action_map_id), e.state.value, e.occurred_at)
            for _, e, p in all_events
            if e.state.value in TERMINAL
        ),
        "actions counted": Counter((str(e.action_map_id), METRICS[e.state]) for _, e, _ in all_events),
        "visitors counted": Counter(
            (map_id, METRICS[state])
            for _, map_id, state in {
                (one.originator_id, str(e.action_map_id), e.state) for one, e, _ in all_events
            }
        ),
    }


def shown(service: Offerlog, dsn: str) -> dict[str, Any]:
    """What the views show, for the service's organization."""
    by_event = _counted(service, Cohort.EVENT, CountBy.ACTIONS)
    assert _counted(service, Cohort.OFFERED, CountBy.ACTIONS) == by_event
    return {
        "offers": set(
            rows(
                dsn,
                "SELECT originator_id, action_id::text, state, actions, lifecycle_version"
                " FROM current_offers",
            )
        ),
        "actions": {
            (stream, action): state
            for stream, action, state in rows(
                dsn, "SELECT originator_id, action_id::text, state FROM current_actions"
            )
        },
        "parked": Counter(kept.raw for kept in service.parked()),
        "suppressions": Counter(
            (s.customer_id, s.customer_id_type, s.action_map_id, s.state, s.since)
            for (action_map,) in rows(dsn, "SELECT DISTINCT action_map_id::text FROM suppressions")
            for s in service.suppressed_visitors(action_map)
        ),
        "actions counted": by_event,
        "visitors counted": _counted(service, Cohort.EVENT, CountBy.VISITORS),
    }


def _counted(service: Offerlog, cohort: Cohort, count_by: CountBy) -> Counter[tuple[str, str]]:
    asked = ReportQuery(service.organization, view=MetricSet.FULL, cohort=cohort, count_by=count_by)
    return Counter(
        {
            (row.action_map_id, metric): count
            for row in service.report(asked).rows
            for metric, count in row.metrics.items()
            if count
        }
    )
