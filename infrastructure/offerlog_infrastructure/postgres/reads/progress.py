"""The position and the lag of every projection."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import Cursor

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.read_models import ProjectionStatus
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.log.horizon import (
    BEGIN,
    LAST_DRAWN,
    SELECT_LAST_POSITION,
    count_positions,
)
from offerlog_infrastructure.postgres.log.mapper import EventMapper

MAX_COUNTED: Final = 10_000
"""Up to so many missing events are counted; beyond it, positions are, though some hold no event."""

JOIN_NEXT_EVENT: LiteralString = f"""
    LEFT JOIN LATERAL (
        SELECT * FROM offerlog_events e WHERE e.notification_id > greatest(t.notification_id, {BEGIN})
        ORDER BY e.notification_id LIMIT 1
    ) AS next ON next.notification_id <= {LAST_DRAWN}
"""
"""Joins the first event that the projection `t` lacks. The sequence is read only if there is one."""

_SELECT_STATUS: LiteralString = f"""
    SELECT application_name, t.notification_id,
        (
            SELECT count(*) FROM (
                SELECT FROM offerlog_events e
                WHERE e.notification_id > greatest(t.notification_id, {BEGIN})
                  AND e.notification_id <= {LAST_DRAWN}
                LIMIT {MAX_COUNTED + 1}
            ) AS newer
        ),
        ({SELECT_LAST_POSITION}),
        coalesce((SELECT events FROM dead_letter_counts c WHERE c.view = t.application_name), 0),
        next.notification_id, next.originator_id, next.originator_version, next.topic, next.state
    FROM offerlog_tracking t {JOIN_NEXT_EVENT}
    WHERE application_name <> '__migration__' ORDER BY 1
"""
"""Costs the same however far a projection is behind."""


def read_statuses(
    cursor: Cursor[Any], mapper: EventMapper, now: datetime, archived: ArchivedLag
) -> Sequence[ProjectionStatus]:
    """Read position, lag and waiting events of every projection.

    Args:
        cursor: A cursor that returns tuples.
        mapper: Reads the next event, for its time.
        now: The time.
        archived: Has the archived events behind each position: a projection may be made anew.
    """
    found: list[ProjectionStatus] = []
    for name, position, hot, last, waiting, next_position, *event in cursor.execute(
        _SELECT_STATUS
    ).fetchall():
        cold = archived.behind(position)
        behind = hot + cold.events
        if cold.first is not None and (next_position is None or cold.first[0] < next_position):
            event = cold.first[1:]  # noqa: PLW2901 - the first of both
        age = age_of(mapper, event, now) if cold.is_readable else None
        lag = behind if behind <= MAX_COUNTED else count_positions(position, last)
        found.append(ProjectionStatus(name, position, lag, age, waiting))
    return found


def age_of(mapper: EventMapper, missing: Sequence[Any], now: datetime) -> float | None:
    """Return the seconds since an event was recorded; 0 if there is none, None if it cannot be read.

    Args:
        mapper: Reads the event.
        missing: The stream, version, topic and state of the event; all None if there is none.
        now: The time.
    """
    stream, version, topic, state = missing
    if stream is None:
        return 0.0
    try:
        recorded = mapper.event(stream, version, topic, bytes(state))
    except UnreadableEventError:
        return None
    return max((now - recorded.event.recorded_at).total_seconds(), 0.0)
