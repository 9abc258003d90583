"""Exports read back by other programs: the counts of the report, the types promised, nothing half done."""

import errno
import gc
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import duckdb
import polars as pl
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.reading import exports
from offerlog_application.reading.arrow import ExtraMissingError
from offerlog_application.reading.exports import ExportRequest
from offerlog_application.reading.instants import zone
from offerlog_application.reading.report_table import tabulate_performance
from offerlog_application.reading.tables import Column, ColumnKind, Row
from offerlog_domain.metrics import METRICS, Cohort, Granularity, MetricSet
from offerlog_infrastructure.export.destinations import ExportPlaceError, open_file
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.export.formats import ParquetWriter, gather, open_writer
from support.journeys import journeys
from support.recount import rows

BINARY: Final = [one for one in ExportFormat if not one.is_text]
KINDS: Final = [Column(kind.name.lower(), kind, "Asia/Kathmandu") for kind in ColumnKind]
VALUES: Final[Row] = (
    "=HYPERLINK(1)",
    "word",
    1 << 40,
    0.1,
    True,
    datetime(2026, 3, 29, 1, 2, 3, 456789, tzinfo=UTC),
    UUID(int=5),
)
COUNTED: Final = {
    "events": "SELECT action_map_id, state, count(*) FROM t WHERE state IS NOT NULL GROUP BY ALL",
    "actions": "SELECT action_map_id, reached, count(*) FROM (SELECT action_map_id, unnest(list_distinct(["
    "'offered', state, if(accepted_at IS NULL, 'offered', 'accepted'),"
    " if(started_at IS NULL, 'offered', 'started')"
    "])) AS reached FROM t) GROUP BY ALL",
    "report": "SELECT action_map_id, lower(replace(name, 'nWebActions', '')), sum(n)::BIGINT FROM"
    " (UNPIVOT t ON COLUMNS('nWebActions.*') INTO NAME name VALUE n) GROUP BY ALL HAVING sum(n) > 0",
}
"""How a stranger counts states by action map, in SQL, from each export."""


class FullDisk(io.BytesIO):
    """A file on a disk that is full after some bytes."""

    def write(self, data: Any) -> int:
        """Write, or fail."""
        if self.tell() > 1_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def write(
    form: ExportFormat, columns: Sequence[Column], batches: Iterator[Sequence[Row]], file: Path
) -> None:
    """Write a table to a file."""
    with open_file(file) as sink, open_writer(form, columns, sink) as writer:
        for batch in batches:
            writer.write(batch)


def opened(form: ExportFormat, file: Path) -> duckdb.DuckDBPyRelation:
    """The table in a file, as DuckDB reads it, or Polars where DuckDB does not."""
    match form:
        case ExportFormat.PARQUET:
            return duckdb.read_parquet(str(file))
        case ExportFormat.CSV:
            return duckdb.read_csv(str(file))
        case ExportFormat.NDJSON:
            return duckdb.read_json(str(file))
        case ExportFormat.ARROW:
            return duckdb.from_arrow(pl.read_ipc_stream(file).to_arrow())


def row_groups(file: Path) -> int:
    """The number of row groups of a Parquet file."""
    with duckdb.connect() as connection:
        asked = connection.execute("SELECT DISTINCT row_group_id FROM parquet_metadata(?)", [str(file)])
        return len(asked.fetchall())


def test_what_is_exported_counts_what_the_report_counts_in_each_format(
    offerlog: Offerlog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events, actions and reports by the hour, batch by batch. The binary formats have types."""
    # given
    monkeypatch.setattr(exports, "_STREAM_EVENTS", 40)
    monkeypatch.setattr(exports, "MOST_EVENTS", 40)
    monkeypatch.setattr(ParquetWriter, "rows_at_once", 5)
    offerlog.wait(offerlog.record(journeys(70)).position)
    query = ReportQuery(offerlog.organization, view=MetricSet.FULL)
    by_hour = ReportQuery(
        offerlog.organization, view=MetricSet.FULL, by=Granularity.HOUR, zone=zone("Asia/Kathmandu")
    )
    expected = {
        cohort: {
            (row.action_map_id, state.value, row.metrics[metric])
            for row in offerlog.report(ReportQuery(query.organization, view=query.view, cohort=cohort)).rows
            for state, metric in METRICS.items()
            if row.metrics.get(metric)
        }
        for cohort in Cohort
    }
    for form in ExportFormat:
        for name, sql in COUNTED.items():
            # when
            if name == "report":
                columns, rows = tabulate_performance(offerlog.report(by_hour))
                batches = iter(gather(rows, 3))
            else:
                made = getattr(offerlog.exports, name)(ExportRequest())
                columns, batches = made.columns, (batch.rows for batch in made.batches)
            write(form, columns, batches, tmp_path / f"{name}.{form}")
            # then
            table = opened(form, tmp_path / f"{name}.{form}")
            answer = table.query("t", sql)
            counted = [] if answer is None else answer.fetchall()
            cohort = Cohort.OFFERED if name == "actions" else Cohort.EVENT
            assert {(str(one), *more) for one, *more in counted} == expected[cohort], (form, name)
            assert table.columns == [one.name for one in columns]
            assert form is not ExportFormat.PARQUET or row_groups(tmp_path / f"{name}.{form}") > 1
            if form in BINARY:
                times = {one.name for one in columns if one.kind is ColumnKind.TIME}
                types = dict(zip(table.columns, map(str, table.types), strict=True))
                assert {name for name, kind in types.items() if kind == "TIMESTAMP WITH TIME ZONE"} == times


@pytest.mark.parametrize("form", ExportFormat)
def test_a_value_of_each_kind_and_a_missing_one_come_back(form: ExportFormat, tmp_path: Path) -> None:
    """To the microsecond; text that a spreadsheet would run is guarded in CSV, and only there."""
    rows = [VALUES, (None,) * len(VALUES)]
    write(form, KINDS, iter([rows, [], rows]), tmp_path / "file")
    raw = (tmp_path / "file").read_bytes()
    if form is ExportFormat.CSV:
        line = "'=HYPERLINK(1),word,1099511627776,0.1,true,2026-03-29T01:02:03.456789Z," + str(VALUES[-1])
        assert raw.decode().split("\r\n")[1:3] == [line, "," * (len(VALUES) - 1)]
    elif form is ExportFormat.NDJSON:
        first, second, *_ = map(json.loads, raw.splitlines())
        assert first == {
            **dict(zip(second, VALUES, strict=True)),
            "time": "2026-03-29T01:02:03.456789Z",
            "uuid": str(VALUES[-1]),
        }
        assert set(second.values()) == {None}
    else:
        table = opened(form, tmp_path / "file").fetchall()
        assert table[1::2] == [(None,) * len(VALUES)] * 2
        found = [value.bytes if isinstance(value, UUID) else value for value in table[2]]
        assert [*found[:-1], bytes(found[-1])] == [*VALUES[:-1], UUID(int=5).bytes]


def test_an_event_of_a_newer_offerlog_ends_an_export(offerlog: Offerlog, dsn: str) -> None:
    """It may be a step that counts, so leaving it out would be wrong."""
    offerlog.record(journeys(7))
    rows(dsn, "UPDATE offerlog_events SET topic = 'accepted.99' WHERE topic LIKE 'accepted.%%'")
    for export in (offerlog.exports.events, offerlog.exports.actions):
        with pytest.raises(UnreadableEventError, match=r"accepted\.99"):
            list(export(ExportRequest()).batches)


def write_on(form: ExportFormat, sink: IO[bytes], times: int) -> None:
    """Write so many batches; then something else fails."""
    with open_writer(form, KINDS, sink) as writer:
        for _ in range(times):
            writer.write([VALUES] * 100)
        writer.write([(1 // (times - times),)])


@pytest.mark.parametrize("form", ExportFormat)
def test_what_an_error_ends_does_not_look_complete(form: ExportFormat, tmp_path: Path) -> None:
    """A full disk is reported as such; an older file stays, and nothing lies beside it."""
    # given
    sink, place = FullDisk(), tmp_path / "export"
    place.write_text("older")
    # when
    with pytest.raises(OSError, match="No space left"):
        write_on(form, sink, 1_000)
    gc.collect()  # a library completes its file, or closes it, at the latest now
    assert not sink.closed
    with pytest.raises(ZeroDivisionError), open_file(place) as file:
        write_on(form, file, 1)
    # then
    assert not sink.getvalue().endswith((b"PAR1", b"\xff\xff\xff\xff\0\0\0\0"))
    assert place.read_text() == "older"
    assert [*tmp_path.iterdir()] == [place]
    with suppress(ExportPlaceError), open_file(tmp_path) as _:
        pytest.fail("a folder is not a file")


@pytest.mark.parametrize("form", BINARY)
def test_a_binary_format_without_its_library_names_the_extra(
    form: ExportFormat, monkeypatch: pytest.MonkeyPatch, offerlog: Offerlog
) -> None:
    """A report as a table of Arrow likewise; the text formats need nothing."""
    report = offerlog.report(ReportQuery("default"))
    assert report.to_arrow().num_rows == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (lambda: open_writer(form, KINDS, io.BytesIO()), report.to_arrow):
        with pytest.raises(ExtraMissingError, match=r"pip install 'offerlog\[parquet\]'"):
            call()
    with open_writer(ExportFormat.CSV, KINDS, io.BytesIO()) as writer:
        writer.write([VALUES])
