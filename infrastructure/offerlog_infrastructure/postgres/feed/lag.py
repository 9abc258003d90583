"""The lag of those who follow the log: one count for all followers of a statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.log.horizon import BEGIN, SELECT_LAST_POSITION, count_positions
from offerlog_infrastructure.postgres.log.mapper import EventMapper

_MAX_COUNTED: Final = 10_000
"""Up to so many events behind a follower are counted; beyond it, positions are."""

Lag = tuple[int, float | None]
"""Events behind a follower, and the age of the first of them in seconds.

The age is 0 if there are none, and None if this build cannot read that event.
"""

SELECT_LAST: LiteralString = f"SELECT coalesce(({SELECT_LAST_POSITION}), 0) AS last"

WITH_LAG: LiteralString = f"""
    newest AS MATERIALIZED ({SELECT_LAST}), -- the last event of the log
    newer AS MATERIALIZED ( -- the newest events that some follower does not have yet, up to a number
        SELECT coalesce(array_agg(notification_id ORDER BY notification_id), '{{}}') AS positions FROM (
            SELECT e.notification_id FROM offerlog_events e, newest
            WHERE e.notification_id > greatest((SELECT min(position) FROM followers), {BEGIN})
              AND e.notification_id <= newest.last
            ORDER BY e.notification_id DESC LIMIT {_MAX_COUNTED + 1}
        ) AS counted
    ),
    lags AS MATERIALIZED ( -- for each cursor the number of events behind it, by its place among them
        SELECT position, cardinality(positions) - width_bucket(position, positions) AS behind,
            positions[width_bucket(position, positions) + 1] AS next
        FROM (SELECT DISTINCT position FROM followers) AS cursors, newer
    ),
    lagging AS ( -- the position of the first event behind each cursor; many cursors may have the same
        SELECT l.position, l.behind, newest.last, CASE
            WHEN l.behind <= {_MAX_COUNTED} THEN l.next
            ELSE (
                SELECT min(e.notification_id) FROM offerlog_events e
                WHERE e.notification_id > greatest(l.position, {BEGIN})
            )
        END AS next
        FROM lags l, newest
    ),
    firsts AS MATERIALIZED ( -- the events at these positions
        SELECT e.notification_id, e.originator_id, e.originator_version, e.topic, e.state
        FROM (SELECT DISTINCT next FROM lagging WHERE next IS NOT NULL) AS wanted
        JOIN offerlog_events e ON e.notification_id = wanted.next
    )
"""
"""Parts of a WITH clause behind `followers`, which has the rows of the followers with their `position`."""

LAG_COLUMNS: LiteralString = (
    "l.last, l.behind, l.next, f.originator_id, f.originator_version, f.topic, f.state AS event_state"
)
JOIN_LAG: LiteralString = """
    FROM followers s JOIN lagging l USING (position) LEFT JOIN firsts f ON f.notification_id = l.next
"""


def read_lags(
    rows: Sequence[Mapping[str, Any]], mapper: EventMapper, now: datetime, archived: ArchivedLag
) -> Sequence[Lag]:
    """Return the lag of each row of a statement with `WITH_LAG`, `LAG_COLUMNS` and `JOIN_LAG`.

    Args:
        rows: The rows.
        mapper: Reads the next event, for its time.
        now: The time.
        archived: Has the archived events behind each of them.
    """
    ages: dict[tuple[Any, int], float | None] = {}
    lags: list[Lag] = []
    for row in rows:
        cold = archived.behind(row["position"])
        behind = row["behind"] + cold.events
        if behind > _MAX_COUNTED:
            behind = count_positions(row["position"], row["last"])
        if not cold.is_readable:
            lags.append((behind, None))
            continue
        if cold.first is not None and (row["next"] is None or cold.first[0] < row["next"]):
            lags.append((behind, _measure_age(cold.first[1:], mapper, now)))
            continue
        if row["originator_id"] is None:
            lags.append((behind, 0.0))
            continue
        key = row["originator_id"], row["originator_version"]
        if key not in ages:
            stored = *key, row["topic"], bytes(row["event_state"])
            ages[key] = _measure_age(stored, mapper, now)
        lags.append((behind, ages[key]))
    return lags


def _measure_age(stored: tuple[UUID, int, str, bytes], mapper: EventMapper, now: datetime) -> float | None:
    try:
        recorded = mapper.event(*stored).event.recorded_at
    except UnreadableEventError:
        return None
    return max((now - recorded).total_seconds(), 0.0)
