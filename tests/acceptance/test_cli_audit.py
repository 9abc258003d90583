"""`offerlog history`, `parked`, `refusals`: what happened, and what was not recorded."""

import json
import subprocess
from datetime import datetime, timedelta

import pytest

from support.command_line import COMMAND, CommandLine, an_id, ndjson, signal_of

EVENT_KEYS = [
    *("version", "event", "action_id", "stage", "occurred_at", "recorded_at", "session_id"),
    *("error_code", "error_message", "event_id", "action_map_version", "timeout_seconds"),
]
KEPT_KEYS = ["recorded_at", "reason", "field", "cause", "signal", "signal_bytes"]


def test_a_history_as_it_is_and_as_it_was(offerlog: CommandLine) -> None:
    """By version, and by when it was recorded; an errored action is followed by a new one."""
    one, two, action_map, event_id = (an_id() for _ in range(4))
    error = {"errorCode": "00045", "errorMessage": "no frame", "eventId": event_id}
    offerlog.judged(
        signal_of("offered", one, action_map, "2026-11-22T10:00:00Z", timeoutSeconds=45),
        signal_of("errored", one, action_map, "2026-11-22T10:00:01Z", **error),
    )
    offerlog.judged(
        signal_of("offered", two, action_map, "2026-11-22T10:05:00Z"),
        signal_of("accepted", two, action_map, "2026-11-22T10:05:04Z"),
        signal_of("rejected", two, action_map, "2026-11-22T10:05:09Z", actionMapVersion=2),
    )
    pair = ("history", "--customer", "v1", "--action-map", action_map)
    now = offerlog(*pair, "--format", "json").json
    assert list(now) == ["known", "state", "version", "events"]
    assert (now["state"], now["version"]) == ("rejected", 5)
    assert [(event["version"], event["event"], event["action_id"]) for event in now["events"]] == [
        (1, "offered", one),
        (2, "errored", one),
        (3, "offered", two),
        (4, "accepted", two),
        (5, "rejected", two),
    ]
    errored, rejected = now["events"][1], now["events"][4]
    assert list(errored) == EVENT_KEYS
    assert {name: errored[name] for name in ("error_code", "error_message", "event_id", "occurred_at")} == {
        "error_code": "00045",
        "error_message": "no frame",
        "event_id": event_id,
        "occurred_at": "2026-11-22T10:00:01Z",
    }
    assert (rejected["stage"], rejected["action_map_version"]) == ("form", 2)
    assert now["events"][0]["timeout_seconds"] == 45
    early = offerlog(*pair, "--format", "json", "--version", "2").json
    assert "--version: the last version of this visitor-offer is 5, not 99" in offerlog.fails(
        *pair, "--version", "99"
    )
    assert early == {"known": True, "state": "errored", "version": 2, "events": now["events"][:2]}
    then = offerlog(*pair, "--format", "json", "--as-of", errored["recorded_at"]).json
    assert then == early
    before = datetime.fromisoformat(errored["recorded_at"]) - timedelta(microseconds=1)
    nothing: dict[str, object] = {"known": True, "state": None, "version": 0, "events": []}
    assert offerlog(*pair, "--format", "json", "--as-of", before.isoformat()).json == nothing
    table = offerlog(*pair).text
    assert "rejected, version 5" in table
    assert "errored (00045: no frame)" in table
    assert "rejected (form)" in table


def test_an_unknown_pair_has_no_history(offerlog: CommandLine) -> None:
    """Version 0 and no state; for people, a sentence."""
    pair = ("history", "--customer", "nobody", "--action-map", an_id())
    assert (
        offerlog(*pair, "--format", "json").text == '{"known":false,"state":null,"version":0,"events":[]}\n'
    )
    assert "Nothing is known of this visitor and action map" in offerlog(*pair).text


def test_everything_of_a_visitor_stands_in_one_time_line(offerlog: CommandLine) -> None:
    """Of one pair or over all maps: refused offers, parked signals, what ended them, refused signals."""
    # given
    one, two, three, four, action_map, other = (an_id() for _ in range(6))
    offerlog.judged(
        signal_of("offered", one, action_map, "2026-11-22T10:00:00Z"),
        signal_of("errored", one, action_map, "2026-11-22T10:00:01Z", errorCode="45"),
    )
    offerlog.judged(signal_of("offered", two, action_map, "2026-11-22T10:05:00Z"))
    offerlog.judged(signal_of("accepted", three, action_map, "2026-11-22T10:05:01Z"))
    offerlog.judged(signal_of("offered", three, action_map, "2026-11-22T10:05:02Z"))
    offerlog.judged(signal_of("offered", four, other, "2026-11-22T10:06:00Z"), {"customerId": "v1"})
    pair = ("history", "--customer", "v1", "--action-map", action_map, "--all")
    # when
    of_pair, of_visitor = offerlog(*pair, "--format", "json").lines, offerlog("visitor", "--customer", "v1")
    # then
    assert [entry["kind"] for entry in of_pair] == [
        *("offered", "errored", "offered", "signal-parked", "offer-refused", "refused", "refused")
    ]
    second = of_pair[2]
    assert second["previous_action"] == {
        "action_id": one,
        "state": "errored",
        "since": "2026-11-22T10:00:01Z",
    }
    assert of_pair[4]["blocked_by"]["action_id"] == two
    assert of_pair[4]["ended_versions"] == [of_pair[3]["version"]]
    assert len(offerlog(*pair, "--format", "json", "--limit", "3").lines) == 3
    assert offerlog(*pair, "--as-of", second["recorded_at"], "--format", "json").lines == of_pair[:3]
    words = of_visitor.text
    assert f"offered again because the action before, {one}, had errored at" in words
    assert "which suppresses nothing" in words
    assert f"offer refused: already_open, action {three}; blocked by action {two}, offered since" in words
    assert words.index(f"action map {action_map}") < words.index(f"action map {other}")
    assert words.index("action map not readable") > words.index(f"action map {other}")
    assert "signal refused: malformed (actionId: is required)" in words
    assert "There is more" in offerlog("visitor", "--customer", "v1", "--limit", "3").text
    assert "Nothing is known" in offerlog("visitor", "--customer", "nobody").text
    assert "--limit goes with --all" in offerlog.fails(*pair[:-1], "--limit", "3")
    assert "give --as-of with it" in offerlog.fails(*pair, "--version", "3")


def test_what_is_parked_is_listed_until_its_action_comes(offerlog: CommandLine) -> None:
    """As the text that came, byte for byte."""
    action, action_map = an_id(), an_id()
    early = (
        ndjson(signal_of("accepted", action, action_map, customerId="é\0")).strip().replace(b'": ', b'" :  ')
    )
    assert "parked" in offerlog("record", "-", given=early).text
    [kept] = offerlog("parked").lines
    assert list(kept) == KEPT_KEYS
    assert (kept["reason"], kept["field"], kept["cause"]) == (None, None, None)
    assert kept["signal"] == early.decode()
    offerlog.judged(signal_of("offered", action, action_map, customerId="é\0"))
    assert offerlog("parked").raw == b""
    assert offerlog("refusals").raw == b""


def test_refusals_keep_the_text_that_came(offerlog: CommandLine) -> None:
    """Filtered by reason and time; bytes that are no text and lone surrogates are spelt out."""
    surrogate = b'{"customerId": "\\ud800"}'
    given = b"\xff\xfe raw\n" + surrogate + b"\n" + ndjson(signal_of("completed", an_id(), an_id()))
    offerlog("record", "-", given=given)
    first, second, third = offerlog("refusals").lines
    assert list(first) == KEPT_KEYS
    assert (first["reason"], first["signal"]) == ("malformed", "\\xff\\xfe raw")
    assert second["signal"] == surrogate.decode()
    assert (third["reason"], third["field"]) == ("not_tracked", None)
    assert len(offerlog("refusals", "--reason", "malformed").lines) == 2
    assert offerlog("refusals", "--reason", "not_legal").raw == b""
    of_visitor = ("refusals", "--customer", "v1")
    assert offerlog(*of_visitor).lines == [third]
    assert offerlog(*of_visitor, "--action-map", an_id()).raw == b""
    assert offerlog(*of_visitor, "--customer-type", "email").raw == b""
    assert offerlog("refusals", "--newest-first").lines == [third, second, first]
    at = first["recorded_at"]
    assert len(offerlog("refusals", "--since", at).lines) == 3
    later = (datetime.fromisoformat(at) + timedelta(days=1)).date().isoformat()
    assert offerlog("refusals", "--since", later).raw == b""


def test_a_reader_that_has_enough_ends_it_quietly(offerlog: CommandLine) -> None:
    """`offerlog refusals | head -1`: no message, no failure, however much is left."""
    offerlog("record", "-", given=b'{"a": "%s"}\n' % (b"x" * 200) * 3000)
    for reader in ("head -1", "true"):
        run = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {COMMAND} refusals | {reader}"],
            capture_output=True,
            env=offerlog.environment,
            check=True,
            timeout=60,
        )
        assert run.stderr == b""
        assert reader == "true" or json.loads(run.stdout)["reason"] == "malformed"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("refusals", "--since", "soon"), "--since 'soon' is not a time"),
        (("refusals", "--reason", "no"), "'no' is not one of 'malformed', 'not_tracked'"),
        (
            ("history", "--customer", "v", "--action-map", "7"),
            "--action-map: '7' is neither the id nor the name of an action map",
        ),
        (
            (
                "history",
                "--customer",
                "v",
                "--action-map",
                an_id(),
                "--version",
                "1",
                "--as-of",
                "2026-01-01",
            ),
            "give --version or --as-of, not both",
        ),
        (("history", "--customer", "v", "--action-map", an_id(), "--version", "-1"), "'--version'"),
    ],
)
def test_what_cannot_be_looked_up(offerlog: CommandLine, words: tuple[str, ...], complaint: str) -> None:
    """Wrong usage, in one line that names the option."""
    assert complaint in offerlog.fails(*words)


def test_refusals_are_counted_by_reason(offerlog: CommandLine) -> None:
    """A table for people, one object for programs, and wrong combinations are errors."""
    action, action_map = an_id(), an_id()
    offerlog.judged(
        {"actionState": "offered"},
        {"no": "signal"},
        signal_of("completed", action, action_map, "2026-11-22T10:00:00Z"),
    )
    table = offerlog("refusals", "--count").text
    assert table.splitlines()[0].rstrip() == "Refused signals of all time"
    assert [line.split() for line in table.splitlines()[-3:]] == [
        ["malformed", "2"],
        ["not_tracked", "1"],
        ["all", "3"],
    ]
    counted = offerlog("refusals", "--count", "--since", "2026-11-22", "--format", "json").json
    assert counted == {
        "since": "2026-11-22T00:00:00Z",
        "until": None,
        "refusals": 3,
        "reasons": [{"reason": "malformed", "refusals": 2}, {"reason": "not_tracked", "refusals": 1}],
    }
    assert "No signal" in offerlog("refusals", "--count", "--until", "2020-01-01").text
    assert offerlog("refusals", "--until", "2020-01-01").text == ""
    for wrong in (
        ("--count", "--reason", "malformed"),
        ("--count", "--customer", "v"),
        ("--since", "2026-01-02", "--until", "2026-01-02"),
    ):
        assert offerlog("refusals", *wrong, code=2).text == ""
