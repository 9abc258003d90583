"""Examples of the reports and of the lists behind them, for `examples`."""

from typing import Any, Final

from offerlog_infrastructure.presentation import answers

NOW: Final = "2026-11-22T10:00:00Z"
"""Time of all examples."""

MAP: Final = "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db"
OFFERED_AT: Final = "2026-11-22T09:58:00Z"
REJECTED_AT: Final = "2026-11-22T09:58:20Z"

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
_ENDS: Final[answers.OfferEnds] = {
    "engaged": 0,
    "accepted": 0,
    "abandoned": 0,
    "rejected_at_form": 0,
    "rejected_at_invitation": 1,
    "ignored": 0,
    "timedout": 0,
    "errored": 0,
    "open": 1,
    "lapsed": 0,
}
_NUMBERS: Final[answers.FunnelNumbers] = {
    "offered": 2,
    "accepted": 0,
    "started": 0,
    "engaged": 0,
    "ends": _ENDS,
    "rates": {
        "accepted": 0.0,
        "engaged": None,
        "started_of_accepted": None,
        "engaged_of_started": None,
        "started_of_offered": 0.0,
        "engaged_of_offered": 0.0,
    },
}
_RANGE: Final[dict[str, Any]] = {"from": None, "to": None, "zone": "UTC", "position": 4}
_OF_MAP: Final[dict[str, Any]] = {"action_map_id": MAP, "action_map_name": None}
_FUNNEL: Final[dict[str, Any]] = {
    **_RANGE,
    "as_of": NOW,
    "total": _NUMBERS,
    "rows": [{**_OF_MAP, **_NUMBERS}],
}
_ACTION_MAPS: Final[dict[str, Any]] = {
    **_RANGE,
    "count_by": "actions",
    "cohort": "offered",
    "by_version": False,
    "baseline": None,
    "rows": [
        {
            **_OF_MAP,
            "media_type": "webchat",
            "qualified": 0,
            "blocked": 1,
            "offered": 2,
            "accepted": 0,
            "engaged": 0,
            "rejected": 1,
            "rates": {"offered": None, "accepted": 0.0, "engaged": None, "engaged_of_offered": 0.0},
        }
    ],
}
_BLOCKED: Final[dict[str, Any]] = {"blocked": 1, "remembered": 0, "visitors": 0, "sessions": 0}
_BLOCKED_OFFERS: Final[dict[str, Any]] = {
    **_RANGE,
    "total": _BLOCKED,
    "reasons": [{"reason": "terminal_state", **_BLOCKED}],
    "rows": [{**_OF_MAP, "reason": "terminal_state", **_BLOCKED}],
}
_NO_TIMES: Final[answers.StepTimes] = {"actions": 0, "median": None, "p90": None}
_OFFER_TIMES: Final[dict[str, Any]] = {
    **_RANGE,
    "method": "exact",
    "total": {"accepted": _NO_TIMES, "started": _NO_TIMES, "engaged": _NO_TIMES},
    "rows": [],
}
_OFFERS_BEHIND: Final[answers.OffersBehind] = {
    "count": 1,
    "position": 4,
    "items": [
        {
            "customer_id": "visitor-1",
            "customer_id_type": "cookie",
            "action_map_id": MAP,
            "action_number": 1,
            "state": "rejected",
            "at": REJECTED_AT,
            "offered_at": OFFERED_AT,
        }
    ],
    "next_cursor": None,
}
_OFFERS_OF_VISITOR: Final[dict[str, Any]] = {
    "customer_id": "visitor-1",
    "customer_id_type": "cookie",
    "known": True,
    "items": [
        {
            **_OF_MAP,
            "state": "rejected",
            "stage": "invitation",
            "since": REJECTED_AT,
            "actions": 1,
            "suppressed": True,
            "blocked_offers": 0,
        }
    ],
    "next_cursor": None,
}
_RECENT_VISITORS: Final[dict[str, Any]] = {
    "position": 3,
    "items": [
        {
            **_OF_MAP,
            "customer_id": "visitor-2",
            "customer_id_type": "cookie",
            "event": "offered",
            "state": "offered",
            "occurred_at": NOW,
            "recorded_at": NOW,
            "position": 3,
        },
        {
            **_OF_MAP,
            "customer_id": "visitor-1",
            "customer_id_type": "cookie",
            "event": "rejected",
            "state": "rejected",
            "occurred_at": REJECTED_AT,
            "recorded_at": NOW,
            "position": 2,
        },
    ],
    "next_cursor": None,
}

REPORTS: Final[dict[str, dict[str, Any]]] = {
    "actionMapPerformance": {"all time": _PERFORMANCE},
    "actionMapsReport": {"all time": _ACTION_MAPS},
    "funnel": {"all time": _FUNNEL},
    "blockedOffers": {"all time": _BLOCKED_OFFERS},
    "offerTimes": {"all time": _OFFER_TIMES},
    "offersBehind": {"the only page": _OFFERS_BEHIND},
    "offersOfVisitor": {"known": _OFFERS_OF_VISITOR},
    "recentVisitors": {"the only page": _RECENT_VISITORS},
}
"""Answers, by operation and name."""
