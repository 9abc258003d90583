"""The lag of those who follow the log: parts of a statement, and the reading of their columns."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_infrastructure.postgres.log.horizon import SELECT_LAST_POSITION
from offerlog_infrastructure.postgres.log.mapper import EventMapper

_MAX_COUNTED: Final = 10_000
"""Up to so many events behind a follower are counted; beyond it, positions are."""

SELECT_LAST: LiteralString = f"SELECT coalesce(({SELECT_LAST_POSITION}), 0) AS last"

LAG_COLUMNS: LiteralString = f"""
    newest.last, next.originator_id, next.originator_version, next.topic, next.state,
    (
        SELECT count(*) FROM (
            SELECT FROM offerlog_events e
            WHERE e.notification_id > s.position AND e.notification_id <= newest.last LIMIT {_MAX_COUNTED + 1}
        ) AS newer
    ) AS behind
"""
"""Columns of a statement about followers, whose table is `s`, with `JOIN_LAG` behind it.

Costs the same however far a follower is behind.
"""

JOIN_LAG: LiteralString = f"""
    CROSS JOIN ({SELECT_LAST}) AS newest LEFT JOIN LATERAL (
        SELECT * FROM offerlog_events e WHERE e.notification_id > s.position
        ORDER BY e.notification_id LIMIT 1
    ) AS next ON next.notification_id <= newest.last
"""


def read_lag(row: Mapping[str, Any], mapper: EventMapper, now: datetime) -> tuple[int, float | None]:
    """Return the lag of a follower: events behind it, and the age of the first of them in seconds.

    The age is 0 if there are none, and None if this build cannot read that event.
    """
    behind = row["behind"] if row["behind"] <= _MAX_COUNTED else row["last"] - row["position"]
    if row["originator_id"] is None:
        return behind, 0.0
    stored = row["originator_id"], row["originator_version"], row["topic"], bytes(row["state"])
    try:
        recorded = mapper.event(*stored).event.recorded_at
    except UnreadableEventError:
        return behind, None
    return behind, max((now - recorded).total_seconds(), 0.0)
