"""Events of the feed as rows of a table, whose columns are the fields of all kinds of events together."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

from offerlog_application.feed.feed_event import FeedEvent
from offerlog_application.feed.kinds import KINDS_BY_NAME, DataField
from offerlog_application.reading.tables import Column, ColumnKind, Row
from offerlog_domain.uuids import format_uuid

_PLACE: Final = (
    Column("position", ColumnKind.INTEGER),
    Column("name", ColumnKind.WORD),
    Column("subject", ColumnKind.WORD),
    Column("version", ColumnKind.INTEGER),
    Column("occurred_at", ColumnKind.TIME),
    Column("recorded_at", ColumnKind.TIME),
)
"""The place of an event in the log, as `FeedEvent` has it under the same names."""

_KINDS: Final = {
    "integer": ColumnKind.INTEGER,
    "boolean": ColumnKind.FLAG,
    "date-time": ColumnKind.TIME,
    "uuid": ColumnKind.WORD,
}
"""The kinds of columns by the type or the format in the JSON Schema of a field."""


@cache
def _data_fields() -> Mapping[str, DataField]:
    """Return the fields of all kinds by name; those that identify somebody come last."""
    found = {field.name: field for kind in KINDS_BY_NAME.values() for field in kind.fields}
    return dict(sorted(found.items(), key=lambda one: one[1].identifies))


def event_columns(*, is_identified: bool) -> Sequence[Column]:
    """Return the columns of exported events."""
    fields = _data_fields().values()
    return [
        *_PLACE,
        *(Column(one.name, _kind_of(one)) for one in fields if is_identified or not one.identifies),
    ]


def _kind_of(field: DataField) -> ColumnKind:
    """Return the kind of a column by the schema of the field."""
    types: Any = field.schema["type"]
    name = types if isinstance(types, str) else types[0]
    is_word = "enum" in field.schema or "pattern" in field.schema
    return _KINDS.get(str(field.schema.get("format", name)), ColumnKind.WORD if is_word else ColumnKind.TEXT)


def event_row(*, is_identified: bool) -> Callable[[FeedEvent], Row]:
    """Return the function that makes the row of an event, with typed values."""
    fields = _data_fields().values()
    public = tuple(one.name for one in fields if not one.identifies and one.name != "visitor")
    private = tuple(one.name for one in fields if one.identifies and not one.name.startswith("customer_id"))

    def build(one: FeedEvent) -> Row:
        event = one.event
        row = [
            one.position,
            one.name,
            one.subject,
            one.version,
            one.occurred_at,
            one.recorded_at,
            one.visitor,
            *[plain(getattr(event, name, None)) for name in public],
        ]
        if is_identified:
            identity = one.identity
            row += (None, None) if identity is None else (identity.id, identity.type)
            row += [plain(getattr(one.private, name, None)) for name in private]
        return row

    return build


def plain(value: Any) -> Any:
    """Return an id as text; any other value as it is."""
    return format_uuid(value) if type(value) is UUID else value
