"""What the views must show, counted from the log by other code than the projections', and what they show."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final
from uuid import UUID

import psycopg

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
from offerlog_domain.identity import VisitorKey
from offerlog_domain.metrics import METRICS, Cohort, CountBy, MetricSet
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.visitors import OpenStream
from support.keyrings import run_keyring

TERMINAL: Final = {"engaged", "rejected", "timedout", "ignored", "abandoned"}

NOT_OF_PROJECTIONS: Final = {
    "offerlog_tracking",
    "visitors",
    "erased_visitors",
    "erasing_visitors",
    "legal_holds",
    "key_encryption_keys",
    "organizations",
    "refusals",
    "refusals_in_clear",
    "refusal_counts",
    "refusal_tallies",
    "migrations",
    "log_epoch",
    "tree_tiles",
    "tree_progress",
    "checkpoints",
    "retired_origins",
    "bi_readers",
    "shard",
    "shards",
    "directory",
}
"""Tables that no projection keeps."""


def rows(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement gives, run in a separate connection."""
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}", autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def contents(dsn: str) -> dict[str, set[tuple[object, ...]]]:
    """Every row of every projection's tables."""
    tables = rows(dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", SCHEMA)
    return {
        name: set(rows(dsn, f"TABLE {name}"))
        for (name,) in tables
        if name not in NOT_OF_PROJECTIONS and not name.startswith("offerlog_events")
    }


def until(holds: Callable[[], object], seconds: float = 90.0) -> None:
    """Look until something holds; a test that waits longer than that has failed, on a busy machine too."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def events(dsn: str) -> list[RecordedEvent[Event]]:
    """Everything in the log, opened, in order of position; each event is in its stream of the log."""
    return [recorded for recorded, _ in _read_log(dsn)]


def _read_log(dsn: str) -> list[tuple[RecordedEvent[Event], VisitorKey]]:
    """Everything in the log, in order of position, each event with its visitor."""
    stored = rows(
        dsn,
        "SELECT v.token, v.kek, v.wrapped_key, v.names, e.originator_id, originator_version, topic, state"
        " FROM offerlog_events e LEFT JOIN visitors v"
        " ON v.token = ('x' || left(replace(originator_id::text, '-', ''), 16))::bit(64)::bigint"
        " WHERE topic !~ '^(visitor-erased|erasure-receipt|report-issued|key-rotated)[.]'"
        " AND topic !~ '^(organization-deleted|action-map-policy-set|blocked-tally)[.]'"
        " ORDER BY notification_id",
    )
    found: list[tuple[RecordedEvent[Event], VisitorKey]] = []
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        keys, open_event = application.visitor_keys, application.event_mapper.open_event
        for token, kek, wrapped_key, names, stream, version, topic, state in stored:
            visitor = keys.open_names(token, kek, wrapped_key, names)
            opened = OpenStream(stream, keys.sealer(kek, wrapped_key))
            found.append((open_event(stream, opened, version, topic, state), visitor))
    return found


def streams_of(dsn: str, customer_id: str) -> set[UUID]:
    """The streams of a visitor in the log."""
    return {recorded.originator_id for recorded, visitor in _read_log(dsn) if visitor.id == customer_id}


def event_ids(dsn: str) -> Counter[str | None]:
    """How often each report's own id is in the log."""
    ids = [one.private.event_id for one in events(dsn)]
    return Counter(None if one is None else str(one) for one in ids)


def recounted(dsn: str) -> dict[str, Any]:
    """What the views must show of this log, in the form of `shown`."""
    log = _read_log(dsn)
    visitors = {recorded.originator_id: visitor for recorded, visitor in log}
    streams: dict[UUID, list[RecordedEvent[LifecycleEvent]]] = defaultdict(list)
    parked: dict[tuple[UUID, UUID, str], bytes | None] = {}
    for recorded, _ in log:
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
    all_events = [(one, one.event) for events in streams.values() for one in events]
    actions = {
        stream: [*dict.fromkeys(one.private.action_id for one in events)]
        for stream, events in streams.items()
    }
    return {
        "offers": {
            (stream, events[-1].event.state.value, len(actions[stream]), len(events))
            for stream, events in streams.items()
        },
        "actions": {
            (one.originator_id, actions[one.originator_id].index(one.private.action_id) + 1): e.state.value
            for one, e in all_events
        },
        "parked": Counter(parked.values()),
        "suppressions": Counter(
            (
                *visitors[one.originator_id],
                str(e.action_map_id),
                e.state.value,
                str(one.private.action_id),
                e.occurred_at,
            )
            for one, e in all_events
            if e.state.value in TERMINAL
        ),
        "actions counted": Counter((str(e.action_map_id), METRICS[e.state]) for _, e in all_events),
        "visitors counted": Counter(
            (map_id, METRICS[state])
            for _, map_id, state in {
                (one.originator_id, str(e.action_map_id), e.state) for one, e in all_events
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
                "SELECT originator_id, state, actions, events FROM current_offers",
            )
        ),
        "actions": {
            (stream, number): state
            for stream, number, state in rows(dsn, "SELECT originator_id, number, state FROM current_actions")
        },
        "parked": Counter(kept.raw for kept in service.parked()),
        "suppressions": Counter(
            (s.customer_id_type, s.customer_id, s.action_map_id, s.state, s.action_id, s.since)
            for (action_map,) in rows(dsn, "SELECT DISTINCT action_map_id::text FROM suppressions")
            for s in service.suppressed_visitors(action_map)
        ),
        "actions counted": by_event,
        "visitors counted": _counted(service, Cohort.EVENT, CountBy.VISITORS),
    }


def _counted(service: Offerlog, cohort: Cohort, count_by: CountBy) -> Counter[tuple[str, str]]:
    asked = ReportQuery(service.organization, view=MetricSet.ALL, cohort=cohort, count_by=count_by)
    return Counter(
        {
            (row.action_map_id, metric): count
            for row in service.report(asked).rows
            for metric, count in row.metrics.items()
            if count
        }
    )
