"""The SQL statements of the store of webhooks (`PostgresWebhooks`).

Deliveries that are *held* or *pending* wait for an attempt. Those that are *dead* are dead letters.
"""

from typing import LiteralString

from offerlog_application.ports.positions import SHARD_BITS
from offerlog_infrastructure.postgres.feed.lag import JOIN_LAG, LAG_COLUMNS, WITH_LAG

LOCK_ORGANIZATION: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0x7765626b))"
"""Two transactions that add endpoints of an organization count one after the other ("webk" in ASCII)."""

SELECT_IS_LOCKED: LiteralString = """
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid::bigint = %s AND objid::bigint = %s
    ) AS locked
"""
"""Returns True if a session holds an advisory lock. Parameters: the upper and the lower half of its key.

PostgreSQL lists a key of 64 bits as two numbers of 32 bits, with `objsubid` 1.
"""

COUNT_ENDPOINTS: LiteralString = "SELECT count(*) AS number FROM webhook_endpoints WHERE organization = %s"
INSERT_ENDPOINT: LiteralString = """
    INSERT INTO webhook_endpoints (id, organization, url, types, action_maps, created_at, position, others)
    VALUES (%s, %s, %s, %s, %s::uuid[], %s, %s, %s)
"""
INSERT_SIGNING_KEY: LiteralString = """
    INSERT INTO webhook_secrets (endpoint, kek, wrapped_secret) VALUES (%s, %s, %s)
"""
SELECT_SECRETS: LiteralString = """
    SELECT kek, wrapped_secret FROM webhook_secrets
    WHERE endpoint = %s AND (valid_until IS NULL OR valid_until > %s) ORDER BY number DESC
"""
END_SECRETS: LiteralString = """
    UPDATE webhook_secrets SET valid_until = least(valid_until, %(until)s) WHERE endpoint = %(endpoint)s
"""
DELETE_OLDEST_SECRETS: LiteralString = """
    DELETE FROM webhook_secrets WHERE endpoint = %s AND number <= (
        SELECT number FROM webhook_secrets WHERE endpoint = %s ORDER BY number DESC OFFSET %s LIMIT 1
    )
"""
DELETE_ENDED_SECRETS: LiteralString = "DELETE FROM webhook_secrets WHERE endpoint = %s AND valid_until <= %s"

SELECT_IS_ANY_ENABLED: LiteralString = """
    SELECT EXISTS (SELECT FROM webhook_endpoints WHERE disabled_at IS NULL) AS enabled
"""
SELECT_ENDPOINT: LiteralString = "SELECT * FROM webhook_endpoints WHERE id = %s"
SELECT_WITH_LAG: LiteralString = f"""
    WITH followers AS MATERIALIZED (
        SELECT * FROM webhook_endpoints
        WHERE %(organization)s::text IS NULL OR organization = %(organization)s
    ), {WITH_LAG}
    SELECT s.*, {LAG_COLUMNS} {JOIN_LAG} ORDER BY s.organization, s.created_at, s.id
"""
MEASURE_LAGS: LiteralString = f"""
    WITH followers AS MATERIALIZED (
        SELECT * FROM unnest(%s::bigint[]) WITH ORDINALITY AS asked (position, number)
    ), {WITH_LAG}
    SELECT s.position, {LAG_COLUMNS} {JOIN_LAG} ORDER BY s.number
"""
DELETE_ENDPOINT: LiteralString = "DELETE FROM webhook_endpoints WHERE id = %s"
DELETE_ENDPOINTS: LiteralString = "DELETE FROM webhook_endpoints WHERE organization = %s"
DISABLE: LiteralString = """
    UPDATE webhook_endpoints SET disabled_at = %s, disabled_because = %s
    WHERE id = %s AND disabled_at IS NULL
"""
ENABLE: LiteralString = """
    UPDATE webhook_endpoints
    SET disabled_at = NULL, disabled_because = NULL, resting_until = NULL, failures = 0, failing_since = NULL
    WHERE id = %s
"""
SET_POSITION: LiteralString = "UPDATE webhook_endpoints SET position = %s, others = %s WHERE id = %s"
DELETE_PENDING: LiteralString = "DELETE FROM webhook_deliveries WHERE endpoint = %s AND dead_at IS NULL"

_MOVE_ON: LiteralString = f"""
    position = greatest(position, %(home)s),
    others = CASE WHEN %(others)s::bigint[] = '{{}}' THEN others ELSE (
        SELECT array_agg(latest.position ORDER BY latest.position) FROM (
            SELECT max(one) AS position FROM unnest(others || %(others)s::bigint[]) AS one
            GROUP BY one >> {SHARD_BITS}
        ) AS latest
    ) END
"""
"""Moves the position of an endpoint on. Of each log, the later position stays, so it never goes back."""

NOTE_READ: LiteralString = f"UPDATE webhook_endpoints SET {_MOVE_ON} WHERE id = %(endpoint)s"
NOTE_ALL_READ: LiteralString = f"""
    UPDATE webhook_endpoints SET {_MOVE_ON}
    WHERE id = ANY(%(ids)s) AND position >= %(start)s
      AND (position < %(home)s OR %(others)s::bigint[] <> '{{}}')
      AND NOT EXISTS (
          SELECT FROM unnest(%(other_starts)s::bigint[]) AS start
          WHERE start > start >> {SHARD_BITS} << {SHARD_BITS} -- not the beginning of that log
            AND start > ALL (
                SELECT one FROM unnest(others) AS one WHERE one >> {SHARD_BITS} = start >> {SHARD_BITS}
            )
      )
"""
NOTE_DELIVERED: LiteralString = f"""
    UPDATE webhook_endpoints
    SET {_MOVE_ON}, delivered = delivered + %(number)s, resting_until = NULL, failures = 0,
        failing_since = NULL
    WHERE id = %(endpoint)s
"""
NOTE_FAILED: LiteralString = f"""
    UPDATE webhook_endpoints
    SET {_MOVE_ON}, failed = failed + %(number)s, failures = failures + 1,
        given_up = given_up + %(given_up)s, failing_since = coalesce(failing_since, %(now)s),
        resting_until = %(resting_until)s
    WHERE id = %(endpoint)s
"""
DELETE_DELIVERIES: LiteralString = """
    DELETE FROM webhook_deliveries WHERE endpoint = %s AND position = ANY(%s::bigint[])
"""
INSERT_DELIVERY: LiteralString = f"""
    INSERT INTO webhook_deliveries (
        endpoint, position, name, visitor, attempts, next_attempt_at, last_attempt_at, last_status,
        last_error, dead_at, tenure
    )
    SELECT %(endpoint)s::text, %(position)s::bigint, %(name)s::text, %(visitor)s::text,
        %(attempts)s::integer, %(next_attempt_at)s::timestamptz, %(last_attempt_at)s::timestamptz,
        %(last_status)s::integer, %(last_error)s::text, %(dead_at)s::timestamptz, %(tenure)s::bigint
    WHERE EXISTS (
        SELECT FROM webhook_endpoints WHERE id = %(endpoint)s AND %(position)s::bigint > ALL (
            SELECT one FROM unnest(position || others) AS one
            WHERE one >> {SHARD_BITS} = %(position)s::bigint >> {SHARD_BITS}
        )
        FOR NO KEY UPDATE
    )
    ON CONFLICT DO NOTHING
"""
"""Inserts no row for an endpoint that was deleted meanwhile, nor for one whose position is past the event.

There another process has dealt with the event, as this one lost its turn while it sent.
"""

UPDATE_DELIVERY: LiteralString = """
    UPDATE webhook_deliveries
    SET attempts = %(attempts)s, next_attempt_at = %(next_attempt_at)s, last_attempt_at = %(last_attempt_at)s,
        last_status = %(last_status)s, last_error = %(last_error)s, dead_at = %(dead_at)s
    WHERE endpoint = %(endpoint)s AND position = %(position)s
"""
POSTPONE: LiteralString = """
    UPDATE webhook_deliveries SET next_attempt_at = %s WHERE endpoint = %s AND position = %s
"""
_IS_FIRST_OF_VISITOR: LiteralString = """
    d.dead_at IS NULL AND NOT EXISTS (
        SELECT FROM webhook_deliveries e
        WHERE e.endpoint = d.endpoint AND e.visitor = d.visitor
          AND (e.tenure, e.position) < (d.tenure, d.position) AND e.dead_at IS NULL
    )
"""
SELECT_DUE: LiteralString = f"""
    SELECT * FROM webhook_deliveries d
    WHERE d.endpoint = %s AND d.next_attempt_at <= %s AND {_IS_FIRST_OF_VISITOR}
    ORDER BY d.next_attempt_at, d.position LIMIT %s
"""
SELECT_ENABLED: LiteralString = f"""
    SELECT w.*, w.pending > 0 AND coalesce(w.resting_until <= %(now)s, true) AND EXISTS (
        SELECT FROM webhook_deliveries d
        WHERE d.endpoint = w.id AND d.next_attempt_at <= %(now)s AND {_IS_FIRST_OF_VISITOR}
    ) AS is_due
    FROM webhook_endpoints w WHERE w.disabled_at IS NULL
"""
SELECT_HELD: LiteralString = """
    SELECT DISTINCT visitor FROM webhook_deliveries
    WHERE endpoint = %s AND visitor = ANY(%s::text[]) AND dead_at IS NULL
"""
SELECT_DELIVERIES: LiteralString = """
    SELECT * FROM webhook_deliveries WHERE endpoint = %s AND (dead_at IS NOT NULL) = %s
    ORDER BY position LIMIT %s
"""
SEND_AGAIN: LiteralString = """
    UPDATE webhook_deliveries SET dead_at = NULL, attempts = 0, next_attempt_at = %(now)s
    WHERE endpoint = %(endpoint)s AND dead_at IS NOT NULL
      AND (%(position)s::bigint IS NULL OR position = %(position)s)
"""
PRUNE: LiteralString = """
    DELETE FROM webhook_deliveries d USING (
        SELECT o.endpoint, o.position FROM webhook_deliveries o
        WHERE o.dead_at < %(before)s AND o.endpoint = (
            SELECT f.endpoint FROM webhook_deliveries f
            WHERE f.dead_at < %(before)s ORDER BY f.dead_at LIMIT 1
        )
        ORDER BY o.dead_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE d.endpoint = old.endpoint AND d.position = old.position
"""
"""Deletes dead letters of one endpoint at a time: the triggers of the counts then update one row."""
