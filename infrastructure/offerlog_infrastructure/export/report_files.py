"""Reports as files: the formats, the names of the files, and one sheet in each format."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from offerlog_application.reading.tables import Column, ColumnKind
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.export.formats import gather, open_writer
from offerlog_infrastructure.presentation.escaping import guard_formulas

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's, without which Excel takes CSV for the encoding of the country."""

_ROWS_AT_ONCE: Final = 100
_FIRST_EXCEL_YEAR: Final = 1900
_TIME_LENGTH: Final = len("2026-10-25T02:00:00")
_WORDS: Final = frozenset({ColumnKind.TEXT, ColumnKind.WORD})
_WIDE: Final = 38
_NARROW: Final = 18
"""Widths of columns, in characters."""


class FileFormat(StrEnum):
    """The format of a report as a file; the value is the end of the file's name."""

    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """The media type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Final = {
    FileFormat.CSV: "text/csv",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A report as one table.

    Attributes:
        name: What the report is, for the name of the file.
        columns: The columns. Those of rates have names that end with `_rate`.
        rows: The rows; None is an empty cell.
        zone: The zone of times.
        start: The first instant that counts; None for all time.
        end: The first instant that counts no longer; None for all time.
    """

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]
    zone: ZoneInfo
    start: datetime | None = None
    end: datetime | None = None

    def file_name(self, form: str) -> str:
        """Return a name for the file, with the range in it: dates of the zone, and times other than 0:00."""
        if self.start is None and self.end is None:
            return f"{self.name}.{form}"
        first = "beginning" if self.start is None else _short(self.start, self.zone)
        behind = "now" if self.end is None else _short(self.end, self.zone)
        return f"{self.name}_{first}_{behind}.{form}"


def _short(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return local.strftime("%Y-%m-%d" if (local.hour, local.minute) == (0, 0) else "%Y-%m-%dT%H%M")


def encode_sheet(
    sheet: Sheet, form: FileFormat, go_on: Callable[[], None], *, mark: bool = False
) -> Iterator[bytes]:
    """Encode a report as a file, in pieces.

    Args:
        sheet: The report.
        form: The format.
        go_on: Called between the pieces and while rows are encoded; may raise.
        mark: True to begin CSV with a byte order mark.

    Raises:
        ExtraMissingError: The format needs a package that is not installed.
    """
    match form:
        case FileFormat.CSV:
            yield from _encode_csv(sheet, go_on, mark=mark)
        case FileFormat.XLSX:
            yield _encode_xlsx(sheet, go_on)
        case FileFormat.PARQUET:
            yield _encode_parquet(sheet, go_on)


def csv_rows(sheet: Sheet) -> Iterator[Sequence[Any]]:
    """Yield the rows for CSV, the header first; text is guarded against spreadsheets."""
    yield [column.name for column in sheet.columns]
    texts = [place for place, column in enumerate(sheet.columns) if column.kind is ColumnKind.TEXT]
    times = [place for place, column in enumerate(sheet.columns) if column.kind is ColumnKind.TIME]
    for row in sheet.rows:
        cells = list(row)
        for place in texts:
            cells[place] = guard_formulas(cells[place] or "")
        for place in times:
            cells[place] = None if cells[place] is None else cells[place].isoformat()
        yield cells


def _encode_csv(sheet: Sheet, go_on: Callable[[], None], *, mark: bool) -> Iterator[bytes]:
    if mark:
        yield BYTE_ORDER_MARK
    rows = csv_rows(sheet)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        go_on()
        yield _encode_rows(some)


def _encode_rows(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _encode_xlsx(sheet: Sheet, go_on: Callable[[], None]) -> bytes:
    """Encode a workbook: numbers are numbers, times are wall times of the zone, and no text is a formula.

    Excel knows no zones, and autumn repeats an hour: beside each time stands its UTC offset, as text.
    """
    import xlsxwriter  # noqa: PLC0415 - loaded by those who ask for it

    made = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(made, {**options, "strings_to_numbers": False}) as book:
        bold = book.add_format({"bold": True})
        time, rate = (book.add_format({"num_format": form}) for form in ("yyyy-mm-dd hh:mm", "0.0%"))
        page = book.add_worksheet("Report")
        page.freeze_panes(1, 0)
        columns = list(_with_offsets(sheet.columns))
        for place, column in enumerate(columns):
            page.write_string(0, place, column.name, bold)
            page.set_column(place, place, _WIDE if column.kind in _WORDS else _NARROW)
        for number, row in enumerate(sheet.rows, 1):
            if number % _ROWS_AT_ONCE == 0:
                go_on()
            cells = _add_offsets(row, sheet.columns)
            for place, (cell, column) in enumerate(zip(cells, columns, strict=True)):
                if cell is None:
                    continue
                if column.kind is ColumnKind.TIME:
                    wall = cell.replace(tzinfo=None)
                    if wall.year < _FIRST_EXCEL_YEAR:
                        page.write_string(number, place, cell.isoformat())
                    else:
                        page.write_datetime(number, place, wall, time)
                elif column.kind in _WORDS:
                    page.write_string(number, place, cell)
                else:
                    is_rate = column.name.endswith("_rate")
                    page.write_number(number, place, cell, rate if is_rate else None)
        about = book.add_worksheet("About")
        for number, (name, value) in enumerate(_about(sheet)):
            about.write_string(number, 0, name, bold)
            about.write_string(number, 1, value)
    return made.getvalue()


def _with_offsets(columns: Iterable[Column]) -> Iterator[Column]:
    """Yield the columns, and behind each of times one for the UTC offset."""
    for column in columns:
        yield column
        if column.kind is ColumnKind.TIME:
            yield Column(f"{column.name}_utc_offset", ColumnKind.WORD)


def _add_offsets(row: Iterable[Any], columns: Iterable[Column]) -> Iterator[Any]:
    """Yield the cells of a row for these columns; an offset is as in `+02:00`."""
    for cell, column in zip(row, columns, strict=True):
        yield cell
        if column.kind is ColumnKind.TIME:
            yield None if cell is None else cell.isoformat(timespec="seconds")[_TIME_LENGTH:]


def _about(sheet: Sheet) -> Iterator[tuple[str, str]]:
    yield "report", sheet.name
    for name, moment, unbounded in (("from", sheet.start, "the beginning"), ("to", sheet.end, "open")):
        yield name, unbounded if moment is None else moment.astimezone(sheet.zone).isoformat()
    yield "zone of times", sheet.zone.key


def _encode_parquet(sheet: Sheet, go_on: Callable[[], None]) -> bytes:
    made = io.BytesIO()
    with open_writer(ExportFormat.PARQUET, sheet.columns, made) as writer:
        for rows in gather(sheet.rows):
            go_on()
            writer.write(rows)
    return made.getvalue()
