"""`offerlog record --processes`: the same outcomes as one process, and one clear end."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.cli.lines import Line
from offerlog_infrastructure.cli.lines_by_visitor import choose_process, divide_lines
from offerlog_infrastructure.simulation import Traffic, simulate
from support.command_line import COMMAND, CommandLine, an_id, ndjson, signal_of
from support.processes import LimitedProcess, finish
from support.worker_service import is_running, kill, until


def test_all_lines_of_a_visitor_go_to_one_process() -> None:
    """In either wire form, however they are written; lines without a visitor go anywhere."""
    # given
    of_one = [
        b'{"customerId":"v1","actionState":"offered"}',
        b' {"actionState": "offered", "customerIdType" : "cookie", "customerId" : "v1"}',
        b'{"eventType":"WebActionEvent","customerId":"v\\u0031","webActionEvent":{"action":{"id":"x"}}}',
        b'{"customerId":"v1","customerIdType":null}',
        b'{"customerId":"v1","actionState":',
    ]
    others = [json.dumps({"customerId": f"v{n}"}).encode() for n in range(400)]
    strange = [b"", b"[1]", b"\xff\xfe", b'{"customerId":1}', b"[" * 50_000, b'{"customerId":"\\ud800"}']
    # when
    chosen = {choose_process(text, 7) for text in of_one}
    parts = divide_lines([Line(n, text) for n, text in enumerate([*others, *strange])], 4)
    # then
    assert len(chosen) == 1
    assert sorted(place for part in parts for place in part) == list(range(len(others) + len(strange)))
    assert all(part == sorted(part) and len(part) > 60 for part in parts)
    assert choose_process(b'{"customerId":"v1","customerIdType":"email"}', 1_000_003) != choose_process(
        of_one[0], 1_000_003
    )


def test_the_outcomes_are_those_of_one_process(offerlog: CommandLine, tmp_path: Path) -> None:
    """Byte for byte: late, repeated, wrong and unreadable lines, in small batches; so are the reports."""
    # given
    traffic = Traffic(70, 3, 1, date(2026, 11, 20), 7, disorder=True, repeats=True)
    lines = [*simulate(traffic), "no JSON", "", '{"customerId":"v1"}']
    file = tmp_path / "day.ndjson"
    file.write_text("\n".join(lines) + "\n")
    found = []
    # when
    for processes, command in (("1", offerlog), ("3", with_name(offerlog, f"{offerlog.organization}-3"))):
        outcomes = tmp_path / f"{processes}.ndjson"
        options = ("--processes", processes, "--batch-size", "13", "--outcomes", str(outcomes))
        answer = command("record", str(file), str(file), *options)
        found.append((outcomes.read_bytes(), answer.text, command("report", "--format", "csv").text))
    # then
    assert found[0] == found[1]
    assert found[0][0].count(b"\n") == 2 * (len(lines) - 1)


def with_name(offerlog: CommandLine, organization: str) -> CommandLine:
    """The command for another organization."""
    return CommandLine(offerlog.data, organization)


@dataclass
class Recording:
    """A run that reads its standard input.

    Attributes:
        process: The run.
        outcomes: The lines of its standard output so far.
    """

    process: LimitedProcess
    outcomes: list[bytes]

    def send(self, *signals: dict[str, object]) -> None:
        """Send lines."""
        assert self.process.stdin is not None
        self.process.stdin.write(ndjson(*signals))
        self.process.stdin.flush()

    @property
    def children(self) -> list[int]:
        """Its processes: that of the projections first."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        return sorted(pid for pid, parent in pairs if parent == self.process.pid)


@contextmanager
def recording(offerlog: CommandLine) -> Iterator[Recording]:
    """Start a run with two processes and batches of one line."""
    words = [COMMAND, "record", "-", "--processes", "2", "--batch-size", "1", "--outcomes", "-"]
    with LimitedProcess(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=offerlog.environment,
        seconds=60,
    ) as process:
        outcomes: list[bytes] = []
        stdout = process.stdout
        assert stdout is not None
        reading = threading.Thread(target=lambda: outcomes.extend(stdout))
        reading.start()
        yield Recording(process, outcomes)
        finish(reading)


def offer_of(visitor: int, action_map: str) -> dict[str, object]:
    """An offer to a visitor."""
    return signal_of("offered", an_id(), action_map, customerId=f"v{visitor}")


def test_a_dead_process_is_one_error_and_loses_nothing(
    offerlog: CommandLine, cli_store: tuple[Path, Offerlog]
) -> None:
    """`kill -9` of one: exit code 1; each signal that was answered is in the log, once."""
    # given
    action_map = an_id()
    with recording(offerlog) as run:
        run.send(*(offer_of(n, action_map) for n in range(40)))
        until(lambda: len(run.outcomes) >= 36)  # four batches stay in flight until more comes
        # when
        kill(run.children[1])
        assert run.process.stdin is not None
        assert run.process.stderr is not None
        run.send(*(offer_of(100 + n, action_map) for n in range(40)))
        run.process.stdin.close()
        errors = run.process.stderr.read().decode()
        code = run.process.wait(60)
    # then
    assert code == 1
    lines = [line for line in errors.splitlines() if line.startswith("offerlog: ")]
    assert len(lines) == 1, errors
    assert "process 1 of 2" in lines[0]
    assert "was killed by SIGKILL; what was answered is recorded" in lines[0]
    answered = {json.loads(line)["action_id"] for line in run.outcomes}
    events = cli_store[1].events(types=["offered"], organization=offerlog.organization, identified=True)
    logged = [str(event.private.action_id) for event in events if event.private is not None]
    assert answered <= set(logged)
    assert len(logged) == len(set(logged))
    assert len(answered) >= 36


@pytest.mark.parametrize(("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGKILL, "")])
def test_the_end_of_the_first_process_ends_all(offerlog: CommandLine, number: int, words: str) -> None:
    """Ctrl-C and `kill -9`: no process is left."""
    with recording(offerlog) as run:
        run.send(*(offer_of(n, an_id()) for n in range(10)))
        until(lambda: len(run.outcomes) >= 6)
        children = run.children
        run.process.send_signal(number)
        code = run.process.wait(60)
        assert run.process.stderr is not None
        errors = run.process.stderr.read().decode()
        until(lambda: not any(is_running(pid) for pid in children), 30)
    assert code == (130 if number == signal.SIGINT else -number)
    assert len(children) == 3
    assert words in errors
    assert errors.count("\n") == (1 if words else 0)
