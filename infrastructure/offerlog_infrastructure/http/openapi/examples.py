"""Examples of the OpenAPI document; a test sends each request and compares the answer with the example.

The examples follow each other: the requests go to an empty store at one moment, in the order of the document.
A request and its answer have the same name.
"""

from typing import Any, Final

from offerlog_infrastructure.http.requests.signal_forms import Signal
from offerlog_infrastructure.presentation import answers

NOW: Final = "2026-11-22T10:00:00Z"
"""Time of all examples."""

MAP: Final = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
_ACTION: Final = "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11"
_OFFERED: Final = "7a0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e22"
_SESSION: Final = "5e000000-0000-4000-8000-000000000001"

PARAMETERS: Final[dict[str, Any]] = {"customer_id": "visitor-1", "action_map_id": MAP}
"""Values of required parameters, by name."""

SIGNAL: Final[Signal] = {
    "actionId": _ACTION,
    "actionState": "offered",
    "actionMapId": MAP,
    "customerId": "visitor-1",
    "sessionId": _SESSION,
    "createdDate": "2026-11-22T09:58:00.000Z",
    "timeoutSeconds": 45,
}
_REJECTED: Final[Signal] = SIGNAL | {"actionState": "rejected", "createdDate": "2026-11-22T09:58:20.000Z"}
OFFER: Final[dict[str, Any]] = {
    "customerId": "visitor-2",
    "actionMapId": MAP,
    "sessionId": _SESSION,
    "actionId": _OFFERED,
    "timeoutSeconds": 45,
}
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "recordSignals": {"one": SIGNAL, "several": [SIGNAL, _REJECTED, {"actionState": "accepted"}]},
    "makeOffer": {"offered": OFFER, "blocked": OFFER | {"customerId": "visitor-1", "actionId": None}},
    "suppressionsOfVisitors": {
        "two": {"visitors": [{"customerId": "visitor-1"}, {"customerId": "visitor-2"}]}
    },
}
"""Bodies, by operation and name."""


_RECORDED: Final[answers.Outcome] = {
    "outcome": "recorded",
    "reason": None,
    "action_id": _ACTION,
    "state": "offered",
}


_SUPPRESSION: Final[answers.Suppression] = {
    "customer_id": "visitor-1",
    "customer_id_type": "cookie",
    "action_map_id": MAP,
    "state": "rejected",
    "action_id": _ACTION,
    "since": "2026-11-22T09:58:20Z",
}
_EVENT: Final[answers.HistoryEvent] = {
    "version": 1,
    "event": "offered",
    "action_id": _ACTION,
    "stage": None,
    "occurred_at": "2026-11-22T09:58:00Z",
    "recorded_at": NOW,
    "session_id": _SESSION,
    "error_code": None,
    "error_message": None,
    "event_id": None,
    "action_map_version": None,
    "timeout_seconds": 45,
}
_FRESH: Final[answers.Freshness] = {"position": 3, "age_seconds": 0, "short_by": 0}

_OUTCOMES: Final[dict[str, answers.Outcomes]] = {
    "one": {"outcomes": [_RECORDED], "position": 1},
    "several": {
        "outcomes": [
            {**_RECORDED, "outcome": "duplicate"},
            {**_RECORDED, "state": "rejected"},
            {
                "outcome": "refused",
                "reason": "malformed",
                "action_id": None,
                "state": None,
                "field": "actionId",
                "cause": "is required",
            },
        ],
        "position": 2,
    },
}
_DECISIONS: Final[dict[str, answers.Decision]] = {
    "offered": {
        "decision": "offered",
        "action_id": _OFFERED,
        "reason": None,
        "state": None,
        "since": None,
        "blocking_action_id": None,
    },
    "blocked": {
        "decision": "blocked",
        "action_id": None,
        "reason": "terminal_state",
        "state": "rejected",
        "since": _SUPPRESSION["since"],
        "blocking_action_id": _ACTION,
    },
}
_SUPPRESSIONS: Final[answers.Suppressions] = {**_FRESH, "suppressions": [_SUPPRESSION]}
_SUPPRESSIONS_OF_MANY: Final[answers.SuppressionsOfMany] = {
    **_FRESH,
    "visitors": [
        {"customer_id": "visitor-1", "customer_id_type": "cookie", "suppressions": [_SUPPRESSION]},
        {"customer_id": "visitor-2", "customer_id_type": "cookie", "suppressions": []},
    ],
}
_SUPPRESSION_PAGE: Final[answers.SuppressionPage] = {"items": [_SUPPRESSION], "next_cursor": None}
_ELIGIBILITY: Final[answers.Eligibility] = {
    "eligible": False,
    "known": True,
    "reason": "terminal_state",
    "state": "rejected",
    "action_id": _ACTION,
    "since": _SUPPRESSION["since"],
}
_PERFORMANCE: Final[answers.Performance] = {
    "from": None,
    "to": None,
    "zone": "UTC",
    "by": "total",
    "rows": [
        {
            "action_map_id": MAP,
            "action_map_name": None,
            "bucket": None,
            "metrics": {
                "nWebActionsOffered": 2,
                "nWebActionsAccepted": 0,
                "nWebActionsRejected": 1,
                "nWebActionsStarted": 0,
                "nWebActionsAbandoned": 0,
                "nWebActionsEngaged": 0,
            },
            "rates": {"accepted": 0.0, "engaged": None},
        }
    ],
}
_ACTION_MAPS: Final[answers.ActionMaps] = {
    "action_maps": [{"action_map_id": MAP, "action_map_name": None}],
    "next_cursor": None,
}
_HISTORY: Final[answers.History] = {
    "known": True,
    "state": "rejected",
    "version": 2,
    "next_cursor": None,
    "events": [
        _EVENT,
        {
            **_EVENT,
            "version": 2,
            "event": "rejected",
            "stage": "invitation",
            "occurred_at": _SUPPRESSION["since"],
        },
    ],
}
_REFUSAL_PAGE: Final[answers.RefusalPage] = {
    "items": [
        {
            "recorded_at": NOW,
            "reason": "malformed",
            "field": "actionId",
            "cause": "is required",
            "signal": '{"actionState":"accepted"}',
            "signal_bytes": 26,
            "number": 1,
        }
    ],
    "next_cursor": None,
}
_REFUSAL_COUNTS: Final[answers.RefusalCounts] = {
    "since": None,
    "until": None,
    "refusals": 1,
    "reasons": [{"reason": "malformed", "refusals": 1}],
}
_PROJECTIONS: Final[answers.Projections] = {
    "projections": [
        {"projection": name, "position": 3, "lag_events": 0, "lag_seconds": 0.0, "short_by": 0}
        for name in ("current_state", "performance", "suppression")
    ]
}
_ALIVE: Final[answers.Alive] = {"status": "ok"}
_READY: Final[answers.Ready] = {"status": "ok", "lag_seconds": 0.0, "waits_for": None}

ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "recordSignals": {**_OUTCOMES},
    "makeOffer": {**_DECISIONS},
    "suppressionsOfVisitor": {"found": _SUPPRESSIONS},
    "suppressions": {"found": _SUPPRESSIONS},
    "suppressionsOfVisitors": {"two": _SUPPRESSIONS_OF_MANY},
    "eligibility": {"not eligible": _ELIGIBILITY},
    "eligibilityOf": {"not eligible": _ELIGIBILITY},
    "suppressionsOfActionMap": {"the only page": _SUPPRESSION_PAGE},
    "actionMapPerformance": {"all time": _PERFORMANCE},
    "actionMaps": {"one": _ACTION_MAPS},
    "history": {"turned down": _HISTORY},
    "historyOf": {"turned down": _HISTORY},
    "refusals": {"the only page": _REFUSAL_PAGE},
    "refusalCounts": {"all time": _REFUSAL_COUNTS},
    "projections": {"up to date": _PROJECTIONS},
    "alive": {"alive": _ALIVE},
    "ready": {"ready": _READY},
}
"""Answers with status 200, or 201 to an offer made, by operation and name."""
