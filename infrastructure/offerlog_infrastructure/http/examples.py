"""Examples of the OpenAPI document; a test sends each and holds the answer to what is shown."""

from typing import Any, Final

_IDS: Final = {
    "action": "3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11",
    "map": "2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db",
    "session": "5e000000-0000-4000-8000-000000000001",
}

SIGNAL: Final[dict[str, Any]] = {
    "actionId": _IDS["action"],
    "actionState": "offered",
    "actionMapId": _IDS["map"],
    "customerId": "visitor-1",
    "sessionId": _IDS["session"],
    "timeoutSeconds": 45,
}
RECORDED: Final[dict[str, Any]] = {
    "outcomes": [
        {"outcome": "recorded", "reason": None, "action_id": _IDS["action"], "state": "offered"},
    ],
    "position": 1,
}
OFFER: Final[dict[str, Any]] = {
    "customerId": "visitor-2",
    "actionMapId": _IDS["map"],
    "sessionId": _IDS["session"],
    "actionId": "7a0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e22",
    "timeoutSeconds": 45,
}
OFFERED: Final[dict[str, Any]] = {
    "decision": "offered",
    "action_id": "7a0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e22",
    "reason": None,
    "state": None,
    "since": None,
    "blocking_action_id": None,
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "/problems/unauthorized",
    "title": "Unauthorized",
    "status": 401,
    "detail": "a key is needed: Authorization: Bearer ofl_...",
}

_SIGNAL_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["actionId", "actionState", "actionMapId", "customerId", "sessionId"],
    "properties": {
        "actionId": {"type": "string", "format": "uuid"},
        "actionState": {"type": "string"},
        "actionMediaType": {"type": "string", "default": "webchat"},
        "actionMapId": {"type": "string", "format": "uuid"},
        "actionMapVersion": {"type": ["integer", "null"]},
        "actionMapName": {"type": ["string", "null"]},
        "customerId": {"type": "string", "minLength": 1, "maxLength": 256},
        "customerIdType": {"type": "string", "default": "cookie"},
        "sessionId": {"type": "string", "format": "uuid"},
        "eventId": {"type": ["string", "null"], "format": "uuid"},
        "createdDate": {"type": ["string", "null"], "format": "date-time"},
        "timeoutSeconds": {"type": ["integer", "null"], "minimum": 1, "maximum": 86400},
        "errorCode": {"type": ["string", "number", "null"]},
        "errorMessage": {"type": ["string", "null"]},
    },
}
_OUTCOMES_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["outcomes", "position"],
    "properties": {
        "outcomes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["outcome", "reason", "action_id", "state"],
                "properties": {
                    "outcome": {"enum": ["recorded", "duplicate", "parked", "refused"]},
                    "reason": {"type": ["string", "null"]},
                    "action_id": {"type": ["string", "null"]},
                    "state": {"type": ["string", "null"]},
                    "field": {"type": ["string", "null"]},
                    "cause": {"type": ["string", "null"]},
                },
            },
        },
        "position": {"type": ["integer", "null"]},
    },
}
_PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
        "cause": {"type": "string"},
    },
}

SIGNALS: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [_SIGNAL_SCHEMA, {"type": "array", "items": _SIGNAL_SCHEMA}]},
                "example": SIGNAL,
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}
SIGNAL_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "An outcome for each signal, in order",
        "content": {
            "application/json": {"schema": _OUTCOMES_SCHEMA, "example": RECORDED},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    },
    "default": {
        "description": "What is wrong, as RFC 9457 has it",
        "content": {"application/problem+json": {"schema": _PROBLEM_SCHEMA, "example": PROBLEM}},
    },
}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {"default": SIGNAL_ANSWERS["default"]}
