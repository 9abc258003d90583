"""offerlog record, tried as a user would: files, standard input, bad lines, repeats."""

import gzip
import json
import os
import signal as signals
import subprocess
import time
from collections.abc import Iterator

import pytest

from command import MAP, OFFERLOG, Shell, shell, signal
from wire import BROWSER, STORED


@pytest.fixture(scope="module")
def sh() -> Iterator[Shell]:
    """One store for the module; each test has visitors of its own."""
    with shell() as made:
        yield made


def test_a_line_each_as_judged(sh: Shell) -> None:
    """Numbers are those of the file, blank lines counted; a bad line harms no other."""
    offered, bad = signal("offered", "a", "judged"), b'{"actionId": 5}'
    judged = sh.record(offered, b"", bad, b"  \r", signal("accepted", "a", "judged"), b"\xff\x00")
    own = {"action_id": offered["actionId"], "reason": None}
    assert judged[0] == {"line": 1, "outcome": "recorded", **own, "state": "offered"}
    assert judged[1].items() >= {"line": 3, "reason": "malformed", "action_id": None, "state": None}.items()
    assert judged[1]["field"] == "actionId"
    assert judged[1]["cause"]
    assert [(each["line"], each["outcome"]) for each in judged[2:]] == [(5, "recorded"), (6, "refused")]
    assert list(judged[0]) == ["line", "outcome", "reason", "action_id", "state"]


def test_both_forms_and_compression_are_told_apart_by_their_content(sh: Shell) -> None:
    """The browser's and the stored form of one signal are the same signal."""
    browser = {name: value for name, value in BROWSER.items() if name != "timeoutSeconds"}
    lines = "\r\n".join(json.dumps({**form, "customerId": "forms"}) for form in (browser, STORED)).encode()
    plain, packed = sh.folder / "plain.gz", sh.folder / "packed"
    plain.write_bytes(lines)
    packed.write_bytes(gzip.compress(lines))
    out = sh.folder / "out.ndjson"
    sh.run("record", str(plain), str(packed), "--outcomes", str(out))
    judged = [json.loads(line) for line in out.read_text().splitlines()]
    assert [each["outcome"] for each in judged] == ["parked", "duplicate", "duplicate", "duplicate"]
    assert [(each["file"], each["line"]) for each in judged] == [
        (str(plain), 1), (str(plain), 2), (str(packed), 1), (str(packed), 2)
    ]  # fmt: skip


def test_a_batch_is_put_in_order_and_two_batches_are_not(sh: Shell) -> None:
    """`accepted` before `offered` is recorded within a batch, and parked until it is released across two."""
    late = [signal("accepted", "a", "one batch"), signal("offered", "a", "one batch")]
    assert [each["outcome"] for each in sh.record(*late)] == ["recorded", "recorded"]
    late = [signal("accepted", "a", "two"), b"", b"bad", signal("offered", "a", "two")]
    judged = sh.record(*late, options=("--batch-size", "2"))
    assert [each["outcome"] for each in judged] == ["parked", "refused", "recorded"]
    (told,) = sh.json("history", "--customer", "two", "--action-map", MAP, "--format", "json")
    assert [event["event"] for event in told["events"]] == ["offered", "accepted"]
    waits = sh.record(
        signal("accepted", "b", "three"),
        b"bad",
        signal("offered", "b", "three"),
        options=("--batch-size", "2"),
    )
    assert [each["outcome"] for each in waits] == ["parked", "refused", "recorded"]


def test_an_over_long_line_is_refused_by_itself(sh: Shell) -> None:
    """However long it is, the next line is read."""
    judged = sh.record(b"x" * 3_000_000, signal("offered", "a", "after the long one"))
    assert [each["outcome"] for each in judged] == ["refused", "recorded"]


def test_a_broken_file_ends_behind_its_last_whole_line(sh: Shell) -> None:
    """What came before the break stays recorded; the command says so and fails."""
    lines = [json.dumps(signal("offered", "a", f"broken {n}")) for n in range(3000)]
    broken = sh.folder / "broken.ndjson.gz"
    broken.write_bytes(gzip.compress("\n".join(lines).encode())[:-2000])
    done = sh.run("record", str(broken), "--outcomes", str(sh.folder / "judged"), code=1)
    assert done.stderr.decode().count("\n") == 1
    assert 0 < len((sh.folder / "judged").read_text().splitlines()) < 3000


def test_a_second_run_records_nothing(sh: Shell) -> None:
    """A simulated day twice: only duplicates and refusals, and the report as before."""
    arguments = [
        "--visitors",
        "300",
        "--action-maps",
        "3",
        "--days",
        "1",
        "--start",
        "2026-11-20",
        "--seed",
        "5",
        "--disorder",
        "--repeats",
    ]
    lines = sh.run("simulate", *arguments).stdout
    assert lines == sh.run("simulate", *arguments, PYTHONHASHSEED="7").stdout
    organization = ("--organization", "again")
    first = sh.run("record", "-", "--outcomes", "-", *organization, given=lines).stdout
    report = sh.run("report", "--format", "json", "--view", "full", *organization).stdout
    second = sh.run("record", "-", "--outcomes", "-", *organization, given=lines).stdout
    assert sh.run("report", "--format", "json", "--view", "full", *organization).stdout == report
    recorded = sum(json.loads(line)["outcome"] == "recorded" for line in first.splitlines())
    counted = sum(sum(row["metrics"].values()) for row in json.loads(report)["rows"])
    released = sum(json.loads(line)["outcome"] == "parked" for line in first.splitlines()) - len(
        sh.json("parked", *organization)
    )
    assert recorded <= counted <= recorded + released
    assert {json.loads(line)["outcome"] for line in second.splitlines()} == {"duplicate", "refused"}


def test_killed_in_the_middle_it_can_be_run_again(sh: Shell) -> None:
    """What a killed run left is recognised, and the server stops with the last command."""
    lines = "\n".join(json.dumps(signal("offered", "a", f"killed {n}")) for n in range(20_000)).encode()
    file = sh.folder / "killed.ndjson"
    file.write_bytes(lines)
    environment = os.environ | {"OFFERLOG_DATA": str(sh.folder / "a store")}
    running = subprocess.Popen(
        [str(OFFERLOG), "record", str(file)], env=environment, stdout=subprocess.DEVNULL
    )
    time.sleep(1.5)
    running.send_signal(signals.SIGKILL)
    running.wait()
    judged = sh.record(*lines.splitlines())
    assert {each["outcome"] for each in judged} <= {"recorded", "duplicate"}
    (told,) = sh.json(
        "history",
        "--customer",
        "killed 7",
        "--action-map",
        MAP,
        "--format",
        "json",
    )
    assert told["version"] == 1
    postmasters = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(sh.folder) not in postmasters
