"""The queries, repeats and answers of both clients. Nothing here waits."""

import random
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Literal
from uuid import uuid4

import httpx

from offerlog_client.answers import Signal
from offerlog_client.service_error import ServiceError

_FIRST_DELAY: Final = 0.25
_LONGEST_DELAY: Final = 5.0

Time = datetime | str
"""A time with its offset from UTC, or a text as the service accepts it, such as `2026-11-22`."""


MetricView = Literal["report", "full", "all"]
"""The metrics of a report: those of the vendor's report, all of web chats, or all that there are."""


class Repeats:
    """The repeats of one request.

    Args:
        patience: Seconds for which the request is repeated in all; 0 sends it once.
    """

    def __init__(self, patience: float) -> None:
        self._end = time.monotonic() + patience
        self._delay = _FIRST_DELAY

    def seconds_until_next(self, error: ServiceError) -> float:
        """Return the seconds to wait before the request is sent again.

        Raises:
            ServiceError: The error that was given: it is final, or the patience is over.
        """
        wait = max(self._delay * random.uniform(0.5, 1.0), error.retry_after or 0.0)  # noqa: S311 - not a secret
        if not error.is_temporary or time.monotonic() + wait > self._end:
            raise error
        self._delay = min(2 * self._delay, _LONGEST_DELAY)
        return wait


def build_query(asked: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the parameters of a request: None is left out, a list gives one for each item."""
    return [
        (name, one.isoformat() if isinstance(one, datetime) else one)
        for name, given in asked.items()
        for one in (given if isinstance(given, list) else [given])
        if one is not None
    ]


def read_answer(answer: httpx.Response) -> Any:
    """Return the JSON of an answer.

    Raises:
        ServiceError: The answer is not a success, or not JSON.
    """
    if answer.is_success:
        with suppress(ValueError):
            return answer.json()
    raise ServiceError.of_answer(answer)


def unreachable(error: httpx.TransportError) -> ServiceError:
    """Return the error of a request without an answer."""
    return ServiceError("unreachable", str(error) or type(error).__name__)


def with_event_id(signal: Signal) -> Signal:
    """Return a signal with an event id, so that a repeated request is recognised."""
    return {**signal, "eventId": signal.get("eventId") or str(uuid4())}


def name_range(
    *,
    start: Time | None,
    end: Time | None,
    last: str | None,
    zone: str | None,
    action_maps: Iterable[str],
    media_type: str | None,
) -> dict[str, Any]:
    """Return the parameters that reports share: their range, its zone, the action maps and the media type."""
    return {
        "from": start,
        "to": end,
        "last": last,
        "zone": zone,
        "action_map": list(action_maps),
        "media_type": media_type,
    }


def name_visitor(customer_id: str, customer_id_type: str) -> dict[str, Any]:
    """Return the parameters that name a visitor."""
    return {"customer_id": customer_id, "customer_id_type": customer_id_type}
