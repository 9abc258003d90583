"""Answers as tables with typed columns: what an export writes and what Arrow holds."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

Row = Sequence[object]
"""The values of a row, in the order of the columns. None is a missing value of any kind."""


class ColumnKind(Enum):
    """The type of the values of a column."""

    TEXT = auto()
    """Text that came from outside. A spreadsheet could take it for a formula."""

    WORD = auto()
    """Text of the service: ids and names. It never looks like a formula."""

    INTEGER = auto()
    """A whole number of 64 bits."""

    NUMBER = auto()
    """A floating-point number."""

    FLAG = auto()
    """True or false."""

    TIME = auto()
    """An instant, to the microsecond; a `datetime` with an offset."""

    UUID = auto()
    """A `UUID` as its 16 bytes."""


class Column(NamedTuple):
    """A column.

    Attributes:
        name: The name.
        kind: The type of the values.
        zone: Of a column of instants: the zone in which a reader is shown them.
    """

    name: str
    kind: ColumnKind
    zone: str = "UTC"


class Table(NamedTuple):
    """A whole table in memory.

    Attributes:
        columns: The columns.
        rows: The rows.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
