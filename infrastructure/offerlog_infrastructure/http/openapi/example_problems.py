"""An example of every error in the OpenAPI document; a test provokes each."""

from typing import Final

from offerlog_infrastructure.http.problems import OVERLOADED, Problem, ProblemError, describe_problem


def _example(slug: str, detail: str, field: str | None = None) -> Problem:
    return describe_problem(ProblemError(slug, detail, field=field))


_EXAMPLES: Final = (
    _example("malformed-request", "a hyphenated UUID is needed", "action_map_id"),
    _example("unauthorized", "a key is needed: Authorization: Bearer ofl_..."),
    _example(
        "forbidden", "a key with the role reporter or admin is needed here; this key has the role widget"
    ),
    _example("not-found", "Not Found"),
    _example(
        "legal-hold",
        "a legal hold since 2026-11-22 forbids to erase this visitor: lawsuit 12/2026; lift it first",
    ),
    _example("payload-too-large", "at most 10,000 signals in an array; send NDJSON"),
    _example(
        "unsupported-media-type",
        "text/xml is not understood: send application/json, application/x-ndjson or text/plain",
        "Content-Type",
    ),
    _example("rate-limited", "too many requests with this key from this address"),
    _example("internal", "an error of the service itself; its log says which"),
    _example("overloaded", OVERLOADED),
    _example(
        "store-disk-full",
        "the disk of the database is full; free space on it; the service goes on by itself",
    ),
)

PROBLEMS: Final[dict[int, Problem]] = {problem["status"]: problem for problem in _EXAMPLES}
"""One answer for each status that is an error."""
