"""Standard input or output that is closed, full or without a reader; and signals while the command loads."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import COMMAND, COMMAND_ENTRY, CommandLine, an_id, ndjson, signal_of
from support.preloaded import preloaded

MAP = "0a000000-0000-4000-8000-000000000001"
VISITOR = ("--customer", "v1", "--action-map", MAP)
CREATE = ("keys", "create", "--role", "reporter")
_THIS = "acceptance.test_cli_streams"

LOADING = """
import os, sys

class Signalling:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), {number})
        return None

sys.meta_path.insert(0, Signalling())
from offerlog_infrastructure.cli.main import main
main()
"""
"""The command, which gets a signal in the middle of its imports."""


def with_closed_output() -> None:
    """Run the command as a process that was started with standard output closed."""
    from offerlog_infrastructure.cli.main import main  # noqa: PLC0415 - in the fork alone

    os.close(1)
    sys.stdout = None  # as Python does then
    main()


def with_closed_input() -> None:
    """Run the command as a process that was started with standard input closed."""
    from offerlog_infrastructure.cli.main import main  # noqa: PLC0415 - in the fork alone

    os.close(0)
    sys.stdin = None  # as Python does then
    main()


def run(offerlog: CommandLine, *words: str | bytes, entry: str, code: int = 1) -> str:
    """Run the command by another entry, expect that exit code; returns standard error."""
    ran = subprocess.run(
        [*preloaded(f"{_THIS}:{entry}"), *words],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=offerlog.environment,
        timeout=60,
        check=False,
    )
    error = ran.stderr.decode()
    assert ran.returncode == code, error
    assert code == 0 or (error.startswith("offerlog: ") and error.count("\n") == 1), error
    return error


def test_no_key_is_made_that_nobody_sees(offerlog: CommandLine) -> None:
    """Standard output is closed by a shell, or its reader has gone, or its disk is full."""
    # given
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone, Path("/dev/full").open("wb") as full:  # noqa: PTH123 - a descriptor
        for words, output, why in (
            (["sh", "-c", 'exec "$@" >&-', "sh", COMMAND], None, "is closed, so nothing was done"),
            (
                preloaded(COMMAND_ENTRY),
                gone,
                "has no reader any more, so the output is lost; no key was made",
            ),
            (preloaded(COMMAND_ENTRY), full, "No space left on device"),
        ):
            # when
            ran = subprocess.run(
                [*words, *CREATE],
                stdout=output,
                stderr=subprocess.PIPE,
                env=offerlog.environment,
                timeout=60,
                check=False,
            )
            # then
            assert ran.returncode == 1, why
            assert why in ran.stderr.decode()
            assert ran.stderr.count(b"\n") == 1
    assert offerlog("keys", "list").raw == b""


def test_what_is_done_is_said_where_the_output_is_lost(offerlog: CommandLine, tmp_path: Path) -> None:
    """An offer and the signals of a file stay; asking again shows the same."""
    # given
    file = tmp_path / "one.ndjson"
    file.write_bytes(ndjson(signal_of("offered", an_id(), MAP, customerId="v2")))
    session = ("--session", an_id())
    # when
    offered = run(offerlog, "offer", *VISITOR, *session, entry="with_closed_output")
    recorded = run(offerlog, "record", str(file), entry="with_closed_output")
    # then
    assert "standard output is closed, so the output is lost; the decision is recorded" in offered
    action = offered.split("`")[1].split()[1]
    again = offerlog("offer", *VISITOR, *session, "--action", action).json
    assert (again["decision"], again["action_id"]) == ("offered", action)
    assert "so the output is lost; what the files hold is recorded" in recorded
    assert offerlog("record", str(file), "--outcomes", "-").json["outcome"] == "duplicate"


def test_outcomes_are_not_recorded_for_a_closed_output(offerlog: CommandLine, tmp_path: Path) -> None:
    """They can be had once only: a second time everything is a duplicate."""
    file = tmp_path / "one.ndjson"
    file.write_bytes(ndjson(signal_of("offered", an_id(), MAP)))
    error = run(offerlog, "record", str(file), "--outcomes", "-", entry="with_closed_output")
    assert "standard output is closed, so nothing was done" in error
    assert offerlog("record", str(file), "--outcomes", "-").json["outcome"] == "recorded"


@pytest.mark.parametrize("words", [("report",), ("projections", "status"), ("--version",), ("--help",)])
def test_a_command_fails_whose_output_nobody_can_get(offerlog: CommandLine, words: tuple[str, ...]) -> None:
    """It does not end as if it had shown something."""
    assert run(offerlog, *words, entry="with_closed_output") == "offerlog: standard output is closed\n"


def test_a_service_runs_without_an_output(offerlog: CommandLine) -> None:
    """It answers requests; what it would have printed is in its log."""
    error = run(offerlog, "serve", "--check", "--port", "0", entry="with_closed_output", code=0)
    assert error.count("standard output is closed, so this was not printed: ") == 1


def test_a_closed_input_is_not_called_empty(offerlog: CommandLine) -> None:
    """It says what to give."""
    error = run(offerlog, "record", "-", entry="with_closed_input")
    assert error.startswith("offerlog: standard input is closed, so nothing of it was recorded; ")


def test_bytes_that_are_no_text_are_called_so(offerlog: CommandLine) -> None:
    """The error shows them; a file's name may have them."""
    # when
    error = offerlog.fails("history", "--customer", "a\udcff", "--action-map", MAP)
    # then
    assert "'--customer': 'a\\xff' is not UTF-8" in error
    assert "is not UTF-8" in offerlog.fails("keys", "revoke", "\udcff")
    assert "/nowhere/\\xff: there is no such file" in offerlog.fails("record", "/nowhere/\udcff")


@pytest.mark.parametrize("option", ["--visitors", "--action-maps", "--days"])
def test_simulated_traffic_has_a_limit(offerlog: CommandLine, option: str) -> None:
    """A number that would take for ever is an error at once."""
    numbers = {"--visitors": "1", "--action-maps": "1", "--days": "1", option: "99999999999999999999"}
    words = [word for pair in numbers.items() for word in pair]
    error = offerlog.fails("simulate", *words, "--start", "2026-03-02", "--seed", "1")
    assert f"'{option}': Input should be less than or equal to " in error


@pytest.mark.parametrize(
    ("number", "code", "how"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_a_signal_while_the_command_loads_leaves_no_traceback(
    number: signal.Signals, code: int, how: str
) -> None:
    """One line, and the usual exit code."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADING.format(number=int(number))],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (code, f"offerlog: {how}; nothing was done\n")
