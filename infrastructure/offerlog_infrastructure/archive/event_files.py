"""Stored events in Parquet: in order of stream and version, with the exact bytes of each."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

from offerlog_application.ports.slices import StoredRow
from offerlog_application.reading.arrow import ExtraMissingError

_STREAM_BYTES: Final = 16


def write_events(
    file: IO[bytes], groups: Iterable[Sequence[StoredRow]], metadata: Mapping[bytes, bytes]
) -> int:
    """Write groups of events, which compress each by itself; returns the number of events.

    Args:
        file: Takes the bytes.
        groups: The events, in order of stream and version.
        metadata: Entries of the file's own.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        OSError: The file cannot be written.
    """
    arrow, parquet, _ = load_parquet()
    schema = arrow.schema(
        [
            ("position", arrow.int64()),
            ("stream", arrow.binary(_STREAM_BYTES)),
            ("version", arrow.int32()),
            ("topic", arrow.string()),
            ("state", arrow.binary()),
        ],
        metadata=dict(metadata),
    )
    events = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in groups:
            rows = [(position, stream.bytes, *rest) for position, stream, *rest in group]
            columns = zip(*rows, strict=True)
            arrays = [arrow.array(one, field.type) for one, field in zip(columns, schema, strict=True)]
            writer.write_batch(arrow.record_batch(arrays, schema=schema))
            events += len(group)
    return events


def read_metadata(path: Path) -> Mapping[bytes, bytes]:
    """Read the entries of a file's own.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        OSError: The file cannot be read.
    """
    _, parquet, _ = load_parquet()
    found: Mapping[bytes, bytes] = parquet.read_schema(path).metadata
    return found


def read_events(path: Path, page: int) -> Iterator[Sequence[StoredRow]]:
    """Read the events of a file, page by page.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        OSError: The file cannot be read.
    """
    _, parquet, _ = load_parquet()
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(page):
            yield _to_rows(batch)


class EventTable:
    """The events of one file, in memory; its methods are thread-safe.

    Args:
        data: The bytes of the file.

    Attributes:
        events: The number of events.
        size: The bytes that it takes, about.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        ValueError: These are not the bytes of such a file.
    """

    def __init__(self, data: bytes) -> None:
        arrow, parquet, self._compute = load_parquet()
        try:
            # Not `parquet.read_table`: it loads a part of pyarrow that loads pandas, which takes a second.
            with parquet.ParquetFile(BytesIO(data)) as file:
                self._table = file.read().combine_chunks()
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(str(error)) from error
        self.events: int = self._table.num_rows
        self.size: int = self._table.nbytes

    def between(self, low: UUID, high: UUID) -> list[StoredRow]:
        """Return the events of the streams from one id to another, both included, by stream and version."""
        start, end = self._find(low, high)
        return _to_rows(self._table.slice(start, end - start))

    def pages_between(self, low: UUID, high: UUID, page: int) -> Iterator[list[StoredRow]]:
        """Yield the same events, some at a time."""
        start, end = self._find(low, high)
        for first in range(start, end, page):
            yield _to_rows(self._table.slice(first, min(page, end - first)))

    def behind(self, after: int, until: int, limit: int | None = None) -> list[StoredRow]:
        """Return the events behind a position and up to another, by position; at most `limit`."""
        order, positions = self._by_position
        start = bisect_right(positions, after)
        end = bisect_right(positions, until, start)
        if limit is not None:
            end = min(end, start + limit)
        return _to_rows(self._table.take(order.slice(start, end - start)))

    def before(self, until: int, limit: int) -> list[StoredRow]:
        """Return the last events up to a position, the last one first; at most `limit`."""
        order, positions = self._by_position
        end = bisect_right(positions, until)
        start = max(end - limit, 0)
        return _to_rows(self._table.take(order.slice(start, end - start)))[::-1]

    def all(self) -> list[StoredRow]:
        """Return all events, by stream and version."""
        return _to_rows(self._table)

    def _find(self, low: UUID, high: UUID) -> tuple[int, int]:
        """Return the places between which the events of these streams stand."""
        places, stream_at = range(self.events), self._streams.__getitem__
        start = bisect_left(places, low.bytes, key=stream_at)
        return start, bisect_right(places, high.bytes, start, key=stream_at)

    @cached_property
    def _streams(self) -> "_Streams":
        return _Streams(self._table.column("stream"))

    @cached_property
    def _by_position(self) -> tuple[Any, Sequence[int]]:
        """The places of the events in order of position, and the positions in that order."""
        column = self._table.column("position")
        order = self._compute.sort_indices(column)
        return order, column.take(order).to_pylist()


class _Streams:
    """The ids of streams in a column, as bytes, by place."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __getitem__(self, place: int) -> bytes:
        found: bytes = self._column[place].as_py()
        return found


def _to_rows(table: Any) -> list[StoredRow]:
    position, stream, version, topic, state = (column.to_pylist() for column in table.columns)
    return list(zip(position, [UUID(bytes=one) for one in stream], version, topic, state, strict=True))


def load_parquet() -> tuple[Any, Any, Any]:
    """Load pyarrow, its Parquet files and its functions.

    Raises:
        ExtraMissingError: It is not installed.
    """
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - an extra
        from pyarrow import compute, parquet  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise ExtraMissingError("pyarrow", "archive") from None
    return pyarrow, parquet, compute
