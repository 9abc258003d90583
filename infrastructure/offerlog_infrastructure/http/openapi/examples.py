"""Examples of the OpenAPI document; a test sends each and holds the answer to what is shown.

They are one story, told to an empty store at one moment, in the order of the document: an example of a
request and of its answer have the same name.
"""

from typing import Any, Final

NOW: Final = "2026-11-22T10:00:00Z"
"""When all of it happens."""

MAP: Final = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
_ACTION: Final = "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11"
_OFFERED: Final = "7a0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e22"
_SESSION: Final = "5e000000-0000-4000-8000-000000000001"

PARAMETERS: Final[dict[str, Any]] = {"customer_id": "visitor-1", "action_map_id": MAP}
"""Of every request that needs them."""

SIGNAL: Final[dict[str, Any]] = {
    "actionId": _ACTION,
    "actionState": "offered",
    "actionMapId": MAP,
    "customerId": "visitor-1",
    "sessionId": _SESSION,
    "createdDate": "2026-11-22T09:58:00.000Z",
    "timeoutSeconds": 45,
}
_REJECTED: Final = SIGNAL | {"actionState": "rejected", "createdDate": "2026-11-22T09:58:20.000Z"}
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


def _outcome(outcome: str, state: str | None, **told: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": None, "action_id": state and _ACTION, "state": state} | told


_SUPPRESSION: Final[dict[str, Any]] = {
    "customer_id": "visitor-1",
    "customer_id_type": "cookie",
    "action_map_id": MAP,
    "state": "rejected",
    "action_id": _ACTION,
    "since": "2026-11-22T09:58:20Z",
}
_BLOCKED: Final[dict[str, Any]] = {
    "reason": "terminal_state",
    "state": "rejected",
    "since": "2026-11-22T09:58:20Z",
}
_EVENT: Final[dict[str, Any]] = {
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
_REFUSED: Final = {"field": "actionId", "cause": "is required"}
_FRESH: Final[dict[str, Any]] = {"position": 3, "age_seconds": 0, "short_by": 0}

ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "recordSignals": {
        "one": {"outcomes": [_outcome("recorded", "offered")], "position": 1},
        "several": {
            "outcomes": [
                _outcome("duplicate", "offered"),
                _outcome("recorded", "rejected"),
                _outcome("refused", None, reason="malformed", **_REFUSED),
            ],
            "position": 2,
        },
    },
    "makeOffer": {
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
            **_BLOCKED,
            "blocking_action_id": _ACTION,
        },
    },
    "suppressionsOfVisitor": {"found": _FRESH | {"suppressions": [_SUPPRESSION]}},
    "suppressionsOfVisitors": {
        "two": _FRESH
        | {
            "visitors": [
                {"customer_id": "visitor-1", "customer_id_type": "cookie", "suppressions": [_SUPPRESSION]},
                {"customer_id": "visitor-2", "customer_id_type": "cookie", "suppressions": []},
            ]
        }
    },
    "eligibility": {"not eligible": {"eligible": False, "known": True, "action_id": _ACTION, **_BLOCKED}},
    "suppressionsOfActionMap": {"the only page": {"items": [_SUPPRESSION], "next_cursor": None}},
    "actionMapPerformance": {
        "all time": {
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
    },
    "actionMaps": {
        "one": {"action_maps": [{"action_map_id": MAP, "action_map_name": None}], "next_cursor": None}
    },
    "history": {
        "turned down": {
            "known": True,
            "state": "rejected",
            "version": 2,
            "next_cursor": None,
            "events": [
                _EVENT,
                _EVENT
                | {
                    "version": 2,
                    "event": "rejected",
                    "stage": "invitation",
                    "occurred_at": "2026-11-22T09:58:20Z",
                },
            ],
        }
    },
    "refusals": {
        "the only page": {
            "items": [
                {
                    "recorded_at": NOW,
                    "reason": "malformed",
                    **_REFUSED,
                    "signal": '{"actionState":"accepted"}',
                    "signal_bytes": 26,
                    "number": 1,
                }
            ],
            "next_cursor": None,
        }
    },
    "refusalCounts": {
        "all time": {
            "since": None,
            "until": None,
            "refusals": 1,
            "reasons": [{"reason": "malformed", "refusals": 1}],
        }
    },
    "projections": {
        "up to date": {
            "projections": [
                {"projection": name, "position": 3, "lag_events": 0, "lag_seconds": 0.0, "short_by": 0}
                for name in ("current_state", "performance", "suppression")
            ]
        }
    },
    "alive": {"alive": {"status": "ok"}},
    "ready": {"ready": {"status": "ok", "lag_seconds": 0.0, "waits_for": None}},
}
"""What is answered with 200, or 201 to an offer made, by operation and name."""

ANSWERS.update(
    suppressions=ANSWERS["suppressionsOfVisitor"],
    eligibilityOf=ANSWERS["eligibility"],
    historyOf=ANSWERS["history"],
)
