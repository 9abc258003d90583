"""An example of every error in the OpenAPI document; a test provokes each."""

from typing import Final

from offerlog_infrastructure.http.problems import OVERLOADED, Problem, ProblemError, describe_problem


def _example(slug: str, status: int, detail: str, field: str | None = None) -> Problem:
    return describe_problem(ProblemError(status, slug, detail, field=field))


PROBLEMS: Final[dict[int, Problem]] = {
    400: _example("malformed-request", 400, "a hyphenated UUID is needed", "action_map_id"),
    401: _example("unauthorized", 401, "a key is needed: Authorization: Bearer ofl_..."),
    403: _example(
        "forbidden", 403, "this is for a key with the role reporter or admin, and this one is a widget's"
    ),
    404: _example("not-found", 404, "Not Found"),
    413: _example("payload-too-large", 413, "at most 10,000 signals in an array; send NDJSON"),
    415: _example(
        "unsupported-media-type",
        415,
        "text/xml is not understood: send application/json, application/x-ndjson or text/plain",
        "Content-Type",
    ),
    429: _example("rate-limited", 429, "too many requests with this key from this address"),
    500: _example("internal", 500, "an error of the service itself; its log says which"),
    503: _example("overloaded", 503, OVERLOADED),
    507: _example(
        "store-disk-full",
        507,
        "the disk of the database is full; free space on it; the service goes on by itself",
    ),
}
"""One answer for each status that is an error."""
