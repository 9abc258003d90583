"""Instants in the query of a request: times, and words relative to the service's clock."""

from datetime import datetime

from fastapi import Request

from offerlog_application.reading.report_range import moment
from offerlog_infrastructure.http.state import state_of

_DATE_AND_SEPARATOR = len("2026-11-22T")


def read_asked_moment(request: Request, text: str | None, field: str) -> datetime | None:
    """Read the time of a parameter, in UTC unless it has an offset; None stays None.

    A blank before the offset is a plus sign that the client did not encode.

    Raises:
        CalendarError: It is neither a time nor a relative time such as `-7d`.
    """
    if text is None:
        return None
    head, tail = text[:_DATE_AND_SEPARATOR], text[_DATE_AND_SEPARATOR:]
    return moment(head + tail.replace(" ", "+"), state_of(request).service.analysis.now(), field)
