"""The one error of the client: a request that was not answered as it should be."""

from typing import Self

import httpx

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 507})


class ServiceError(Exception):
    """A request failed: the service answered with a problem (RFC 9457), something else did, or nothing.

    Attributes:
        kind: The kind of problem, such as `forbidden` or `store-disk-full`. `unreachable` if there was no
            answer, `unknown` if the answer does not come from the service.
        detail: What is wrong, for people.
        status: The HTTP status; None without an answer.
        field: The part of the request at fault; None if the problem names none.
        retry_after: Seconds after which the service asks to send the request again; None if it names none.
        request_id: The id of the request in the log of the service; None without an answer.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int | None = None,
        field: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}" if status is None else f"{status} {kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.status = status
        self.field = field
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def is_temporary(self) -> bool:
        """True if the same request may succeed later. Every request of this client may be repeated."""
        return self.status is None or self.status in _RETRIED

    @classmethod
    def of_answer(cls, answer: httpx.Response) -> Self:
        """Build the error that an answer reports."""
        kind, detail, field = "unknown", answer.reason_phrase, None
        try:
            problem = answer.json()
            kind = str(problem["type"]).removeprefix("/problems/")
            detail, field = str(problem["detail"]), problem.get("field")
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # the answer of a proxy
        wait = answer.headers.get("retry-after", "")
        return cls(
            kind,
            detail,
            status=answer.status_code,
            field=field,
            retry_after=float(wait) if wait.isdecimal() else None,
            request_id=answer.headers.get("x-request-id"),
        )
