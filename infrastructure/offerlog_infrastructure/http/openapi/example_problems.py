"""An example of every error in the OpenAPI document; a test provokes each."""

from typing import Any, Final

from offerlog_infrastructure.http.problems import OVERLOADED


def _problem(slug: str, status: int, title: str, detail: str, field: str | None = None) -> dict[str, Any]:
    told = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail}
    return told | ({"field": field, "cause": detail} if field else {})


PROBLEMS: Final[dict[int, dict[str, Any]]] = {
    400: _problem("malformed-request", 400, "Bad Request", "a hyphenated UUID is needed", "action_map_id"),
    401: _problem("unauthorized", 401, "Unauthorized", "a key is needed: Authorization: Bearer ofl_..."),
    403: _problem(
        "forbidden",
        403,
        "Forbidden",
        "this is for a key with the role reporter or admin, and this one is a widget's",
    ),
    404: _problem("not-found", 404, "Not Found", "Not Found"),
    413: _problem(
        "payload-too-large",
        413,
        "Content Too Large",
        "at most 10,000 signals in an array; send NDJSON",
    ),
    415: _problem(
        "unsupported-media-type",
        415,
        "Unsupported Media Type",
        "text/xml is not understood: send application/json, application/x-ndjson or text/plain",
        "Content-Type",
    ),
    429: _problem(
        "rate-limited", 429, "Too Many Requests", "too many requests with this key from this address"
    ),
    500: _problem(
        "internal", 500, "Internal Server Error", "an error of the service itself; its log says which"
    ),
    503: _problem("overloaded", 503, "Service Unavailable", OVERLOADED),
    507: _problem(
        "store-disk-full",
        507,
        "Insufficient Storage",
        "the disk of the database is full; free space on it; the service goes on by itself",
    ),
}
"""One answer of each status that is an error."""
