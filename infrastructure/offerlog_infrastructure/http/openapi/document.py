"""The OpenAPI document: what the framework knows of the routes, completed by what no signature says."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from offerlog_infrastructure.export.report_files import FileFormat
from offerlog_infrastructure.http import problems
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.openapi.example_problems import PROBLEMS
from offerlog_infrastructure.http.openapi.schemas import Schema, build_schemas, keep_reachable, refer_to

_JSON: Final = "application/json"
_NDJSON: Final = "application/x-ndjson"
_LINES: Final[Schema] = {"type": "string", "description": "One JSON document on each line."}
_BEACON: Final[Schema] = {
    "type": "string",
    "pattern": r'^\{"key": ?"ofl_[a-z]+_[0-9a-f]{12}_[A-Za-z0-9_-]{43}"\}\n',
    "description": "The key on the first line, because sendBeacon has no headers; the signals on the others.",
}
_SEVERAL: Final[Schema] = {"type": "array", "items": refer_to("AnySignal"), "maxItems": 10_000}

_FILES: Final[dict[str, Schema]] = {one.media_type: {"type": "string"} for one in FileFormat}
"""Files in which a report may be had."""

_BODIES: Final[dict[str, dict[str, Schema]]] = {
    "recordSignals": {
        _JSON: {"anyOf": [refer_to("AnySignal"), _SEVERAL]},
        _NDJSON: _LINES,
        "text/plain": _BEACON,
    },
    "makeOffer": {_JSON: refer_to("Offer")},
    "suppressionsOfVisitors": {_JSON: refer_to("Visitors")},
    "createKey": {_JSON: refer_to("NewKey")},
    "createWebhook": {_JSON: refer_to("NewWebhook")},
    "setPolicyOfActionMap": {_JSON: refer_to("NewPolicy")},
}
"""Schemas of request bodies, by operation and media type."""

_ANSWERS: Final[dict[str, dict[str, Schema]]] = {
    "recordSignals": {_JSON: refer_to("Outcomes"), _NDJSON: _LINES},
    "makeOffer": {_JSON: refer_to("Decision")},
    "suppressionsOfVisitor": {_JSON: refer_to("Suppressions")},
    "suppressionsOfVisitors": {_JSON: refer_to("SuppressionsOfMany")},
    "suppressions": {_JSON: refer_to("Suppressions")},
    "eligibilityOf": {_JSON: refer_to("Eligibility")},
    "historyOf": {_JSON: refer_to("History")},
    "timeline": {_JSON: refer_to("Timeline"), _NDJSON: _LINES},
    "eligibility": {_JSON: refer_to("Eligibility")},
    "suppressionsOfActionMap": {_JSON: refer_to("SuppressionPage"), _NDJSON: _LINES},
    "policyOfActionMap": {_JSON: refer_to("PolicyInForce")},
    "setPolicyOfActionMap": {_JSON: refer_to("PolicyInForce")},
    "actionMapPerformance": {_JSON: refer_to("Performance"), **_FILES},
    "actionMapsReport": {_JSON: refer_to("ActionMapsReport"), **_FILES},
    "funnel": {_JSON: refer_to("Funnel"), **_FILES},
    "blockedOffers": {_JSON: refer_to("BlockedOffers"), **_FILES},
    "offerTimes": {_JSON: refer_to("OfferTimes"), **_FILES},
    "offersBehind": {_JSON: refer_to("OffersBehind")},
    "offersOfVisitor": {_JSON: refer_to("OffersOfVisitor")},
    "recentVisitors": {_JSON: refer_to("RecentVisitors")},
    "actionMaps": {_JSON: refer_to("ActionMaps")},
    "history": {_JSON: refer_to("History")},
    "refusals": {_JSON: refer_to("RefusalPage"), _NDJSON: _LINES},
    "refusalCounts": {_JSON: refer_to("RefusalCounts")},
    "projections": {_JSON: refer_to("Projections")},
    "visitorData": {_JSON: refer_to("VisitorData")},
    "visitorDataOf": {_JSON: refer_to("VisitorData")},
    "eraseVisitor": {_JSON: refer_to("Erasure")},
    "eraseVisitorOf": {_JSON: refer_to("Erasure")},
    "issuedReports": {_JSON: refer_to("IssuedReports")},
    "keyring": {_JSON: refer_to("Keyring")},
    "deleteOrganization": {_JSON: refer_to("DeletedTenant")},
    "listKeys": {_JSON: refer_to("ApiKeys")},
    "createKey": {_JSON: refer_to("NewApiKey")},
    "revokeKey": {_JSON: refer_to("ApiKey")},
    "stream": {"text/event-stream": refer_to("Change")},
    "events": {
        "application/cloudevents-batch+json": {"type": "array", "items": refer_to("CloudEvent")},
        "text/event-stream": refer_to("CloudEvent"),
    },
    "acknowledgeEvents": {_JSON: refer_to("Subscription")},
    "subscriptions": {_JSON: refer_to("Subscriptions")},
    "deleteSubscription": {_JSON: refer_to("DeletedSubscription")},
    "listWebhooks": {_JSON: refer_to("Webhooks")},
    "createWebhook": {_JSON: refer_to("MadeWebhook")},
    "showWebhook": {_JSON: refer_to("ShownWebhook")},
    "deleteWebhook": {_JSON: refer_to("DeletedWebhook")},
    "testWebhook": {_JSON: refer_to("WebhookAttempt")},
    "disableWebhook": {_JSON: refer_to("Webhook")},
    "enableWebhook": {_JSON: refer_to("Webhook")},
    "rotateWebhook": {_JSON: refer_to("MadeWebhook")},
    "deadLettersOfWebhook": {_JSON: refer_to("DeadLetters")},
    "sendAgain": {_JSON: refer_to("WaitingAgain")},
    "alive": {_JSON: refer_to("Alive")},
    "ready": {_JSON: refer_to("Ready")},
}
"""Schemas of answers with status 200 or 201, by operation and media type."""

_OPEN: Final = frozenset({"alive", "ready"})
"""Operations that need no key."""

_TAGGED: Final = frozenset(
    {"actionMapPerformance", "actionMapsReport", "funnel", "blockedOffers", "offerTimes"}
)
"""Operations whose answers have an ETag."""

_OF_KNOWN_VISITORS: Final = frozenset({"visitorData", "visitorDataOf", "eraseVisitor", "eraseVisitorOf"})
"""Operations that answer 404 if nothing is held of the visitor."""

_OF_KNOWN_NAMES: Final = _OF_KNOWN_VISITORS | {"events"}
"""Operations that answer 404 if a visitor or a name in the query is not known."""

_ERASING: Final = frozenset({"eraseVisitor", "eraseVisitorOf"})
"""Operations that a legal hold may forbid."""

_LIMITED: Final = frozenset({"acknowledgeEvents", "createWebhook"})
"""Operations that make something of which an organization may have so many."""

_MAKING: Final = frozenset({"createKey", "createWebhook"})
"""Operations that answer 201."""

_HEADERS: Final[dict[int, str]] = {
    401: "WWW-Authenticate",
    **dict.fromkeys((429, 503, 507), "Retry-After"),
}
"""Header of the problems with this status."""

_TAG: Final = {"ETag": {"description": "The position that the report is of.", "schema": {"type": "string"}}}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer that the caller still has.",
    "schema": {"type": "string"},
}


class DescribedAPI(FastAPI):
    """The framework's application, with a complete OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """Build the document at the first call; return it."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operation in _operations(document):
                _complete(operation)
            of_parameters = document.get("components", {}).get("schemas", {})
            responses = {_name(status): _describe_problem(status) for status in PROBLEMS}
            document["components"] = {
                "schemas": keep_reachable(of_parameters | build_schemas(), [document["paths"], responses]),
                "responses": responses,
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A key: `ofl_...`. For `makeOffer`, a visitor token (JWT), too.",
                    }
                },
            }
        assert self.openapi_schema is not None  # noqa: S101 - made above
        return self.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: dict[str, Any]) -> None:
    """Add the key, body, examples and responses of one operation.

    Raises:
        KeyError: The tables of this module do not have the operation.
    """
    name = operation["operationId"]
    if name not in _OPEN:
        operation["security"] = [{"key": []}]
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
        if parameter["required"]:
            parameter["example"] = examples.PARAMETERS[parameter["name"]]
    if name in _TAGGED:
        operation["parameters"].append(_IF_NONE_MATCH)
    if name in _BODIES:
        content = {media: {"schema": schema} for media, schema in _BODIES[name].items()}
        content[_JSON]["examples"] = _wrap_examples(examples.REQUESTS[name])
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {str(status): response for status, response in _responses(name, operation)}


def _without_null(schema: Schema) -> Schema:
    """Return a parameter's schema without null: no URL can say null, it leaves the parameter out."""
    kept = {key: value for key, value in schema.items() if key not in {"anyOf", "title"}}
    for one in schema.get("anyOf", ()):
        if one != {"type": "null"}:
            kept = one | kept
    return kept


def _responses(name: str, operation: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    content = {media: {"schema": schema} for media, schema in _ANSWERS[name].items()}
    shown = examples.ANSWERS.get(name, {})
    if name == "makeOffer":
        for status, decision in ((201, "offered"), (200, "blocked")):
            content = {_JSON: {**content[_JSON], "examples": _wrap_examples({decision: shown[decision]})}}
            yield status, {"description": decision.capitalize(), "content": content}
    else:
        if shown:
            content[_JSON]["examples"] = _wrap_examples(shown)
        status = 201 if name in _MAKING else 200
        yield status, {"description": operation["summary"], "content": content}
    if name in _TAGGED:
        yield 304, {"description": "The report is as the ETag says", "headers": _TAG}
    for status in _problem_statuses(name, operation):
        yield status, {"$ref": f"#/components/responses/{_name(status)}"}


def _problem_statuses(name: str, operation: dict[str, Any]) -> Iterator[int]:
    """Yield the statuses of the problems that an operation may answer with."""
    if "requestBody" in operation or ("parameters" in operation and name != "stream"):
        yield 400
    if name not in _OPEN:
        yield from (401, 403)
    if name in _OF_KNOWN_NAMES or any(one["in"] == "path" for one in operation.get("parameters", ())):
        yield 404
    if name in _ERASING or name in _LIMITED:
        yield 409
    if "requestBody" in operation:
        yield from (413, 415)
    if name not in _OPEN:
        yield 429
    yield 500
    if name != "alive":
        yield from (503, 507)


def _name(status: int) -> str:
    return problems.title(status).replace(" ", "")


def _describe_problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": ", ".join(slug for slug, of_slug in problems.SLUGS.items() if of_slug == status),
        "content": {problems.MEDIA_TYPE: {"schema": refer_to("Problem"), "example": PROBLEMS[status]}},
    }
    if status in _HEADERS:
        response["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return response


def _wrap_examples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in values.items()}
