"""The tables of current state."""

from typing import Final, LiteralString

from offerlog_application.projections.current_state import CurrentStateChange, current_state
from offerlog_domain.stream_ids import stream_bounds
from offerlog_infrastructure.postgres.projections.tables.table import (
    Load,
    Merge,
    Projection,
    Rows,
    names_of,
)

_OFFERS: LiteralString = (
    "originator_id uuid, organization text, visitor int8, action_map_id uuid, state text, stage text,"
    " since timestamptz, actions int4, events int4, withdrawn_at timestamptz,"
    " touched_at timestamptz"
)
_ACTIONS: LiteralString = (
    "originator_id uuid, number int4, organization text, action_map_id uuid, state text, stage text,"
    " since timestamptz, offered_at timestamptz, accepted_at timestamptz, started_at timestamptz,"
    " media_type text, action_map_version int8"
)
_PARKED: LiteralString = (
    "originator_id uuid, version int4, organization text, visitor int8, action_map_id uuid,"
    " parked_at timestamptz, position int8, sealed bytea, raw_length int4"
)


def _offers(change: CurrentStateChange) -> Rows:
    return [
        (stream.bytes, organization, visitor, action_map.bytes, *rest)
        for stream, (organization, visitor, action_map, *rest) in change.offers.items()
    ]


def _actions(change: CurrentStateChange) -> Rows:
    return [
        (stream.bytes, number, organization, action_map.bytes, *rest)
        for (stream, number), (organization, action_map, *rest) in change.actions.items()
    ]


def _over(change: CurrentStateChange) -> Rows:
    return [(stream.bytes, version) for stream, version in change.over]


def _parked(change: CurrentStateChange) -> Rows:
    return [
        (stream.bytes, version, organization, visitor, action_map.bytes, *rest)
        for (stream, version), (organization, visitor, action_map, *rest) in change.parked.items()
    ]


def _erased(change: CurrentStateChange) -> Rows:
    bounds = [stream_bounds(visitor) for visitor in change.erased]
    return [(low.bytes, high.bytes) for low, high in bounds]


CURRENT_STATE: Final = Projection(
    "current_state",
    ("current_offers", "current_actions", "parked_signals"),
    current_state,
    (
        Merge(
            "stage_offers",
            _OFFERS,
            f"""
            INSERT INTO current_offers AS c ({names_of(_OFFERS)})
            SELECT * FROM stage_offers
            ON CONFLICT (originator_id) DO UPDATE SET
                state = excluded.state, stage = excluded.stage, since = excluded.since,
                actions = excluded.actions, withdrawn_at = excluded.withdrawn_at,
                events = c.events + excluded.events,
                touched_at = CASE
                    WHEN c.actions = excluded.actions AND excluded.touched_at IS NOT NULL
                    THEN greatest(c.touched_at, excluded.touched_at) ELSE excluded.touched_at
                END
            """,
            _offers,
        ),
        Merge(
            "stage_actions",
            _ACTIONS,
            f"""
            INSERT INTO current_actions AS c ({names_of(_ACTIONS)})
            SELECT * FROM stage_actions
            ON CONFLICT (originator_id, number) DO UPDATE SET
                state = excluded.state, stage = excluded.stage, since = excluded.since,
                accepted_at = coalesce(excluded.accepted_at, c.accepted_at),
                started_at = coalesce(excluded.started_at, c.started_at),
                action_map_version = excluded.action_map_version
            """,
            _actions,
        ),
        Merge(
            "stage_over",
            "originator_id uuid, version int4",
            """
            DELETE FROM parked_signals AS p USING stage_over AS gone
            WHERE p.originator_id = gone.originator_id AND p.version = gone.version
            """,
            _over,
        ),
        Merge(
            "stage_parked",
            _PARKED,
            f"""
            INSERT INTO parked_signals ({names_of(_PARKED)})
            SELECT * FROM stage_parked
            """,
            _parked,
        ),
        Merge(
            "stage_erased",
            "low uuid, high uuid",
            """
            WITH offers AS (
                DELETE FROM current_offers AS c USING stage_erased AS gone
                WHERE c.originator_id BETWEEN gone.low AND gone.high
            ), actions AS (
                DELETE FROM current_actions AS c USING stage_erased AS gone
                WHERE c.originator_id BETWEEN gone.low AND gone.high
            )
            DELETE FROM parked_signals AS c USING stage_erased AS gone
            WHERE c.originator_id BETWEEN gone.low AND gone.high
            """,
            _erased,
        ),
    ),
    (
        Load("current_offers", _OFFERS, _offers),
        Load("current_actions", _ACTIONS, _actions),
        Load("parked_signals", _PARKED, _parked),
    ),
)
