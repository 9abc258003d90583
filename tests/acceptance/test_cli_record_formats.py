"""`offerlog record` given something else than NDJSON: one error, and nothing of it is kept."""

import bz2
import gzip
import json
import subprocess
from pathlib import Path

import pytest

from support.command_line import COMMAND, CommandLine, an_id, ndjson, signal_of
from support.processes import LimitedProcess


def signals() -> bytes:
    """Three good signals."""
    return ndjson(*(signal_of("offered", an_id(), an_id()) for _ in range(3)))


def refused(offerlog: CommandLine) -> bytes:
    """The refusal log."""
    return offerlog("refusals").raw


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            signals().decode().encode("utf-16"),
            "text in UTF-16, so nothing of it was recorded; iconv -f UTF-16",
        ),
        (bz2.compress(signals()), "packed with bzip2, so nothing of it was recorded; bzip2 -dc "),
        (b"actionId,actionState\na,offered\n", "CSV or another table, so nothing of it was recorded; give"),
        (gzip.compress(b"[" + signals().replace(b"\n", b",")[:-1] + b"]"), "a JSON array, so nothing"),
        (
            json.dumps(signal_of("offered", an_id(), an_id()), indent=2).encode(),
            "JSON over several lines, so",
        ),
        (b"", "it is empty"),
    ],
)
def test_what_is_not_ndjson_is_one_error(
    offerlog: CommandLine, tmp_path: Path, given: bytes, error: str
) -> None:
    """As a file and on standard input; the refusal log stays as it was."""
    # given
    file = tmp_path / "day's file"
    file.write_bytes(given)
    # when
    as_file = offerlog.fails("record", str(file), code=1)
    as_input = offerlog("record", "-", given=given, code=1)
    # then
    assert as_file.startswith(f"offerlog: {file}: ")
    assert as_input.errors.startswith("offerlog: standard input: ")
    assert error in as_file
    assert error.partition(";")[0] in as_input.errors
    assert refused(offerlog) == b""


def test_one_wrong_file_among_good_ones_stops_all_before_the_first(
    offerlog: CommandLine, tmp_path: Path
) -> None:
    """Half an import would have to be looked for."""
    good, wrong = tmp_path / "good", tmp_path / "wrong"
    good.write_bytes(signals())
    wrong.write_bytes(b"[]")
    assert f"{wrong}: a JSON array" in offerlog.fails("record", str(good), str(wrong), code=1)
    assert offerlog("report", "--format", "json").json["rows"] == []


def test_a_wrong_file_makes_no_store(cli_folder: Path) -> None:
    """It is looked into first."""
    CommandLine(cli_folder / "store", "default")("record", "-", given=b"[]", code=1)
    assert not (cli_folder / "store").exists()


def test_a_byte_order_mark_is_passed_over(offerlog: CommandLine) -> None:
    """Windows puts one before UTF-8; packed or not, the first signal counts."""
    for given in (b"\xef\xbb\xbf" + signals(), gzip.compress(b"\xef\xbb\xbf" + signals())):
        lines = offerlog("record", "-", "--outcomes", "-", given=given).lines
        assert [(line["line"], line["outcome"]) for line in lines] == [(n, "recorded") for n in (1, 2, 3)]


def test_a_pipe_is_recorded_while_it_still_comes(offerlog: CommandLine) -> None:
    """Looking at the first lines waits for no more than a signal."""
    # given
    run = LimitedProcess(
        [COMMAND, "record", "-", "--batch-size", "1", "--outcomes", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=offerlog.environment,
        seconds=60,
    )
    with run:
        assert run.stdin is not None
        assert run.stdout is not None
        # when
        run.stdin.write(signals())
        run.stdin.flush()
        # then
        assert json.loads(run.stdout.readline())["outcome"] == "recorded"
        run.stdin.close()
        assert run.wait(30) == 0


def test_a_named_pipe_is_read_once(offerlog: CommandLine, tmp_path: Path) -> None:
    """As `record <(unpack day.xz)` gives it: nothing is lost by looking into it."""
    words = f"{COMMAND} record <(cat {tmp_path / 'day'}) --outcomes -"
    (tmp_path / "day").write_bytes(signals())
    run = subprocess.run(
        ["bash", "-c", words], capture_output=True, env=offerlog.environment, check=True, timeout=60
    )
    assert [json.loads(line)["line"] for line in run.stdout.splitlines()] == [1, 2, 3]


def test_standard_input_is_given_once(offerlog: CommandLine) -> None:
    """A second time there would be nothing in it."""
    assert "give - once" in offerlog.fails("record", "-", "-")
