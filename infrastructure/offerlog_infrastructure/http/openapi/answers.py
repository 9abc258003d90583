"""Schemas of what is answered, by the names the OpenAPI document gives them.

They are closed: a field that is not told here is a fault, and a test finds it.
"""

from typing import Final

from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import METRICS
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_infrastructure.http.openapi.shapes import (
    COUNT,
    NAME,
    NUMBER,
    SECONDS,
    STATES,
    TEXT,
    TIME,
    TIMEOUT,
    UUID,
    Schema,
    closed,
    many,
    or_null,
    ref,
)
from offerlog_infrastructure.http.problems import SLUGS
from offerlog_infrastructure.presentation.widget_outcomes import RECEIVED

_WALL_TIME: Final[Schema] = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d(:\d\d)?$",
    "description": "With the offset that the zone's clocks had; before standard time it has seconds.",
}
_FLAG: Final[Schema] = {"type": "boolean"}
_STATE: Final[Schema] = {"enum": [one.value for one in State]}
_REASON: Final[Schema] = {"enum": [one.value for one in Reason]}
_FRESHNESS: Final = {"position": COUNT, "age_seconds": or_null(SECONDS), "short_by": COUNT}
_BLOCKER: Final = {"reason": or_null(_REASON), "state": or_null(_STATE), "since": or_null(TIME)}
_KEPT: Final = {
    "recorded_at": TIME,
    "reason": _REASON,
    "field": or_null(TEXT),
    "cause": or_null(TEXT),
    "signal": TEXT,
    "signal_bytes": COUNT,
}

ANSWERS: Final[dict[str, Schema]] = {
    "Outcome": closed(
        {"field": or_null(TEXT), "cause": or_null(TEXT)},
        outcome={"enum": [*(one.value for one in OutcomeKind), RECEIVED]},
        reason=or_null(_REASON),
        action_id=or_null(UUID),
        state=or_null(STATES),
    ),
    "Outcomes": closed(outcomes=many(ref("Outcome")), position=or_null(COUNT)),
    "Decision": closed(
        decision={"enum": ["offered", "blocked"]},
        action_id=or_null(UUID),
        blocking_action_id=or_null(UUID),
        **_BLOCKER,
    ),
    "Suppression": closed(
        customer_id=NAME,
        customer_id_type=NAME,
        action_map_id=UUID,
        state=_STATE,
        action_id=UUID,
        since=TIME,
    ),
    "Suppressions": closed(**_FRESHNESS, suppressions=many(ref("Suppression"))),
    "SuppressionsOfMany": closed(
        **_FRESHNESS,
        visitors=many(closed(customer_id=NAME, customer_id_type=NAME, suppressions=many(ref("Suppression")))),
    ),
    "SuppressionPage": closed(items=many(ref("Suppression")), next_cursor=or_null(TEXT)),
    "Eligibility": closed(eligible=_FLAG, known=_FLAG, action_id=or_null(UUID), **_BLOCKER),
    "History": closed(
        known=_FLAG,
        state=or_null(_STATE),
        version=COUNT,
        next_cursor=or_null(TEXT),
        events=many(
            closed(
                version=COUNT,
                event=_STATE,
                action_id=UUID,
                stage={"enum": [*(one.value for one in Stage), None]},
                occurred_at=TIME,
                recorded_at=TIME,
                session_id=UUID,
                error_code=or_null(TEXT),
                error_message=or_null(TEXT),
                event_id=or_null(UUID),
                action_map_version=or_null(NUMBER),
                timeout_seconds=or_null(TIMEOUT),
            )
        ),
    ),
    "RefusalPage": closed(
        items=many(closed(number=COUNT, **_KEPT)),
        next_cursor=or_null(TEXT),
    ),
    "RefusalCounts": closed(
        since=or_null(TIME),
        until=or_null(TIME),
        refusals=COUNT,
        reasons=many(closed(reason=_REASON, refusals=COUNT)),
    ),
    "Row": closed(
        action_map_id=UUID,
        action_map_name=or_null(TEXT),
        bucket=or_null(_WALL_TIME),
        metrics={
            "type": "object",
            "properties": dict.fromkeys(METRICS.values(), COUNT),
            "required": list(METRICS.values())[:6],
            "additionalProperties": False,
        },
        rates=closed(accepted=or_null(SECONDS), engaged=or_null(SECONDS)),
    ),
    "Change": closed(
        event={"const": "metrics"},
        id={"type": "string", "pattern": r"^\d+-\d+-\d+-[0-9a-f]+$"},
        data={
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": closed(position=COUNT, rows=many(ref("Row"))),
        },
    ),
    "Proof": closed(
        projection=TEXT,
        position=COUNT,
        events=COUNT,
        digest={"type": "string", "pattern": r"^\d+$"},
        short_by=COUNT,
    ),
    "Performance": closed(
        {"short_by": COUNT, "proof": ref("Proof")},
        **{"from": or_null(_WALL_TIME), "to": or_null(_WALL_TIME), "zone": TEXT, "by": TEXT},
        rows=many(ref("Row")),
    ),
    "ActionMaps": closed(
        action_maps=many(closed(action_map_id=UUID, action_map_name=or_null(TEXT))),
        next_cursor=or_null(TEXT),
    ),
    "Projections": closed(
        projections=many(
            closed(
                projection=TEXT,
                position=COUNT,
                lag_events=COUNT,
                lag_seconds=or_null(SECONDS),
                short_by=COUNT,
            )
        )
    ),
    "Alive": closed(status={"const": "ok"}),
    "Ready": closed(status={"const": "ok"}, lag_seconds=SECONDS, waits_for=or_null(TEXT)),
    "Problem": closed(
        {"field": TEXT, "cause": TEXT},
        type={"enum": [f"/problems/{slug}" for slug in SLUGS]},
        title=TEXT,
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=TEXT,
    ),
}
