"""The OpenAPI document: the routes' own parameters, and beside them what no signature says."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from offerlog_infrastructure.http import problems
from offerlog_infrastructure.http.openapi import examples
from offerlog_infrastructure.http.openapi.answers import ANSWERS
from offerlog_infrastructure.http.openapi.example_problems import PROBLEMS
from offerlog_infrastructure.http.openapi.shapes import REQUESTS, Schema, many, ref

_NDJSON: Final = "application/x-ndjson"
_LINES: Final[Schema] = {"type": "string", "description": "A JSON document a line."}
_BEACON: Final[Schema] = {
    "type": "string",
    "pattern": r'^\{"key": ?"ofl_[a-z]+_[0-9a-f]{12}_[A-Za-z0-9_-]{43}"\}\n',
    "description": "The key in the first line, as sendBeacon has no headers, and the signals behind it.",
}
_SEVERAL: Final = many(ref("AnySignal"), maxItems=10_000)

_BODIES: Final[dict[str, dict[str, Schema]]] = {
    "recordSignals": {
        "application/json": {"anyOf": [ref("AnySignal"), _SEVERAL]},
        _NDJSON: _LINES,
        "text/plain": _BEACON,
    },
    "makeOffer": {"application/json": ref("Offer")},
    "suppressionsOfVisitors": {"application/json": ref("Visitors")},
}
_ANSWERS: Final[dict[str, dict[str, Schema]]] = {
    "recordSignals": {"application/json": ref("Outcomes"), _NDJSON: _LINES},
    "makeOffer": {"application/json": ref("Decision")},
    "suppressionsOfVisitor": {"application/json": ref("Suppressions")},
    "suppressionsOfVisitors": {"application/json": ref("SuppressionsOfMany")},
    "suppressions": {"application/json": ref("Suppressions")},
    "eligibilityOf": {"application/json": ref("Eligibility")},
    "historyOf": {"application/json": ref("History")},
    "eligibility": {"application/json": ref("Eligibility")},
    "suppressionsOfActionMap": {"application/json": ref("SuppressionPage"), _NDJSON: _LINES},
    "actionMapPerformance": {"application/json": ref("Performance"), "text/csv": {"type": "string"}},
    "actionMaps": {"application/json": ref("ActionMaps")},
    "history": {"application/json": ref("History")},
    "refusals": {"application/json": ref("RefusalPage"), _NDJSON: _LINES},
    "refusalCounts": {"application/json": ref("RefusalCounts")},
    "projections": {"application/json": ref("Projections")},
    "stream": {"text/event-stream": ref("Change")},
    "alive": {"application/json": ref("Alive")},
    "ready": {"application/json": ref("Ready")},
}
_OPEN: Final = frozenset({"alive", "ready"})
_HEADERS: Final[dict[int, str]] = {
    401: "WWW-Authenticate",
    **dict.fromkeys((429, 503, 507), "Retry-After"),
}
_TAG: Final = {"ETag": {"description": "The position that the report is of.", "schema": {"type": "string"}}}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an answer that is still at hand.",
    "schema": {"type": "string"},
}


class DescribedAPI(FastAPI):
    """The framework's application, with a document that is true."""

    def openapi(self) -> dict[str, Any]:
        """The document."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operation in _operations(document):
                _complete(operation)
            named = document.get("components", {}).get("schemas", {})
            for unused in ("HTTPValidationError", "ValidationError"):  # a problem is what is answered
                named.pop(unused, None)
            document["components"] = {
                "schemas": dict(sorted((named | REQUESTS | ANSWERS).items())),
                "responses": {_name(status): _problem(status) for status in PROBLEMS},
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "description": "A key: `ofl_...`."}
                },
            }
        assert self.openapi_schema is not None  # noqa: S101 - made above
        return self.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: dict[str, Any]) -> None:
    """Say of one operation what it takes and answers; KeyError where that is told nowhere."""
    name = operation["operationId"]
    if name not in _OPEN:
        operation["security"] = [{"key": []}]
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _said(parameter["schema"])
        if parameter["required"]:
            parameter["example"] = examples.PARAMETERS[parameter["name"]]
    if name == "actionMapPerformance":
        operation["parameters"].append(_IF_NONE_MATCH)
    if name in _BODIES:
        content = {media: {"schema": schema} for media, schema in _BODIES[name].items()}
        content["application/json"]["examples"] = _named(examples.REQUESTS[name])
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {str(status): told for status, told in _responses(name, operation)}


def _said(schema: Schema) -> Schema:
    """A parameter's schema without null, which no URL can say: it is left out instead."""
    said = {key: value for key, value in schema.items() if key not in {"anyOf", "title"}}
    for one in schema.get("anyOf", ()):
        if one != {"type": "null"}:
            said = one | said
    return said


def _responses(name: str, operation: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    answers = {media: {"schema": schema} for media, schema in _ANSWERS[name].items()}
    told = examples.ANSWERS.get(name, {})
    if name == "makeOffer":
        for status, decision in ((201, "offered"), (200, "blocked")):
            content = {"schema": ref("Decision"), "examples": _named({decision: told[decision]})}
            yield status, {"description": decision.capitalize(), "content": {"application/json": content}}
    else:
        if told:
            answers["application/json"]["examples"] = _named(told)
        yield 200, {"description": operation["summary"], "content": answers}
    if name == "actionMapPerformance":
        yield 304, {"description": "It is as the ETag sent says", "headers": _TAG}
    for status in _errors(name, operation):
        yield status, {"$ref": f"#/components/responses/{_name(status)}"}


def _errors(name: str, operation: dict[str, Any]) -> Iterator[int]:
    """The statuses of its problems."""
    if "requestBody" in operation or ("parameters" in operation and name != "stream"):
        yield 400
    if name not in _OPEN:
        yield from (401, 403)
    if any(one["in"] == "path" for one in operation.get("parameters", ())):
        yield 404
    if "requestBody" in operation:
        yield from (413, 415)
    if name not in _OPEN:
        yield 429
    yield 500
    if name != "alive":
        yield from (503, 507)


def _name(status: int) -> str:
    return problems.title(status).replace(" ", "")


def _problem(status: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": ", ".join(slug for slug, its in problems.SLUGS.items() if its == status),
        "content": {problems.MEDIA_TYPE: {"schema": ref("Problem"), "example": PROBLEMS[status]}},
    }
    if status in _HEADERS:
        told["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return told


def _named(told: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in told.items()}
