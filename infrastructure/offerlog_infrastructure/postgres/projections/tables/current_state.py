"""The tables of current state."""

from typing import Final, LiteralString

from offerlog_application.projections.current_state import CurrentStateChange, current_state
from offerlog_infrastructure.postgres.projections.tables.table import (
    Load,
    Merge,
    Projection,
    Rows,
    names_of,
)

_OFFERS: LiteralString = (
    "originator_id uuid, organization text, visitor int8, action_map_id uuid, state text, stage text,"
    " since timestamptz, actions int4, lifecycle_version int4, withdrawn_at timestamptz"
)
_ACTIONS: LiteralString = (
    "originator_id uuid, number int4, state text, stage text, since timestamptz, offered_at timestamptz"
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
    return [(stream.bytes, number, *row) for (stream, number), row in change.actions.items()]


def _over(change: CurrentStateChange) -> Rows:
    return [(stream.bytes, version) for stream, version in change.over]


def _parked(change: CurrentStateChange) -> Rows:
    return [
        (stream.bytes, version, organization, visitor, action_map.bytes, *rest)
        for (stream, version), (organization, visitor, action_map, *rest) in change.parked.items()
    ]


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
                lifecycle_version = c.lifecycle_version + excluded.lifecycle_version
            """,
            _offers,
        ),
        Merge(
            "stage_actions",
            _ACTIONS,
            f"""
            INSERT INTO current_actions ({names_of(_ACTIONS)})
            SELECT * FROM stage_actions
            ON CONFLICT (originator_id, number) DO UPDATE SET
                state = excluded.state, stage = excluded.stage, since = excluded.since
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
    ),
    (
        Load("current_offers", _OFFERS, _offers),
        Load("current_actions", _ACTIONS, _actions),
        Load("parked_signals", _PARKED, _parked),
    ),
)
