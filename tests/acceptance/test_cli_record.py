"""`offerlog record`: what it reads, and what it says of it."""

import gzip
import json
import signal as posix
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support.command_line import COMMAND, CommandLine, an_id, ndjson, signal_of
from support.processes import LimitedProcess
from support.wire import BROWSER, ID, STORED

AT = "2026-11-22T10:00:00Z"


def test_outcomes_are_one_line_a_signal_in_input_order(offerlog: CommandLine) -> None:
    """Exactly the keys promised, in their order, and bytes without needless spaces."""
    action, action_map = an_id(), an_id()
    given = ndjson(
        signal_of("accepted", action, action_map, AT),
        signal_of("offered", action, action_map, AT),
        signal_of("completed", action, action_map, AT),
    )
    answer = offerlog("record", "-", "--outcomes", "-", given=given)
    assert answer.text.splitlines() == [
        f'{{"line":{line},"outcome":"{outcome}","reason":{reason},"action_id":"{action}","state":"{state}"}}'
        for line, outcome, reason, state in (
            (1, "recorded", "null", "accepted"),
            (2, "recorded", "null", "offered"),
            (3, "refused", '"not_tracked"', "completed"),
        )
    ]
    assert [line.split() for line in answer.errors.splitlines()[1:]] == [
        ["outcome", "reason", "signals", "share"],
        ["recorded", "2", "66.7%"],
        ["refused", "not_tracked", "1", "33.3%"],
    ]


def test_both_wire_forms_are_the_same_signal(offerlog: CommandLine) -> None:
    """The stored form repeats what the browser's form told."""
    browser = {**BROWSER, "actionState": "offered"}
    del browser["timeoutSeconds"]  # the stored form has no place for it
    stored = json.loads(json.dumps(STORED).replace('"errored"', '"offered"'))
    assert [line["outcome"] for line in offerlog.judged(browser, stored)] == ["recorded", "duplicate"]


def test_a_file_sent_twice_changes_nothing(offerlog: CommandLine, tmp_path: Path) -> None:
    """The second time is all duplicates and the same refusals, and the report stays as it was."""
    made = offerlog(
        *("simulate", "--visitors", "60", "--action-maps", "2", "--days", "1"),
        *("--start", "2026-11-20", "--seed", "7", "--disorder", "--repeats"),
    )
    (tmp_path / "day.ndjson").write_bytes(made.raw)
    outcomes = tmp_path / "out.ndjson"
    words = ("record", str(tmp_path / "day.ndjson"), "--outcomes", str(outcomes), "--batch-size", "17")
    offerlog(*words)
    first = [json.loads(line) for line in outcomes.read_text().splitlines()]
    report = offerlog("report", "--format", "json", "--by", "hour", "--view", "full").raw
    offerlog(*words)
    again = [json.loads(line) for line in outcomes.read_text().splitlines()]
    assert [line["line"] for line in first] == list(range(1, made.raw.count(b"\n") + 1))
    assert {line["outcome"] for line in first} >= {"recorded", "duplicate", "refused"}
    assert "recorded" not in {line["outcome"] for line in again}
    assert offerlog("report", "--format", "json", "--by", "hour", "--view", "full").raw == report


def test_a_bad_line_never_ends_the_run(offerlog: CommandLine) -> None:
    """Malformed lines say field and cause; blank lines are no signals but have numbers; CRLF is an end."""
    first, second, action_map = an_id(), an_id(), an_id()
    good = signal_of("offered", first, action_map, AT)
    given = b"\r\n".join(
        [
            ndjson(good).strip(),
            b"",
            b" \t",
            b"{not json",
            b"x" * 200_000,
            b"\xff\xfe",
            ndjson({**good, "customerId": "\ud800"}).strip(),
            ndjson({**good, "actionId": "7"}).strip(),
            ndjson(signal_of("offered", second, an_id(), AT)).strip(),
        ]
    )
    lines = offerlog("record", "-", "--outcomes", "-", "--batch-size", "2", given=given).lines
    assert [(line["line"], line["outcome"], line.get("field")) for line in lines] == [
        (1, "recorded", None),
        (4, "refused", None),
        (5, "refused", None),
        (6, "refused", None),
        (7, "refused", "customerId"),
        (8, "refused", "actionId"),
        (9, "recorded", None),
    ]
    assert list(lines[1]) == ["line", "outcome", "reason", "action_id", "state", "field", "cause"]
    assert lines[1]["action_id"] is lines[1]["state"] is None
    assert {line["reason"] for line in lines[1:6]} == {"malformed"}
    assert lines[2]["cause"] == "longer than 64 KiB"


def test_the_longest_line_is_still_read(offerlog: CommandLine) -> None:
    """64 KiB without its end are a signal; a byte more is none."""
    signal = signal_of("offered", an_id(), an_id(), AT)
    room = 64 * 1024 - len(json.dumps({**signal, "note": ""}))
    lines = offerlog.judged({**signal, "note": "x" * (room + 1)}, {**signal, "note": "x" * room})
    assert [line["outcome"] for line in lines] == ["refused", "recorded"]


def test_several_files_compressed_or_not(offerlog: CommandLine, tmp_path: Path) -> None:
    """What is compressed is told by its first bytes; every line says its file, and a batch ends with it."""
    action, action_map = an_id(), an_id()
    plain, packed = tmp_path / "plain.gz", tmp_path / "packed"
    plain.write_bytes(ndjson(signal_of("accepted", action, action_map, AT)))
    packed.write_bytes(gzip.compress(ndjson(signal_of("offered", action, action_map, AT))))
    lines = offerlog("record", str(plain), str(packed), "--outcomes", "-").lines
    assert [(next(iter(line)), line["file"], line["line"], line["outcome"]) for line in lines] == [
        ("file", str(plain), 1, "parked"),
        ("file", str(packed), 1, "recorded"),
    ]
    history = offerlog("history", "--customer", "v1", "--action-map", action_map, "--format", "json").json
    assert [event["event"] for event in history["events"]] == ["offered", "accepted"]


def test_standard_input_may_be_compressed(offerlog: CommandLine) -> None:
    """`zcat` is not needed; two members behind one another are one text."""
    given = b"".join(gzip.compress(ndjson(signal_of("offered", an_id(), an_id(), AT))) for _ in range(2))
    lines = offerlog("record", "-", "--outcomes", "-", given=given).lines
    assert [(line["line"], line["outcome"]) for line in lines] == [(1, "recorded"), (2, "recorded")]


@pytest.mark.parametrize("broken", ["cut", "damaged"])
def test_a_file_that_breaks_off_counts_up_to_there(
    offerlog: CommandLine, tmp_path: Path, broken: str
) -> None:
    """Exit code 1, one line that says where; what stood before it is recorded and summed up."""
    packed = bytearray(
        gzip.compress(ndjson(*(signal_of("offered", an_id(), an_id(), AT) for _ in range(4000))))
    )
    middle = len(packed) // 2
    file = tmp_path / "day.gz"
    file.write_bytes(packed[:middle] if broken == "cut" else packed[:middle] + b"\xff" * 50)
    outcomes = tmp_path / "outcomes.ndjson"
    answer = offerlog("record", str(file), "--outcomes", str(outcomes), code=1)
    assert "cannot be read past line" in answer.errors
    assert answer.errors.count("\n") == 1
    judged = [json.loads(line) for line in outcomes.read_bytes().splitlines()]
    assert len(judged) == int(answer.text.split()[0].replace(",", "")) > 1000
    # Damaged bytes unpack to text for a while, to lines that are nothing, before the stream makes no sense.
    recorded = [line for line in judged if line["outcome"] == "recorded"]
    rows = offerlog("report", "--format", "json").json["rows"]
    assert sum(row["metrics"]["nWebActionsOffered"] for row in rows) == len(recorded) > len(judged) - 50


def test_batches_decide_what_may_be_put_in_order(offerlog: CommandLine) -> None:
    """Inside a batch an action's signals are put in order; across batches the early one is parked."""
    pair = [signal_of(state, an_id(), an_id(), AT) for state in ("accepted", "offered")]
    pair[1].update({name: pair[0][name] for name in ("actionId", "actionMapId")})
    lines = offerlog.judged(*pair, options=["--batch-size", "1"])
    assert [line["outcome"] for line in lines] == ["parked", "recorded"]


def test_nothing_recorded_is_no_failure(offerlog: CommandLine) -> None:
    """Only refused signals: exit code 0."""
    refused = offerlog("record", "-", given=b"{}\n").text.split()
    assert refused[:2] == ["1", "signal"]
    assert "malformed" in refused


def test_files_that_cannot_be_meant(offerlog: CommandLine, tmp_path: Path) -> None:
    """A file that is not there, and outcomes that would overwrite the signals: wrong usage."""
    file = tmp_path / "day.ndjson"
    file.write_bytes(ndjson(signal_of("offered", an_id(), an_id(), AT)))
    assert "there is no such file" in offerlog.fails("record", str(tmp_path / "missing"))
    assert "would overwrite" in offerlog.fails("record", str(file), "--outcomes", str(file))
    assert file.stat().st_size
    assert "is a folder" in offerlog.fails("record", str(tmp_path))


def test_outcomes_that_cannot_be_written_name_their_file(offerlog: CommandLine, tmp_path: Path) -> None:
    """A full disk, a folder that is not there: exit code 1, and whose fault it is."""
    signal = ndjson(signal_of("offered", an_id(), an_id(), AT))
    full = offerlog("record", "-", "--outcomes", "/dev/full", given=signal, code=1)
    assert full.errors.endswith("offerlog: /dev/full: No space left on device\n")
    missing = str(tmp_path / "missing" / "judged.ndjson")
    told_missing = offerlog("record", "-", "--outcomes", missing, given=signal, code=1).errors
    assert told_missing == f"offerlog: {missing}: No such file or directory\n"


def test_recording_goes_on_when_nobody_reads_the_outcomes(offerlog: CommandLine, tmp_path: Path) -> None:
    """`record --outcomes - | head -1` records all of it."""
    file = tmp_path / "day.ndjson"
    file.write_bytes(
        ndjson(*(signal_of("offered", an_id(), ID, AT, customerId=f"v{n}") for n in range(3000)))
    )
    piped = f"set -o pipefail; {COMMAND} record {file} --batch-size 100 --outcomes - | head -1"
    run = subprocess.run(
        ["bash", "-c", piped],
        capture_output=True,
        env=offerlog.environment,
        check=True,
        text=True,
        timeout=60,
    )
    assert json.loads(run.stdout)["line"] == 1
    assert run.stderr.startswith("3,000 signals")
    rows = offerlog("report", "--format", "json").json["rows"]
    assert rows[0]["metrics"]["nWebActionsOffered"] == 3000


@pytest.mark.parametrize(
    ("number", "code", "told_how"),
    [(posix.SIGINT, 130, "interrupted"), (posix.SIGTERM, 143, "ended by SIGTERM")],
)
def test_an_interrupt_keeps_what_was_recorded(
    offerlog: CommandLine, number: posix.Signals, code: int, told_how: str
) -> None:
    """Ctrl-C and SIGTERM: an exit code, one line, and the batches before it are there."""
    run = LimitedProcess(
        [COMMAND, "record", "-", "--batch-size", "1", "--outcomes", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=offerlog.environment,
    )
    with run:
        assert run.stdin is not None
        assert run.stdout is not None
        # Few enough for the pipes to hold what nobody has read yet.
        run.stdin.write(ndjson(*(signal_of("offered", an_id(), an_id(), AT) for _ in range(150))))
        run.stdin.flush()
        assert json.loads(run.stdout.readline())["outcome"] == "recorded"
        run.send_signal(number)
        _, errors = run.communicate(timeout=30)
    assert run.returncode == code
    error = f"offerlog: {told_how}; what was recorded stays recorded, and sending signals again is safe\n"
    assert errors.decode() == error
    assert offerlog("report", "--format", "json").json["rows"]


def test_killed_in_the_middle_it_can_be_run_again(cli_folder: Path) -> None:
    """What a killed run left is recognised, and the server stops with the last command."""
    offerlog = CommandLine(cli_folder / "a store", "default")
    action_map = an_id()
    lines = [signal_of("offered", an_id(), action_map, AT, customerId=f"v{n}") for n in range(8_000)]
    file = cli_folder / "killed.ndjson"
    file.write_bytes(ndjson(*lines))
    words = [COMMAND, "record", str(file), "--outcomes", "-"]
    with LimitedProcess(words, env=offerlog.environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["line"] == 1
        running.kill()
    judged = Counter(each["outcome"] for each in offerlog.judged(*lines))
    assert judged.keys() == {"recorded", "duplicate"}
    row = offerlog("report", "--format", "json").json["rows"][0]
    assert row["metrics"]["nWebActionsOffered"] == 8_000
    processes = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert str(cli_folder) not in processes
