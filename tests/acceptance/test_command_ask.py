"""offerlog offer, eligibility, suppressions, history, report, refusals, expire: tried as a user would."""

import json
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from command import MAP, Shell, shell, signal


@pytest.fixture(scope="module")
def sh() -> Iterator[Shell]:
    """One store for the module; each test has visitors of its own."""
    with shell() as made:
        yield made


def pair(visitor: str) -> tuple[str, ...]:
    """The options that name a visitor-offer."""
    return "--customer", visitor, "--action-map", MAP


def test_an_offer_is_made_once_and_its_retry_gets_the_same_answer(sh: Shell) -> None:
    """The caller's own action id makes a lost answer harmless; another one is blocked by the first."""
    session, own, other = (str(uuid.uuid4()) for _ in range(3))
    asked = ("offer", *pair("offered"), "--session", session)
    (none,) = sh.json("eligibility", *pair("offered"))
    assert none == {"eligible": True, "reason": None, "state": None, "action_id": None, "since": None}
    nothing = {"reason": None, "state": None, "since": None, "blocking_action_id": None}
    first = sh.json(*asked, "--action", own, "--timeout-seconds", "45", "--action-map-version", "3")
    assert first == [{"decision": "offered", "action_id": own, **nothing}]
    assert sh.json(*asked, "--action", own) == first
    (blocked,) = sh.json(*asked, "--action", other)
    assert (blocked["decision"], blocked["reason"]) == ("blocked", "already_open")
    assert blocked["blocking_action_id"] == own
    assert blocked["action_id"] == other
    assert list(blocked) == ["decision", "action_id", "reason", "state", "since", "blocking_action_id"]
    (told,) = sh.json("eligibility", *pair("offered"))
    assert (told["eligible"], told["reason"], told["action_id"]) == (False, "already_open", own)


def test_what_was_turned_down_is_suppressed_for_good_and_in_one_organization_only(sh: Shell) -> None:
    """Both ways of asking agree; nobody else sees it; NUL is part of an id."""
    visitor = "turned\0down"
    lines = [
        signal(state, "a", visitor, createdDate="2026-11-20T10:00:00Z") for state in ("offered", "rejected")
    ]
    sh.record(*lines)
    (row,) = [
        one for one in sh.json("suppressions", "--action-map", MAP.upper()) if one["customer_id"] == visitor
    ]
    assert row == {
        "customer_id": visitor, "customer_id_type": "cookie", "action_map_id": MAP, "state": "rejected",
        "action_id": lines[0]["actionId"], "since": "2026-11-20T10:00:00Z",
    }  # fmt: skip
    assert sh.json("suppressions", "--action-map", MAP, "--organization", "other") == []
    sh.record(*(line | {"customerId": "plain"} for line in lines))
    assert len(sh.json("suppressions", "--customer", "plain")) == 1
    assert sh.json("suppressions", "--customer", "plain", "--customer-type", "email") == []
    assert sh.json("suppressions", "--customer", "plain", OFFERLOG_ORGANIZATION="other") == []


def test_history_as_it_was(sh: Shell) -> None:
    """By version, by time of recording, and of a pair that nobody knows."""
    sh.record(signal("offered", "a", "past", createdDate="2026-11-20T10:00:00Z", errorCode=None))
    (first,) = sh.json("history", *pair("past"), "--format", "json")
    sh.record(signal("accepted", "a", "past"), signal("rejected", "a", "past"))
    (now,) = sh.json("history", *pair("past"), "--format", "json")
    assert (now["state"], now["version"], now["events"][2]["stage"]) == ("rejected", 3, "form")
    assert [event["version"] for event in now["events"]] == [1, 2, 3]
    before = first["events"][0]["recorded_at"]
    for option, value in (("--version", "1"), ("--as-of", before)):
        assert sh.json("history", *pair("past"), option, value, "--format", "json") == [first]
    unknown = sh.json("history", *pair("nobody"), "--format", "json")
    assert unknown == [{"state": None, "version": 0, "events": []}]
    assert b"rejected" in sh.run("history", *pair("past")).stdout


def test_the_report_in_its_forms(sh: Shell) -> None:
    """Buckets of a zone with a quarter-hour offset; every metric of the view, zeros too."""
    org = ("--organization", "reporting")
    for visitor, at in (("a", "2026-11-20T18:10:00Z"), ("b", "2026-11-20T18:20:00Z")):
        steps = [signal(state, "a", visitor, createdDate=at) for state in ("offered", "ignored")]
        sh.record(
            *steps, signal("offered", "a", visitor + "2", createdDate=at, actionMapName="Help"), options=org
        )
    asked = ("report", *org, "--by", "day", "--zone", "Asia/Kathmandu", "--format")
    (told,) = sh.json(*asked, "json")
    assert [row["bucket"] for row in told["rows"]] == [
        "2026-11-20T00:00:00+05:45",
        "2026-11-21T00:00:00+05:45",
    ]
    assert told["rows"][0]["metrics"] == {
        "nWebActionsOffered": 2, "nWebActionsAccepted": 0, "nWebActionsRejected": 0, "nWebActionsStarted": 0,
        "nWebActionsAbandoned": 0, "nWebActionsEngaged": 0,
    }  # fmt: skip
    assert told["rows"][0]["rates"] == {"accepted": 0.0, "engaged": None}
    assert told["rows"][0]["action_map_name"] == "Help"
    assert list(told) == ["from", "to", "zone", "by", "rows"]
    csv = sh.run(*asked, "csv", "--view", "full").stdout.decode().splitlines()
    assert len(csv) == 3
    assert csv[0].startswith("action_map_id,action_map_name,bucket,nWebActionsOffered")
    assert "Help" in sh.run(*asked, "table", NO_COLOR="1").stdout.decode()
    (cut,) = sh.json(*asked, "json", "--from", "2026-11-21", "--action-map", MAP)
    assert [row["bucket"] for row in cut["rows"]] == ["2026-11-21T00:00:00+05:45"]


def test_what_is_overdue_ends(sh: Shell) -> None:
    """A time-out that nobody reported, and a signal whose beginning never came; once."""
    org = ("--organization", "overdue")
    sh.record(
        signal("offered", "a", "silent", timeoutSeconds=1, createdDate="2026-11-20T10:00:00Z"), options=org
    )
    lone = signal("accepted", "a", "orphan")
    assert [each["outcome"] for each in sh.record(lone, options=org)] == ["parked"]
    (kept,) = sh.json("parked", *org)
    assert (kept["reason"], json.loads(kept["signal"])) == (None, lone)
    at_once = {"OFFERLOG_PARKING_TIME": "0", "OFFERLOG_DEADLINE_GRACE": "0"}
    while sh.json("expire", **at_once)[0]["timedout"] == 0:
        pass  # its second may not be over
    assert sh.json("expire", **at_once) == [{"timedout": 0, "never_reachable": 0}]
    (told,) = sh.json("history", *pair("silent"), *org, "--format", "json")
    assert told["events"][1]["event"] == "timedout"
    assert told["events"][1]["occurred_at"] == "2026-11-20T10:00:01Z"
    (refused,) = sh.json("refusals", *org, "--reason", "never_reachable")
    assert json.loads(refused["signal"]) == lone
    assert sh.json("parked", *org) == []
    assert sh.json("refusals", *org, "--since", "2999-01-01") == []


def test_projections_are_rebuilt_to_the_same(sh: Shell) -> None:
    """Status knows the three; a rebuild of one leaves the report as it was."""
    assert [one["projection"] for one in sh.json("projections", "status", "--format", "json")] == [
        "current_state", "performance", "suppression"
    ]  # fmt: skip
    before = sh.run("report", "--format", "json").stdout
    sh.run("projections", "rebuild", "performance")
    assert sh.run("report", "--format", "json").stdout == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nope",), "nope"),
        (("record", "/no/such/file"), "/no/such/file"),
        (("record", "-", "--batch-size", "0"), "--batch-size"),
        (("report", "--from", "2026-11-20T00:07"), "--from"),
        (("report", "--from", "2026-11-20", "--to", "2026-11-20"), "--from"),
        (("report", "--zone", "Mars/Olympus"), "--zone"),
        (("report", "--action-map", "x"), "--action-map"),
        (("suppressions",), "--customer"),
        (("offer", "--customer", "c", "--action-map", MAP, "--session", "s"), "--session"),
        (("eligibility", "--customer", "", "--action-map", MAP), "--customer"),
        (("history", "--customer", "c", "--action-map", MAP, "--as-of", "soon"), "--as-of"),
        (("projections", "rebuild", "nothing"), "nothing"),
        (("parked", "--organization", "a b"), "--organization"),
    ],
)
def test_wrong_usage_is_one_line_that_names_what_is_wrong(
    sh: Shell, arguments: tuple[str, ...], named: str
) -> None:
    """Exit code 2, nothing on standard output."""
    done = sh.run(*arguments, code=2)
    assert named in done.stderr.decode()
    assert done.stderr.decode().count("\n") == 1
    assert done.stdout == b""


def test_a_wrong_setting_is_named(sh: Shell) -> None:
    """By the variable it came from."""
    assert b"OFFERLOG_PARKING_TIME" in sh.run("parked", code=2, OFFERLOG_PARKING_TIME="soon").stderr
    done = sh.run("parked", code=1, OFFERLOG_DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert done.stderr.decode().count("\n") == 1


def test_a_reader_that_has_enough_ends_it_quietly(sh: Shell) -> None:
    """`| head -1` is no error."""
    sh.record(*(b"bad" for _ in range(5_000)), options=("--organization", "piped"))
    command = f"OFFERLOG_DATA='{sh.folder}/a store' {sh.offerlog} refusals --organization piped | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == b""
