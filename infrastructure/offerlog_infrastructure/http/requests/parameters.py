"""Parameters of several routes, with the schemas that the OpenAPI document shows.

The schemas only describe. The application checks the values, by the rules that the command line has too.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import Path, Query
from starlette.convertors import StringConvertor, register_url_convertor

from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.presentation.json_types import NAME_LENGTHS, UUID_FORMAT


class _AnyText(StringConvertor):
    """Any text in a path, with line feeds and slashes; the framework's own `path` ends at a line feed."""

    regex = r"[\s\S]*"


class _VisitorAlone(StringConvertor):
    """Any text that does not end as the path of something of a visitor does: nobody is erased by mistake.

    A visitor whose id ends so is named in the query.
    """

    regex = r"(?![\s\S]*/(?:suppressions|data|action-maps/[^/]*/(?:eligibility|history))$)[\s\S]*"


register_url_convertor("text", _AnyText())
register_url_convertor("visitor", _VisitorAlone())

_UUID = {"format": UUID_FORMAT}
_NAME = dict(zip(("minLength", "maxLength"), NAME_LENGTHS, strict=True))

CustomerId = Annotated[str, Path(description="Who; percent-encoded.", json_schema_extra=_NAME)]
CustomerType = Annotated[
    str, Query(description="What kind of id the customer's is.", json_schema_extra=_NAME)
]
ActionMapId = Annotated[str, Path(json_schema_extra=_UUID)]
AskedCustomerId = Annotated[
    str, Query(alias="customer_id", description="Who; any id, percent-encoded.", json_schema_extra=_NAME)
]
AskedActionMapId = Annotated[str, Query(alias="action_map_id", json_schema_extra=_UUID)]
VisitorOfRefusals = Annotated[
    str | None,
    Query(
        description="Only of this visitor, as far as the texts name their visitor.", json_schema_extra=_NAME
    ),
]
MapOfRefusals = Annotated[
    str | None,
    Query(description="Only about this map, as far as the texts can be read.", json_schema_extra=_UUID),
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="The most rows of a page.")]

ShortLimit = Annotated[int, Query(ge=1, le=1_000, description="The most rows of a page.")]
"""The limit of a list whose page is read as a whole: with the longest ids and names it stays below 4 MiB."""


def cursor_of_page(listing: str) -> Any:
    """Build a cursor parameter; each list has its own format."""
    return Query(
        description="`next_cursor` of the page before.", json_schema_extra={"format": f"{listing}-cursor"}
    )


def calendar_time(name: str, description: str) -> Any:
    """Build a parameter for a date or time of a report, on a quarter-hour."""
    return Query(alias=name, description=description, json_schema_extra={"format": "calendar-time"})


def zone_of_calendar(name: str, description: str) -> Any:
    """Build a parameter for the IANA name of a time zone."""
    return Query(alias=name, description=description, json_schema_extra={"format": "time-zone"})


def moment_of(description: str) -> Any:
    """Build a parameter for an instant, or a time relative to now."""
    return Query(description=description, json_schema_extra={"format": "moment"})


HistoryVersion = Annotated[int | None, Query(ge=0, lt=2**63, description="As it was after so many events.")]
HistoryMoment = Annotated[str | None, moment_of("As it was recorded by then; not with `version`.")]
HistoryCursor = Annotated[str | None, cursor_of_page("history")]
OnlyMap = Annotated[str | None, Query(description="Only this map.", json_schema_extra=_UUID)]
TimelineMoment = Annotated[str | None, moment_of("As it was recorded by then.")]
TimelineCursor = Annotated[str | None, cursor_of_page("timeline")]

Int64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number in a cursor."""


def read_cursor_moment(text: str) -> datetime:
    """Read the time in a cursor.

    Raises:
        ProblemError: 400, it is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise malformed("cursor", f"{text!r} is not a time") from None
