"""Schemas of what comes in, by the names the OpenAPI document gives them, and what schemas are made of."""

from typing import Any, Final

from offerlog_domain.lifecycle import State, UntrackedState
from offerlog_domain.wire import STORED_FORM_EVENT_TYPES

Schema = dict[str, Any]

UUID: Final[Schema] = {"type": "string", "format": "uuid"}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 256}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
TIMEOUT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 86_400}


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def many(item: Schema, **limits: int) -> Schema:
    """A list of these."""
    return {"type": "array", "items": item, **limits}


def or_null(schema: Schema) -> Schema:
    """This, or null."""
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def closed(sometimes: dict[str, Schema] | None = None, /, **always: Schema) -> Schema:
    """An object of these fields and no other."""
    return {
        "type": "object",
        "required": list(always),
        "properties": always | (sometimes or {}),
        "additionalProperties": False,
    }


def _told(required: dict[str, Schema], nullable: dict[str, Schema] | None = None) -> Schema:
    """An object that may hold more than is read; null stands for a nullable field left out."""
    told = required | {name: or_null(schema) for name, schema in (nullable or {}).items()}
    return {"type": "object", "required": list(required), "properties": told}


STATES: Final[Schema] = {"enum": [*(one.value for one in State), *(one.value for one in UntrackedState)]}
_ERROR: Final[Schema] = {"errorCode": {"type": ["string", "number"]}, "errorMessage": TEXT}

REQUESTS: Final[dict[str, Schema]] = {
    "Signal": _told(
        {
            "actionId": UUID,
            "actionState": STATES,
            "actionMapId": UUID,
            "customerId": NAME,
            "sessionId": UUID,
        },
        {
            "actionMediaType": NAME | {"default": "webchat"},
            "actionMapVersion": NUMBER,
            "actionMapName": TEXT,
            "customerIdType": NAME | {"default": "cookie"},
            "eventId": UUID,
            "createdDate": TIME,
            "timeoutSeconds": TIMEOUT,
            **_ERROR,
        },
    ),
    "StoredSignal": _told(
        {
            "eventType": {"enum": sorted(STORED_FORM_EVENT_TYPES)},
            "customerId": NAME,
            "session": _told({"id": UUID}),
            "webActionEvent": _told(
                {
                    "action": _told({"id": UUID, "state": STATES}, {"mediaType": NAME}),
                    "actionMap": _told({"id": UUID}, {"version": NUMBER, "displayName": TEXT}),
                },
                _ERROR,
            ),
        },
        {"id": UUID, "customerIdType": NAME | {"default": "cookie"}, "createdDate": TIME},
    ),
    "AnySignal": {"anyOf": [ref("StoredSignal"), ref("Signal")]},
    "Offer": closed(
        {
            "actionId": or_null(UUID),
            "actionMapVersion": or_null(NUMBER),
            "timeoutSeconds": or_null(TIMEOUT),
            "customerIdType": NAME | {"default": "cookie"},
        },
        customerId=NAME,
        actionMapId=UUID,
        sessionId=UUID,
    ),
    "Visitors": closed(
        visitors=many(
            closed({"customerIdType": NAME | {"default": "cookie"}}, customerId=NAME), maxItems=1_000
        )
    ),
}
