"""`offerlog offer`, `eligibility`, `suppressions`: what may be offered to whom."""

import pytest

from support.command_line import CommandLine, an_id, signal_of

SESSION = "11111111-1111-4111-8111-111111111111"
AT = "2026-11-22T10:00:00.250Z"


def test_one_offer_at_a_time(offerlog: CommandLine) -> None:
    """Offered once, then blocked by the open action; the same action id again gets the same decision."""
    mine, other, action_map = an_id(), an_id(), an_id()
    ask = ("offer", "--customer", "v1", "--action-map", action_map, "--session", SESSION)
    first = offerlog(*ask, "--action", mine, "--timeout-seconds", "60", "--action-map-version", "3")
    nothing = dict.fromkeys(("reason", "state", "since", "blocking_action_id"))
    assert first.json == {"decision": "offered", "action_id": mine, **nothing}
    assert list(first.json) == ["decision", "action_id", *nothing]
    retried = offerlog(*ask, "--action", mine, "--timeout-seconds", "60", "--action-map-version", "3")
    assert retried.raw == first.raw
    blocked = offerlog(*ask, "--action", other).json
    since = blocked.pop("since")
    assert since.endswith("Z")
    assert blocked == {
        "decision": "blocked",
        "action_id": other,
        "reason": "already_open",
        "state": "offered",
        "blocking_action_id": mine,
    }
    assert offerlog(*ask).json["action_id"] is None
    told_why = offerlog("eligibility", "--customer", "v1", "--action-map", action_map).json
    assert told_why == {
        "eligible": False,
        "known": True,
        "reason": "already_open",
        "state": "offered",
        "action_id": mine,
        "since": since,
    }
    event = offerlog("history", "--customer", "v1", "--action-map", action_map, "--format", "json").json
    assert [(one["action_map_version"], one["timeout_seconds"]) for one in event["events"]] == [(3, 60)]


def test_a_terminal_state_suppresses_for_good(offerlog: CommandLine) -> None:
    """Listed by visitor and by map, in one form; told by eligibility and by offer."""
    action, action_map = an_id(), an_id()
    offerlog.judged(*(signal_of(state, action, action_map, AT) for state in ("offered", "ignored")))
    listed = {
        "customer_id": "v1",
        "customer_id_type": "cookie",
        "action_map_id": action_map,
        "state": "ignored",
        "action_id": action,
        "since": "2026-11-22T10:00:00.250000Z",
        "until": None,
    }
    by_visitor = offerlog("suppressions", "--customer", "v1")
    assert by_visitor.lines == [listed]
    assert list(by_visitor.lines[0]) == list(listed)
    assert offerlog("suppressions", "--action-map", action_map.upper()).raw == by_visitor.raw
    assert offerlog("suppressions", "--customer", "v1", "--customer-type", "email").raw == b""
    pair = ("--customer", "v1", "--action-map", action_map)
    told_why = {name: listed[name] for name in ("state", "action_id", "since")}
    asked = offerlog("eligibility", *pair).json
    assert asked == {"eligible": False, "known": True, "reason": "terminal_state", **told_why}
    decision = offerlog("offer", *pair, "--session", SESSION).json
    assert (decision["decision"], decision["reason"]) == ("blocked", "terminal_state")
    assert decision["blocking_action_id"] == action


def test_a_stranger_is_eligible(offerlog: CommandLine) -> None:
    """All else is null; asking records nothing. That nobody knows them is said: the id may be misspelled."""
    words = ("eligibility", "--customer", "nobody", "--action-map", an_id())
    answer = offerlog(*words)
    nothing = dict.fromkeys(("reason", "state", "action_id", "since"))
    assert answer.json == {"eligible": True, "known": False, **nothing}
    assert offerlog(*words).raw == answer.raw
    history = ("history", *words[1:])
    assert "Nothing is known of this visitor and action map" in offerlog(*history).text
    assert offerlog(*history, "--format", "json").json == {
        "known": False, "state": None, "version": 0, "events": [],
    }  # fmt: skip
    action = an_id()
    offerlog.judged(
        *(signal_of(state, action, words[-1], AT, customerId="nobody") for state in ("offered", "errored"))
    )
    assert offerlog(*words).json == {"eligible": True, "known": True, **nothing}


def test_a_lapsed_action_blocks_no_longer(offerlog: CommandLine) -> None:
    """`OFFERLOG_OPEN_ACTION_TTL=0`: an open action never stands in the way."""
    words = ("offer", "--customer", "v1", "--action-map", an_id(), "--session", SESSION)
    impatient = offerlog.with_settings(OFFERLOG_OPEN_ACTION_TTL="0")
    assert [impatient(*words).json["decision"] for _ in range(2)] == ["offered", "offered"]
    assert offerlog(*words).json["decision"] == "blocked"


def test_organizations_do_not_see_each_other(offerlog: CommandLine) -> None:
    """The same ids under another name: nothing is known; the option beats the environment."""
    action, action_map = an_id(), an_id()
    signals = [signal_of(state, action, action_map, AT) for state in ("offered", "rejected")]
    offerlog.judged(*signals)
    other = ("--organization", f"{offerlog.organization}-b")
    offerlog.judged(signal_of("offered", an_id(), an_id(), AT, customerId="v2"), options=other)
    assert offerlog("suppressions", "--customer", "v1", *other).raw == b""
    assert offerlog(*other, "suppressions", "--action-map", action_map).raw == b""
    assert len(offerlog("report", "--format", "json", *other).json["rows"]) == 1
    assert [line["outcome"] for line in offerlog.judged(*signals, options=other)] == ["recorded"] * 2
    assert len(offerlog("suppressions", "--customer", "v1", *other).lines) == 1


@pytest.mark.parametrize("customer", ["a\0b", "\u202eb\U0001f600", " ", "x" * 256])
def test_a_customer_id_is_any_text(offerlog: CommandLine, customer: str) -> None:
    """Kept and printed as it came, a NUL too."""
    action, action_map = an_id(), an_id()
    signals = [
        signal_of(state, action, action_map, AT, customerId=customer) for state in ("offered", "timedout")
    ]
    assert [line["outcome"] for line in offerlog.judged(*signals)] == ["recorded", "recorded"]
    listed = offerlog("suppressions", "--action-map", action_map).lines
    assert [one["customer_id"] for one in listed] == [customer]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("offer", "--customer", "v", "--action-map", "7", "--session", SESSION), "--action-map: "),
        (("offer", "--customer", "", "--action-map", SESSION, "--session", SESSION), "--customer: "),
        (("offer", "--customer", "v", "--action-map", SESSION, "--session", "7"), "--session: "),
        (
            ("offer", "--customer", "v", "--action-map", SESSION, "--session", SESSION, "--action", "7"),
            "--action: ",
        ),
        (
            (
                *("offer", "--customer", "v", "--action-map", SESSION, "--session", SESSION),
                *("--timeout-seconds", "0"),
            ),
            "--timeout-seconds: ",
        ),
        (("eligibility", "--customer", "v" * 257, "--action-map", SESSION), "--customer: "),
        (("suppressions",), "give either --customer or --action-map"),
        (("suppressions", "--customer", "v", "--action-map", SESSION), "give either --customer"),
        (("suppressions", "--customer", ""), "--customer: "),
        (("suppressions", "--customer", "\udcff"), "'--customer': "),
        (("suppressions", "--action-map", "7"), "--action-map: "),
    ],
)
def test_what_cannot_be_asked(offerlog: CommandLine, words: tuple[str, ...], error: str) -> None:
    """Wrong usage, in one line that names the option."""
    assert error in offerlog.fails(*words)


def test_every_customer_id_can_be_asked_for(offerlog: CommandLine) -> None:
    """As it stands: what steers addresses, lines or options elsewhere is part of the id here."""
    # given
    odd = ["one\ntwo", "..", "-x", "\U0001f600" * 256]
    action_map = an_id()
    signals = [
        signal_of(state, action, action_map, AT, customerId=who)
        for who in odd
        for action in (an_id(),)
        for state in ("offered", "rejected")
    ]
    # when
    offerlog.judged(*signals)
    # then
    for who in odd:
        visitor = f"--customer={who}"
        found = offerlog("suppressions", visitor).lines
        assert [one["customer_id"] for one in found] == [who]
        assert offerlog("eligibility", visitor, "--action-map", action_map).json["reason"] == "terminal_state"
        assert (
            offerlog("history", visitor, "--action-map", action_map, "--format", "json").json["version"] == 2
        )
