"""The position and the lag of every projection."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import Cursor

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.read_models import ProjectionStatus
from offerlog_infrastructure.postgres.log.horizon import LAST_DRAWN, SELECT_LAST_POSITION, count_positions
from offerlog_infrastructure.postgres.log.mapper import EventMapper

MAX_COUNTED: Final = 10_000
"""Up to so many missing events are counted; beyond it, positions are, though some hold no event."""

JOIN_NEXT_EVENT: LiteralString = f"""
    LEFT JOIN LATERAL (
        SELECT * FROM offerlog_events e WHERE e.notification_id > t.notification_id
        ORDER BY e.notification_id LIMIT 1
    ) AS next ON next.notification_id <= {LAST_DRAWN}
"""
"""Joins the first event that the projection `t` lacks. The sequence is read only if there is one."""

_SELECT_STATUS: LiteralString = f"""
    SELECT application_name, t.notification_id,
        (
            SELECT count(*) FROM (
                SELECT FROM offerlog_events e
                WHERE e.notification_id > t.notification_id AND e.notification_id <= {LAST_DRAWN}
                LIMIT {MAX_COUNTED + 1}
            ) AS newer
        ),
        ({SELECT_LAST_POSITION}),
        coalesce((SELECT events FROM dead_letter_counts c WHERE c.view = t.application_name), 0),
        next.originator_id, next.originator_version, next.topic, next.state
    FROM offerlog_tracking t {JOIN_NEXT_EVENT}
    WHERE application_name <> '__migration__' ORDER BY 1
"""
"""Costs the same however far a projection is behind."""


def read_statuses(cursor: Cursor[Any], mapper: EventMapper, now: datetime) -> Sequence[ProjectionStatus]:
    """Read position, lag and waiting events of every projection.

    Args:
        cursor: A cursor that returns tuples.
        mapper: Reads the next event, for its time.
        now: The time.
    """
    return [
        ProjectionStatus(
            name,
            position,
            behind if behind <= MAX_COUNTED else count_positions(position, last),
            age_of(mapper, event, now),
            waiting,
        )
        for name, position, behind, last, waiting, *event in cursor.execute(_SELECT_STATUS).fetchall()
    ]


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
