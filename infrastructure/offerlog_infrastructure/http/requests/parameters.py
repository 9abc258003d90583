"""Parameters of several routes, with the schemas that the OpenAPI document shows.

The schemas only describe. The application checks the values, by the rules that the command line has too.
"""

from typing import Annotated, Any

from fastapi import Path, Query
from starlette.convertors import StringConvertor, register_url_convertor

from offerlog_infrastructure.presentation.json_types import NAME_LENGTHS, UUID_FORMAT


class _AnyText(StringConvertor):
    """Any text in a path, with line feeds and slashes; the framework's own `path` ends at a line feed."""

    regex = r"[\s\S]*"


register_url_convertor("text", _AnyText())

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
Limit = Annotated[int, Query(ge=1, le=10_000, description="The most rows of a page.")]


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


def only_maps(description: str) -> Any:
    """Build a parameter for ids of action maps."""
    return Query(description=description, json_schema_extra={"items": {"type": "string"} | _UUID})


def moment_of(description: str) -> Any:
    """Build a parameter for an instant."""
    return Query(description=description, json_schema_extra={"format": "date-time"})


HistoryVersion = Annotated[int | None, Query(ge=0, lt=2**63, description="As it was after so many events.")]
HistoryMoment = Annotated[str | None, moment_of("As it was recorded by then; not with `version`.")]
HistoryCursor = Annotated[str | None, cursor_of_page("history")]
