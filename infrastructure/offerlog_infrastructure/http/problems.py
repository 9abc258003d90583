"""Errors as RFC 9457 problem details, each with a stable relative `type`."""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, NotRequired, TypedDict

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route

from offerlog_application.ports.erasure import ErasureUnfinishedError, LegalHoldError, NoSuchVisitorError
from offerlog_application.ports.event_log import (
    ClosedError,
    OutcomeUnknownError,
    SliceElsewhereError,
    StoreUnavailableError,
)
from offerlog_application.ports.keyring import KeyringError
from offerlog_application.ports.positions import UnknownPositionError
from offerlog_application.ports.read_models import TooManySuppressionsError, UnknownVisitorError
from offerlog_application.ports.shards import NotOverShardsError, PartlyRecordedError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.ports.subscriptions import SubscriptionLimitError, UnknownSubscriptionError
from offerlog_application.ports.webhooks import UnknownWebhookError, WebhookLimitError
from offerlog_application.reading.arrow import ExtraMissingError
from offerlog_application.reading.instants import CalendarError
from offerlog_application.reading.map_names import UnknownActionMapError
from offerlog_application.reading.performance_report import ReportTooLargeError
from offerlog_application.reading.read_budget import ReadTimeoutError
from offerlog_application.recording.submissions import OverloadedError
from offerlog_application.recording.writer_errors import ContendedError, OrganizationDeletedError
from offerlog_domain.errors import OfferlogError
from offerlog_domain.signals import MalformedSignalError
from offerlog_infrastructure.archive.errors import ArchiveUnavailableError
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble

MEDIA_TYPE = "application/problem+json"

OVERLOADED: Final = "more is waiting than can be taken on: send it again after the seconds in Retry-After"

SLUGS = {
    "malformed-request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "legal-hold": 409,
    "too-many-subscriptions": 409,
    "too-many-webhooks": 409,
    "payload-too-large": 413,
    "url-too-long": 414,
    "unsupported-media-type": 415,
    "rate-limited": 429,
    "headers-too-large": 431,
    "internal": 500,
    "several-servers": 501,
    "overloaded": 503,
    "unavailable": 503,
    "read-timeout": 503,
    "outcome-unknown": 503,
    "store-storage-failed": 503,
    "store-locked": 503,
    "store-too-many-connections": 503,
    "store-read-only": 503,
    "store-restarting": 503,
    "store-failed": 503,
    "keyring-failed": 503,
    "erasure-unfinished": 503,
    "store-disk-full": 507,
}
"""Kinds of problems, each with its status."""

_keyring_trouble: Final = RepeatedTrouble(
    logging.getLogger(__name__), "requests fail, since the keys of the store cannot be used"
)

_SLUG_OF = {status: slug for slug, status in reversed(SLUGS.items())}


class Problem(TypedDict):
    """Error as problem details (RFC 9457).

    Attributes:
        type: Relative reference that names the kind of problem; it never changes.
        title: The status in words.
        status: The HTTP status.
        detail: What is wrong with this request, for people.
        field: The part of the request at fault.
        cause: The same text as `detail`, where there is a `field`.
    """

    type: Annotated[str, Meta(extra_json_schema={"enum": [f"/problems/{slug}" for slug in SLUGS]})]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    field: NotRequired[str]
    cause: NotRequired[str]


class ProblemError(OfferlogError):
    """Error that is answered as a problem.

    Attributes:
        status: The HTTP status of that kind of problem (`SLUGS`).
        slug: The kind of problem, for programs; it never changes.
        detail: What is wrong with this request, for people.
        field: The part of the request at fault.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = SLUGS[slug]
        self.slug = slug
        self.detail = detail
        self.field = field
        self.headers = headers


_RETRY_AFTER: Final = "2"
"""Seconds until a retry, while the store cannot do its work."""

_PARAMETER_OF: Final = {
    "customerId": "customer_id",
    "customerIdType": "customer_id_type",
    "actionMapId": "action_map_id",
}
"""Parameters of a path or query, by the signal's field that they stand for."""


def title(status: int) -> str:
    """Return the words of RFC 9110 for a status; Python has them from 3.13 on."""
    return "Content Too Large" if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else HTTPStatus(status).phrase


def malformed(field: str | None, cause: str) -> ProblemError:
    """Build the problem of a request that cannot be understood: 400, with the field and the cause."""
    return ProblemError("malformed-request", cause, field=field)


def describe_problem(problem: ProblemError) -> Problem:
    """Describe a problem as RFC 9457 has it."""
    answer: Problem = {
        "type": f"/problems/{problem.slug}",
        "title": title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field is not None:
        answer["field"] = problem.field
        answer["cause"] = problem.detail
    return answer


def answer(problem: ProblemError) -> EscapedJSONResponse:
    """Build the response that reports a problem."""
    return EscapedJSONResponse(describe_problem(problem), problem.status, problem.headers, MEDIA_TYPE)


def _of_field(error: MalformedSignalError | ReportTooLargeError | TooManySuppressionsError) -> ProblemError:
    return malformed(error.field, error.cause)


def _of_calendar(error: CalendarError) -> ProblemError:
    return malformed(error.option, f"{error.value!r} {error.cause}.")


def _of_overload(error: OverloadedError) -> ProblemError:
    return ProblemError(
        "overloaded", OVERLOADED, headers={"Retry-After": str(max(1, round(error.retry_after)))}
    )


def _of_unknown_outcome(error: OutcomeUnknownError) -> ProblemError:
    why = "" if error.because is None else f" ({error.because.summary})"
    detail = f"the store went away while committing{why}; send the same again: what is recorded is recognised"
    return ProblemError("outcome-unknown", detail, headers={"Retry-After": _RETRY_AFTER})


def of_store(error: StoreUnavailableError) -> ProblemError:
    """Build the problem of a store that cannot do its work; each reason has its own type."""
    is_known = error.trouble is not StoreTrouble.UNREACHABLE
    slug = f"store-{error.trouble}" if is_known else "unavailable"
    return ProblemError(slug, error.summary, headers={"Retry-After": _RETRY_AFTER})


_BUILDERS: Final[Mapping[type[Exception], Callable[[Any], ProblemError]]] = {
    ProblemError: lambda problem: problem,
    MalformedSignalError: _of_field,
    ReportTooLargeError: _of_field,
    TooManySuppressionsError: _of_field,
    UnknownPositionError: lambda error: malformed("lastEventId", str(error).partition(": ")[2]),
    UnknownSubscriptionError: lambda error: ProblemError("not-found", str(error)),
    SubscriptionLimitError: lambda error: ProblemError("too-many-subscriptions", str(error)),
    UnknownWebhookError: lambda error: ProblemError("not-found", str(error)),
    WebhookLimitError: lambda error: ProblemError("too-many-webhooks", str(error)),
    UnknownVisitorError: lambda error: ProblemError("not-found", str(error), field="cursor"),
    CalendarError: _of_calendar,
    UnknownActionMapError: lambda error: malformed("action_map", str(error)),
    ExtraMissingError: lambda error: malformed("format", str(error)),
    OverloadedError: _of_overload,
    ReadTimeoutError: lambda error: ProblemError("read-timeout", str(error), headers={"Retry-After": "10"}),
    StoreUnavailableError: of_store,
    KeyringError: lambda _: ProblemError(
        "keyring-failed",
        "the service cannot use the keys of the store; its log says why",
        headers={"Retry-After": _RETRY_AFTER},
    ),
    ArchiveUnavailableError: lambda error: ProblemError(
        "unavailable", str(error), headers={"Retry-After": _RETRY_AFTER}
    ),
    SliceElsewhereError: lambda error: ProblemError(
        "unavailable", str(error), headers={"Retry-After": _RETRY_AFTER}
    ),
    PartlyRecordedError: lambda error: ProblemError(
        "outcome-unknown", str(error), headers={"Retry-After": _RETRY_AFTER}
    ),
    NotOverShardsError: lambda error: ProblemError("several-servers", str(error)),
    ContendedError: lambda error: ProblemError(
        "unavailable", str(error), headers={"Retry-After": _RETRY_AFTER}
    ),
    OrganizationDeletedError: lambda error: ProblemError(
        "unavailable", str(error), headers={"Retry-After": _RETRY_AFTER}
    ),
    ClosedError: lambda _: ProblemError(
        "unavailable", "the service is stopping", headers={"Retry-After": "5"}
    ),
    OutcomeUnknownError: _of_unknown_outcome,
    NoSuchVisitorError: lambda error: ProblemError("not-found", str(error)),
    LegalHoldError: lambda error: ProblemError("legal-hold", str(error)),
    ErasureUnfinishedError: lambda error: ProblemError(
        "erasure-unfinished", str(error), headers={"Retry-After": _RETRY_AFTER}
    ),
    ClientDisconnect: lambda _: malformed(None, "the connection was closed before the body had come"),
}
"""The problem of each class of errors, and of its subclasses. Any other is an error of the service itself."""


def problem_of(error: Exception) -> ProblemError:
    """Return the problem that reports an error."""
    for kind in type(error).__mro__:
        if kind in _BUILDERS:
            return _BUILDERS[kind](error)
    return ProblemError("internal", "an error of the service itself; its log says which")


def answer_error(request: Request, error: Exception) -> EscapedJSONResponse:
    """Build the response that reports a known error of a request.

    Raises:
        Exception: The same error, if it is not known: the request log answers it.
    """
    if not any(kind in _BUILDERS for kind in type(error).__mro__):
        raise error
    problem = problem_of(error)
    if isinstance(error, KeyringError):
        _keyring_trouble.note(error)  # the answer does not say why: it is for everybody
    if isinstance(error, MalformedSignalError) and request.method != "POST":  # the fault is in a parameter
        problem.field = _PARAMETER_OF.get(problem.field or "", problem.field)
    return answer(problem)


def _methods_of(request: Request, routes: Sequence[BaseRoute]) -> list[str]:
    """Return the methods of all routes with the path of a request; the framework names those of the first."""
    methods: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def handle(app: FastAPI, routes: Sequence[BaseRoute] = ()) -> None:
    """Answer every known error of this application as a problem; the request log answers the others.

    Args:
        app: The application.
        routes: Its routes, for the methods that an answer 405 names.
    """

    async def answer_known(request: Request, error: Exception) -> EscapedJSONResponse:
        return answer_error(request, error)

    async def answer_framework(request: Request, error: Exception) -> EscapedJSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
        headers = dict(error.headers or {})
        if "Allow" in headers:
            headers["Allow"] = ", ".join(_methods_of(request, routes))
        return answer(ProblemError(_SLUG_OF[error.status_code], str(error.detail), headers=headers))

    async def answer_invalid(_: Request, error: Exception) -> EscapedJSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for no other
        first = error.errors()[0]
        path = [str(part) for part in first["loc"][1:]]
        return answer(malformed(".".join(path) or str(first["loc"][0]), str(first["msg"])))

    for kind in _BUILDERS:
        app.add_exception_handler(kind, answer_known)
    app.add_exception_handler(HTTPException, answer_framework)
    app.add_exception_handler(RequestValidationError, answer_invalid)
