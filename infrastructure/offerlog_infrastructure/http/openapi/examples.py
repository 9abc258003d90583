"""Examples of the OpenAPI document; a test sends each request and compares the answer with the example.

The examples follow each other: the requests go to an empty store at one moment, in the order of the document.
A request and its answer have the same name.
"""

from typing import Any, Final

from offerlog_infrastructure.http.openapi import example_reports
from offerlog_infrastructure.http.requests.signal_forms import Signal
from offerlog_infrastructure.presentation import answers

NOW: Final = example_reports.NOW
"""Time of all examples."""

MAP: Final = example_reports.MAP
_ACTION: Final = "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11"
_OFFERED: Final = "7a0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e22"
_SESSION: Final = "5e000000-0000-4000-8000-000000000001"

PARAMETERS: Final[dict[str, Any]] = {
    "customer_id": "visitor-1",
    "action_map_id": MAP,
    "name": "warehouse",
    "organization": "default",
    "metric": "rejected",
    "key_id": "0a1b2c3d4e5f",
    "webhook_id": "wh_0a1b2c3d4e5f6071",
}
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
    "createKey": {
        "reporter": {"role": "reporter", "name": "audit", "expires": "90d"},
        "widget": {"role": "widget", "name": "shop", "origins": ["https://shop.example"]},
    },
    "setPolicyOfActionMap": {"thirty days": {"suppress_for": {"ignored": "30d", "timedout": 604_800}}},
    "createWebhook": {
        "some": {"url": "https://shop.example/offerlog", "types": ["engaged", "rejected"]},
        "all": {"url": "https://shop.example/offerlog", "after": 0},
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
    "since": example_reports.REJECTED_AT,
    "until": None,
}
_POLICY: Final[answers.PolicyInForce] = {
    "action_map_id": MAP,
    "suppress_for": {"ignored": 2_592_000, "timedout": 604_800},
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
_FRESH: Final[answers.Freshness] = {"position": 4, "age_seconds": 0, "short_by": 0}

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
_ENTRY: Final[answers.TimelineEntry] = {
    "kind": "offered",
    "summary": f"offered (for 45 s), action 1 {_ACTION}",
    "recorded_at": NOW,
    "occurred_at": "2026-11-22T09:58:00Z",
    "action_map_id": MAP,
    "action_id": _ACTION,
    "action_number": 1,
    "state": "offered",
    "stage": None,
    "reason": None,
    "position": 1,
    "version": 1,
    "session_id": _SESSION,
    "event_id": None,
    "error_code": None,
    "error_message": None,
    "action_map_version": None,
    "timeout_seconds": 45,
    "previous_action": None,
    "blocked_by": None,
    "ended_versions": [],
    "field": None,
    "cause": None,
    "signal": None,
    "signal_bytes": None,
}
_TIMELINE: Final[answers.Timeline] = {
    "items": [
        _ENTRY,
        {
            **_ENTRY,
            "kind": "rejected",
            "summary": f"rejected (invitation, for 45 s), action 1 {_ACTION}",
            "occurred_at": _SUPPRESSION["since"],
            "state": "rejected",
            "stage": "invitation",
            "position": 2,
            "version": 2,
        },
    ],
    "next_cursor": None,
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
        {"projection": name, "position": 4, "lag_events": 0, "lag_seconds": 0.0, "short_by": 0}
        for name in ("current_state", "performance", "suppression")
    ]
}
_ERASURE: Final[answers.Erasure] = {
    "organization": "default",
    "erased_at": NOW,
    "events": 2,
    "refusals": 0,
    "position": 5,
    "receipt_position": 6,
    "signature": None,
    "unreadable": 0,
}
_SUBSCRIPTION: Final[answers.Subscription] = {
    "name": "warehouse",
    "cursor": "0",
    "created_at": NOW,
    "moved_at": None,
    "lag_events": 6,
    "lag_seconds": 0.0,
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
    **example_reports.REPORTS,
    "actionMaps": {"one": _ACTION_MAPS},
    "history": {"turned down": _HISTORY},
    "historyOf": {"turned down": _HISTORY},
    "timeline": {"turned down": _TIMELINE},
    "refusals": {"the only page": _REFUSAL_PAGE},
    "refusalCounts": {"all time": _REFUSAL_COUNTS},
    "projections": {"up to date": _PROJECTIONS},
    "eraseVisitor": {"erased": _ERASURE},
    "setPolicyOfActionMap": {"thirty days": _POLICY},
    "policyOfActionMap": {"thirty days": _POLICY},
    "acknowledgeEvents": {"made": _SUBSCRIPTION},
    "subscriptions": {"one": {"subscriptions": [_SUBSCRIPTION]}},
    "alive": {"alive": _ALIVE},
    "ready": {"ready": _READY},
}
"""Answers with status 200, or 201 to an offer made, by operation and name."""
