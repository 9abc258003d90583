"""`offerlog expire`, `projections`, `simulate`, `sample`, and what holds for every command."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from support.command_line import COMMAND, CommandLine, an_id, signal_of
from support.recount import until

TRAFFIC = (
    *("simulate", "--visitors", "40", "--action-maps", "2", "--days", "2"),
    *("--start", "2026-11-20", "--seed", "3"),
)
README = Path(__file__).parents[2] / "README.md"
PROJECTIONS = ["current_state", "performance", "suppression"]


def test_expire_ends_what_is_overdue(offerlog: CommandLine) -> None:
    """Parking that is over becomes a refusal, and what was refused so is judged anew when it comes again."""
    late = signal_of("started", an_id(), an_id())
    soon = offerlog.with_settings(OFFERLOG_PARKING_TIME="0")
    soon("expire")  # whatever other tests have left
    offerlog.judged(late)
    assert offerlog("expire").text == '{"timedout":0,"never_reachable":0}\n'
    assert soon("expire").text == '{"timedout":0,"never_reachable":1}\n'
    assert [one["reason"] for one in offerlog("refusals").lines] == ["never_reachable"]
    assert offerlog("parked").raw == b""
    assert [one["outcome"] for one in offerlog.judged(late)] == ["parked"]


def test_expire_records_a_timeout_once(offerlog: CommandLine) -> None:
    """A second after it came, at the time it was due, and only once however often it is looked for."""
    action, action_map = an_id(), an_id()
    offerlog.judged(signal_of("offered", action, action_map, "2026-11-20T10:00:00Z", timeoutSeconds=1))
    soon = offerlog.with_settings(OFFERLOG_DEADLINE_GRACE="0")
    pair = ("history", "--customer", "v1", "--action-map", action_map, "--format", "json")

    def events() -> list[dict[str, str]]:
        soon("expire")
        listed: list[dict[str, str]] = offerlog(*pair).json["events"]
        return listed

    until(lambda: len(events()) > 1)
    assert [event["event"] for event in events()] == ["offered", "timedout"]
    assert events()[1]["occurred_at"] == "2026-11-20T10:00:01Z"


def test_projections_are_shown_and_rebuilt(offerlog: CommandLine) -> None:
    """Rebuilt from the log, one or all, and the report is the same afterwards."""
    offerlog.judged(signal_of("offered", an_id(), an_id(), "2026-11-20T10:00:00Z"))
    report = offerlog("report", "--format", "json").raw
    lines = offerlog("projections", "status", "--format", "json").lines
    assert [line["projection"] for line in lines] == PROJECTIONS
    assert list(lines[0]) == ["projection", "position", "lag_events", "lag_seconds"]
    assert {(line["lag_events"], line["lag_seconds"]) for line in lines} == {(0, 0.0)}
    table = [line.split() for line in offerlog("projections", "status").text.splitlines()]
    assert [row[0] for row in table] == ["projection", *PROJECTIONS]
    assert "performance rebuilt" in offerlog("projections", "rebuild", "performance").text
    assert "all projections rebuilt" in offerlog.on_a_terminal("projections", "rebuild")
    assert offerlog("report", "--format", "json").raw == report
    error = offerlog.fails("projections", "rebuild", "reports")
    assert "there is no projection 'reports': current_state, performance, suppression" in error


def test_simulated_traffic_is_the_same_bytes_again(offerlog: CommandLine) -> None:
    """Disorder changes only the order; repeats add some, now and then under a new event id."""
    first = offerlog(*TRAFFIC).raw
    assert offerlog(*TRAFFIC).raw == first
    disordered = offerlog(*TRAFFIC, "--disorder").raw
    assert disordered != first
    assert sorted(disordered.splitlines()) == sorted(first.splitlines())
    assert {*offerlog(*TRAFFIC, "--repeats").raw.splitlines()} >= {*first.splitlines()}
    assert offerlog(*TRAFFIC[:-1], "4").raw != first
    assert all(json.loads(line)["actionMediaType"] for line in first.splitlines())
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {COMMAND} {' '.join(TRAFFIC)} | head -1"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == (first.splitlines(keepends=True)[0], b"")


def test_impossible_traffic_is_wrong_usage(offerlog: CommandLine) -> None:
    """A start that is no date, days that the calendar does not have."""
    asked = ("simulate", "--visitors", "1", "--action-maps", "1", "--seed", "1")
    assert "'soon' is not a date" in offerlog.fails(*asked, "--days", "1", "--start", "soon")
    assert "beyond the year 9998" in offerlog.fails(*asked, "--days", "2", "--start", "9998-12-31")


def test_a_narrow_terminal_loses_nothing(offerlog: CommandLine) -> None:
    """In 80 columns every map, bucket, count and event is still there, whole."""
    offerlog("record", "-", given=offerlog(*TRAFFIC).raw)
    shown = offerlog.on_a_terminal("report", "--by", "day", "--view", "full")
    assert "…" not in shown
    rows = offerlog("report", "--by", "day", "--format", "json").json["rows"]
    assert all(row["action_map_id"] in shown for row in rows)
    assert shown.count("2026-11-20 ") == sum(row["bucket"].startswith("2026-11-20") for row in rows)
    one = offerlog("suppressions", "--action-map", rows[0]["action_map_id"]).lines[0]
    pair = ("--customer", one["customer_id"], "--action-map", one["action_map_id"])
    timeline = offerlog.on_a_terminal("history", *pair)
    assert "…" not in timeline
    assert one["action_id"] in timeline


def test_the_sample_shows_what_there_is(offerlog: CommandLine) -> None:
    """A day, what became of it, commands that work as they are printed; the second time nothing is new.

    Its organization is its own, whatever the environment says. The README shows what it prints, up to the
    width of columns and what `...` leaves out.
    """
    first, again = offerlog("sample", "--yes").text, offerlog("sample", "--yes").text
    printed = {" ".join(line.split()) for line in first.splitlines()}
    blocks = re.findall(r"^```\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (shown,) = (block for block in blocks if " signals\n" in block)
    for line in shown.splitlines():
        assert line == "..." or " ".join(line.split()) in printed, line
    assert "\n\nAction Map Performance" in first
    assert "\n\nSuppression list" in first
    assert "\n\nWhat to try next" in first
    assert "Nothing recorded" in again
    assert "Nothing recorded" not in first
    tried = [line.split()[1:] for line in first[first.index("What to try next") :].splitlines()[1:]]
    [eligibility] = [words for words in tried if words[0] == "eligibility"]
    assert offerlog(*eligibility).json["eligible"] is False
    assert len(offerlog(*next(words for words in tried if words[0] == "suppressions")).lines) >= 1
    assert offerlog("report", "--format", "json").json["rows"] == []


def test_the_bare_command_helps(offerlog: CommandLine) -> None:
    """Its help, and its version."""
    assert "Usage: offerlog" in offerlog().text
    assert offerlog("--version").text.startswith("offerlog ")


def test_the_same_options_everywhere(offerlog: CommandLine, tmp_path: Path) -> None:
    """`--data`, `--organization` and `--customer-type`, before the command's name or behind it."""
    bare = CommandLine(tmp_path / "unused", "nobody")
    common = (
        "--data",
        str(offerlog.data),
        "--organization",
        offerlog.organization,
        "--customer-type",
        "email",
    )
    signal = signal_of("offered", an_id(), an_id(), customerIdType="email")
    assert bare.judged(signal, options=common)[0]["outcome"] == "recorded"
    pair = ("--customer", "v1", "--action-map", signal["actionMapId"])
    for words in (("eligibility", *pair, *common), (*common, "eligibility", *pair)):
        assert bare(*words).json["reason"] == "already_open"
    for asked in ((*common, "projections", "status"), ("projections", *common, "status")):
        assert len(bare(*asked, "--format", "json").lines) == 3
    bare("--data", "/nowhere", "events", *common, "check")
    commands = ("parked", "refusals", "expire", "report", "projections status")
    for command in commands:
        bare(*command.split(), *common)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'data = "{offerlog.data}"\n', encoding="utf-8")
    named = ("--config", str(settings))
    for places in (("config", *named), (*named, "config")):
        shown = bare.with_settings(OFFERLOG_DATA="")(*places, "--format", "json").lines
        assert shown[0] == {
            "setting": "data",
            "value": str(offerlog.data),
            "from": "file",
            "place": str(settings),
        }
    settings.write_text("dta = 1", encoding="utf-8")
    assert "settings.toml: dta: there is no such setting; did you mean data?" in bare.fails(
        "keys", "--config", str(settings), "list"
    )
    assert bare(*TRAFFIC, *common).raw
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize(
    ("settings", "code", "error"),
    [
        ({"OFFERLOG_PARKING_TIME": "soon"}, 2, "OFFERLOG_PARKING_TIME: a number of seconds is needed"),
        (
            {"OFFERLOG_DEADLINE_GRACE": "-1"},
            2,
            "OFFERLOG_DEADLINE_GRACE: 0 to 316224000 seconds (ten years) are needed",
        ),
        (
            {"OFFERLOG_ORGANIZATION": "a b"},
            2,
            "variable OFFERLOG_ORGANIZATION: 'a b' cannot name an organization",
        ),
        ({"OFFERLOG_DATABASE_URL": "nonsense"}, 2, "OFFERLOG_DATABASE_URL: "),
        ({"OFFERLOG_DATABASE_URL": "http://db/x"}, 2, "give postgresql://user@host/database"),
        ({"OFFERLOG_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, 1, "the store cannot be reached"),
        ({"OFFERLOG_DATA": "/proc/nowhere"}, 1, "there is no store at /proc/nowhere"),
    ],
)
def test_settings_that_do_not_work(
    offerlog: CommandLine, settings: dict[str, str], code: int, error: str
) -> None:
    """One line that names what to change."""
    assert error in offerlog.with_settings(**settings).fails("expire", code=code)


@pytest.mark.parametrize(
    "address",
    ["http://u:secret@db/x", "postgresql://u:secret%zz@db/x", 'postgresql://u:"secret@[db/x', "u:secret"],
)
def test_a_wrong_address_does_not_show_its_password(offerlog: CommandLine, address: str) -> None:
    """An error ends in a journal that many can read."""
    error = offerlog.with_settings(OFFERLOG_DATABASE_URL=address).fails("expire")
    assert "the environment variable OFFERLOG_DATABASE_URL: " in error
    assert "secret" not in error


def test_an_empty_name_is_no_organization(offerlog: CommandLine) -> None:
    """A script's unset variable must not lead to somebody else's data."""
    for words in (("--organization", "", "report"), ("report", "--organization", "")):
        assert "an empty name is no organization" in offerlog.fails(*words)


def test_a_folder_given_beats_a_server_in_the_environment(offerlog: CommandLine) -> None:
    """An explicit `--data` means the embedded store."""
    elsewhere = offerlog.with_settings(OFFERLOG_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert elsewhere("parked", "--data", str(offerlog.data)).raw == b""


def test_output_that_cannot_be_written_is_an_error(offerlog: CommandLine) -> None:
    """A full disk: exit code 1 and one line."""
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            [COMMAND, "report", "--format", "json"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=offerlog.environment,
            check=False,
            timeout=60,
        )
    assert run.returncode == 1
    assert run.stderr == b"offerlog: standard output cannot be written: No space left on device\n"


def test_wrong_words_are_wrong_usage(offerlog: CommandLine) -> None:
    """No such command, no such option, no argument."""
    assert "No such command 'recrod'" in offerlog.fails("recrod")
    assert "No such option" in offerlog.fails("report", "--nope")
    assert "Missing argument 'FILE'" in offerlog.fails("record")


def test_a_host_that_is_no_address(offerlog: CommandLine) -> None:
    """No name does not mean every address, and one that nobody knows is told without numbers."""
    assert "--host: an empty name is no address" in offerlog.fails("serve", "--check", "--host", "")
    unknown = offerlog.fails("serve", "--check", "--host", "host.invalid", code=1)
    assert unknown.startswith("offerlog: cannot listen on host.invalid: ")
