"""The writer of each format of an export."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import IO, Any, ClassVar, Final, Protocol, Self

import msgspec

from offerlog_application.reading.arrow import load_arrow, make_batch, make_schema
from offerlog_application.reading.tables import Column, ColumnKind, Row
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.presentation.escaping import escape_json_bytes, guard_formulas


class TableWriter(AbstractContextManager["TableWriter"], Protocol):
    """Writes the rows of a table to a binary file, batch by batch. Leave its block to complete the file."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write the next rows."""


def open_writer(form: ExportFormat, columns: Sequence[Column], sink: IO[bytes]) -> TableWriter:
    """Open the writer of a format.

    Raises:
        ExtraMissingError: The format needs pyarrow, which is not installed.
    """
    return _WRITERS[form](columns, sink)


class CsvWriter:
    """CSV (RFC 4180) in UTF-8, with a header, safe to open in a spreadsheet. A missing value is empty."""

    def __init__(self, columns: Sequence[Column], sink: IO[bytes]) -> None:
        self._spell = [_SPELL_FOR_CSV.get(one.kind) for one in columns]
        self._sink = sink
        self._put([[one.name for one in columns]])

    def write(self, rows: Sequence[Row]) -> None:
        """Write the next rows."""
        self._put(
            [
                value if value is None or spell is None else spell(value)
                for value, spell in zip(row, self._spell, strict=True)
            ]
            for row in rows
        )

    def _put(self, lines: Iterable[Sequence[object]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(lines)
        self._sink.write(text.getvalue().encode("utf-8", "backslashreplace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: each line is complete."""


class NdjsonWriter:
    """One JSON object for each row, each on one line. A missing value is null."""

    def __init__(self, columns: Sequence[Column], sink: IO[bytes]) -> None:
        self._names = [one.name for one in columns]
        self._encode = msgspec.json.Encoder().encode
        self._sink = sink

    def write(self, rows: Sequence[Row]) -> None:
        """Write the next rows."""
        names, encode = self._names, self._encode
        lines = b"".join([encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows])
        self._sink.write(escape_json_bytes(lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: each line is complete."""


class _Outlet(io.RawIOBase):
    """The file that a library writes to, until it is shut.

    The libraries complete a file whenever they let go of it. A file that was begun and ended by an error must
    not look complete.
    """

    def __init__(self, sink: IO[bytes]) -> None:
        super().__init__()
        self._sink = sink
        self._size = 0
        self.is_shut = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any, /) -> int:
        if not self.is_shut:
            self._sink.write(data)
        size = memoryview(data).nbytes
        self._size += size
        return size


class _ArrowsWriter:
    """A writer of pyarrow, behind an outlet."""

    rows_at_once: ClassVar[int]

    def __init__(self, columns: Sequence[Column], sink: IO[bytes]) -> None:
        self._schema = make_schema(columns)
        self._outlet = _Outlet(sink)
        self._writer = self._open()
        self._batches: list[Any] = []
        self._held = 0

    def _open(self) -> Any:
        raise NotImplementedError

    def write(self, rows: Sequence[Row]) -> None:
        """Write the next rows, or hold them in columns until there are enough."""
        if rows:
            self._batches.append(make_batch(self._schema, rows))
            self._held += len(rows)
        if self._held >= self.rows_at_once:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            self._writer.write_table(load_arrow().Table.from_batches(self._batches))
        self._batches, self._held = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._outlet.is_shut = kind is not None
        try:
            if kind is None:
                self._flush()
            self._writer.close()
        finally:
            self._outlet.is_shut = True


class ArrowWriter(_ArrowsWriter):
    """Arrow's IPC stream, for a program that reads it from a pipe."""

    rows_at_once = 1

    def _open(self) -> Any:
        from pyarrow import ipc  # noqa: PLC0415 - an extra, which the schema has loaded

        return ipc.new_stream(self._outlet, self._schema)


class ParquetWriter(_ArrowsWriter):
    """Parquet, compressed by Zstandard, in row groups of some 65,000 rows."""

    rows_at_once = 1 << 16

    def _open(self) -> Any:
        from pyarrow import parquet  # noqa: PLC0415 - as above

        return parquet.ParquetWriter(self._outlet, self._schema, compression="zstd")


def _spell_time(moment: Any) -> str:
    assert isinstance(moment, datetime)  # noqa: S101 - the column says so
    return moment.isoformat().replace("+00:00", "Z")


_SPELL_FOR_CSV: Final[dict[ColumnKind, Callable[[Any], str]]] = {
    ColumnKind.TEXT: guard_formulas,
    ColumnKind.TIME: _spell_time,
    ColumnKind.FLAG: lambda flag: "true" if flag else "false",
}
"""The spelling of a value in CSV, where that is not `str`."""

_WRITERS: Final[dict[ExportFormat, Callable[[Sequence[Column], IO[bytes]], TableWriter]]] = {
    ExportFormat.PARQUET: ParquetWriter,
    ExportFormat.CSV: CsvWriter,
    ExportFormat.NDJSON: NdjsonWriter,
    ExportFormat.ARROW: ArrowWriter,
}

_BATCH: Final = 1 << 15


def gather(rows: Iterable[Row], size: int = _BATCH) -> Iterable[list[Row]]:
    """Gather rows into batches of a size."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
