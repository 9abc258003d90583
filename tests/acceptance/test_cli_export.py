"""Exports as a user makes them: to files and pipes, with a bar on a terminal, and errors of one line."""

import csv
import io
import stat
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from support.command_line import CommandLine
from support.journeys import journeys

USAGE = {
    ("events", "--from", "2025-03-10", "--to", "2025-03-10"): "--from must be before --to",
    ("events", "--after", "9999999"): "--after: 9,999,999 is not a position of the log: it ends at",
    ("actions", "--action-map", "checkout"): "'checkout'",
    ("actions", "--last", "7 days"): "--last",
    ("report", "--as-of", "9999999"): "--as-of: 9,999,999 is not a position of the log: it ends at",
    ("report", "hours.xlsx"): "or --format; `offerlog report --output` writes Excel files",
    ("events", "events.csv.GZ"): "events.csv.GZ: give a name that ends with .parquet, .arrow, .csv or",
    ("report", "--format", "xml"): "'xml' is not one of 'parquet', 'csv', 'ndjson', 'arrow'",
}


@pytest.fixture
def recorded(offerlog: CommandLine) -> CommandLine:
    """The command for an organization with some journeys."""
    offerlog("record", "-", given=b"\n".join(journeys(14)))
    return offerlog


def test_the_log_is_exported_to_files_and_pipes(recorded: CommandLine, cli_folder: Path) -> None:
    """The answer names the position from which the next export goes on."""
    # when a file is asked for, with customers
    file = cli_folder / "events.parquet"
    file.write_text("older")
    seen = recorded.on_a_terminal("export", "events", str(file), "--with-customers")
    # then it is there as a whole, for its owner alone, and what it holds was announced
    assert "the export identifies visitors" in seen
    assert "exporting" in seen
    table = parquet.read_table(file)
    assert f'"rows":{table.num_rows},"position":' in seen
    assert set(table["customer_id"].to_pylist()) == {f"visitor-{n}" for n in range(14) if n % 7 != 5}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*cli_folder.glob("*events*")] == [file]
    # and a pipe gets the rest
    position = max(table["position"].to_pylist()) - 10
    answer = recorded("export", "actions", "--format", "csv", "--after", str(position))
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert 0 < len(rows) < len(set(table["subject"].to_pylist()))
    assert f"exported rows {len(rows)}, position " in answer.errors
    assert "customer_id" not in rows[0]
    piped = recorded(
        "export",
        "report",
        "--format",
        "arrow",
        "--by",
        "hour",
        "--from",
        "-9999d",
        "--zone",
        "Asia/Kathmandu",
    )
    report = pa.ipc.open_stream(piped.raw).read_all()
    offers = [name for name in table["name"].to_pylist() if name == "offered"]
    assert sum(report["nWebActionsOffered"].to_pylist()) == len(offers)
    assert {one.minute for one in report["bucket"].to_pylist()} == {0}
    # and a report as of a position has what was recorded up to there
    earlier = recorded("export", "report", "--as-of", str(position))
    offered = [
        name
        for at, name in zip(table["position"].to_pylist(), table["name"].to_pylist(), strict=True)
        if at <= position
    ]
    assert sum(one["nWebActionsOffered"] for one in earlier.lines) == offered.count("offered")
    assert f", position {position:,}" in earlier.errors


def test_a_call_that_is_wrong_says_so_in_a_line(recorded: CommandLine, cli_folder: Path) -> None:
    """And a terminal is not flooded with bytes."""
    for words, message in USAGE.items():
        assert message in recorded.fails("export", *words), words
    assert "a terminal cannot show parquet" in recorded.on_a_terminal(
        "export", "events", "--format", "parquet", code=2, columns=200
    )
    nowhere = str(cli_folder / "none" / "file.csv")
    assert "cannot be written to" in recorded.fails("export", "events", nowhere, code=1)
