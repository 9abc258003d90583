"""The statement that reads the streams of a group for the writer."""

from typing import LiteralString

SELECT_NEWER_EVENTS: LiteralString = """
    SELECT known.place, v.token, v.kek, v.wrapped_key, e.originator_version, e.topic, e.state,
        (SELECT epoch FROM log_epoch)
    FROM unnest(%s::text::uuid[], %s::text::uuid[], %s::text::int[])
        WITH ORDINALITY AS known (digest, action_map_id, version, place)
    JOIN visitors v ON v.digest = known.digest
    CROSS JOIN LATERAL (SELECT stream_id(v.token, known.action_map_id) AS id OFFSET 0) AS stream
    LEFT JOIN LATERAL (
        SELECT originator_version, topic, state FROM offerlog_events
        WHERE originator_id = stream.id AND originator_version >= known.version ORDER BY originator_version
    ) AS e ON true
"""
"""Events after the cached version, plus the event at that version, to detect a lost tail. A known visitor
without such events has one row. OFFSET 0 keeps the server from computing the id more than once. The epoch is
that of the snapshot: a decision that appends nothing is not checked against it later."""

SELECT_NEWER_EVENTS_AND_ARCHIVED: LiteralString = """
    SELECT known.place, v.token, v.kek, v.wrapped_key, e.originator_version, e.topic, e.state,
        (SELECT epoch FROM log_epoch), part.last_version
    FROM unnest(%s::text::uuid[], %s::text::uuid[], %s::text::int[])
        WITH ORDINALITY AS known (digest, action_map_id, version, place)
    JOIN visitors v ON v.digest = known.digest
    CROSS JOIN LATERAL (SELECT stream_id(v.token, known.action_map_id) AS id OFFSET 0) AS stream
    CROSS JOIN LATERAL (
        SELECT max(last_version) AS last_version FROM settled WHERE originator_id = stream.id
    ) AS part
    LEFT JOIN LATERAL (
        SELECT originator_version, topic, state FROM offerlog_events
        WHERE originator_id = stream.id AND originator_version >= known.version ORDER BY originator_version
    ) AS e ON true
"""
"""The same in a store that has an archive, with the last version of the stream in it; null without one."""
