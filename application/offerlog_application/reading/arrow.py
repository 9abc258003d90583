"""Tables in Arrow's memory format. The library pyarrow is an extra: the first call loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offerlog_application.reading.tables import ColumnKind
from offerlog_domain.errors import OfferlogError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from offerlog_application.reading.tables import Column, Row, Table


class ExtraMissingError(OfferlogError):
    """A library of an extra of offerlog is not installed.

    Attributes:
        extra: The name of the extra.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"this needs {library}: install offerlog with its extra {extra} (pip install 'offerlog[{extra}]')"
        )
        self.extra = extra


def load_arrow() -> Any:
    """Load pyarrow and return it, as `Any`: the package has no type hints.

    Raises:
        ExtraMissingError: It is not installed.
    """
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - an extra; its usual short name is for type checkers here
    except ModuleNotFoundError:
        raise ExtraMissingError("pyarrow", "parquet") from None
    return pyarrow


def make_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the types of columns. Instants are in UTC, to the microsecond, with the zone to show them in.

    Raises:
        ExtraMissingError: pyarrow is not installed.
    """
    arrow = load_arrow()
    plain = {
        ColumnKind.TEXT: arrow.string(),
        ColumnKind.WORD: arrow.string(),
        ColumnKind.INTEGER: arrow.int64(),
        ColumnKind.NUMBER: arrow.float64(),
        ColumnKind.FLAG: arrow.bool_(),
        ColumnKind.UUID: arrow.uuid(),
    }
    return arrow.schema(
        [(one.name, plain.get(one.kind) or arrow.timestamp("us", tz=one.zone)) for one in columns]
    )


def make_batch(schema: pa.Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    """Return rows as a batch of Arrow's columns."""
    arrow = load_arrow()
    values = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [arrow.array(list(one), field.type) for one, field in zip(values, schema, strict=True)]
    return arrow.record_batch(arrays, schema=schema)


def make_table(table: Table) -> pa.Table:
    """Return a whole table as one of Arrow.

    Raises:
        ExtraMissingError: pyarrow is not installed.
    """
    schema = make_schema(table.columns)
    return load_arrow().Table.from_batches([make_batch(schema, table.rows)])
