"""The checker complains: each test doctors a clean run, and sees what was doctored found."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest

from soak import fold, shown
from soak.checker import check
from soak.evidence import Attempt, Evidence, SentSignal, attempts_of, told_by
from soak.history import ANSWERED, DECLINED, SENT, UNKNOWN, Entry
from soak.log_copy import Logged
from soak.policies import PolicyKey
from soak.traffic import MAPS
from soak.visitor_copies import Visitor, stream_of

Found = TypeVar("Found")

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIRST_RECORDED = {"anna": NOON + timedelta(minutes=101), "bert": NOON + timedelta(minutes=103)}
TOKENS = {
    who: int(at.timestamp()) << 28 | 0x8000 | len(who) + ord(who[0]) for who, at in FIRST_RECORDED.items()
}
STREAMS = {who: str(stream_of(token, MAPS[0])) for who, token in TOKENS.items()}
FIRST, SECOND = str(UUID(int=11)), str(UUID(int=12))
BLOCKED = str(UUID(int=13))


def report(state: str, visitor: str = "anna", action: str = FIRST, minute: int = 0, **more: str) -> str:
    """A report's text."""
    at = (NOON + timedelta(minutes=minute)).isoformat()
    wire = {"customerId": visitor, "sessionId": SESSION, "actionId": action, "actionState": state}
    wire |= {"actionMapId": MAPS[0], "eventId": event_id(action, state), "createdDate": at, **more}
    return str(wire).replace("'", '"')


SESSION = str(UUID(int=5))
ASKED = {"customerId": "bert", "customerIdType": "cookie", "actionMapId": MAPS[0], "sessionId": SESSION}


def event_id(action: str, state: str) -> str:
    """The id of the report that an action reached a state."""
    return str(UUID(int=UUID(action).int * 1_000 + len(state)))


def logged(position: int, version: int, text: str, kind: str | None = None) -> Logged:
    """The event that the log holds of a report."""
    sent_signal = told_by("alpha", text)
    assert isinstance(sent_signal, SentSignal)
    assert sent_signal.at is not None
    return Logged(
        position,
        STREAMS[sent_signal.pair.customer],
        version,
        kind or sent_signal.state,
        sent_signal.pair,
        sent_signal.session,
        sent_signal.action,
        NOON + timedelta(minutes=100 + position),
        sent_signal.at,
        sent_signal.state,
        sent_signal.event_id,
        stage="invitation" if sent_signal.state == "rejected" else None,
        reason="terminal_state" if kind == "offer-refused" else None,
        number=1 if kind is None else None,
        offered_at=NOON if kind is None else None,
        blocked_by=(FIRST, "rejected") if kind == "offer-refused" else None,
        ended=(2,) if kind is None and sent_signal.state == "started" else (),
        raw=text if kind == "signal-parked" else None,
        nonce=position.to_bytes(12, "big"),
    )


def visitor(who: str) -> Visitor:
    """The row of a visitor."""
    digest = UUID(int=ord(who[0]))
    return Visitor(TOKENS[who], "alpha", "cookie", who, digest, digest, who.encode())


OFFERED, REJECTED = report("offered"), report("rejected", minute=1)
AGAIN = report("offered", action=SECOND, minute=50)
BERTS, EARLY = report("offered", "bert", BLOCKED), report("started", "bert", BLOCKED, 3)
LOST = report("accepted", "bert", BLOCKED, 2)


def entries() -> list[Entry]:
    """The clients' histories: signals answered in every way, one unknown and sent again, one declined."""
    sent: list[tuple[str, list[str], str, list[list[str | None]]]] = [
        ("a-1", [OFFERED, REJECTED], ANSWERED, [["recorded", None], ["recorded", None]]),
        ("a-2", [REJECTED, AGAIN], ANSWERED, [["duplicate", None], ["refused", "terminal_state"]]),
        ("b-1", [BERTS, EARLY], UNKNOWN, []),
        ("b-2", [BERTS, EARLY], ANSWERED, [["duplicate", None], ["duplicate", None]]),
        ("b-3", [LOST], DECLINED, []),
        ("b-4", [LOST], ANSWERED, [["recorded", None]]),
    ]
    found: list[Entry] = []
    for at, (request, signals, fate, outcomes) in enumerate(sent):
        again = {"b-2": "b-1", "b-4": "b-3"}.get(request)
        found.append({"at": at, "kind": SENT, "request": request, "way": "service-1", "again": again})
        found[-1] |= {"organization": "alpha", "signals": signals}
        found.append({"at": at + 0.5, "kind": fate, "request": request, "outcomes": outcomes})
    return found


@pytest.fixture
def clean() -> Evidence:
    """A run with two visitor-offers in which all is well: every reader shows what the log holds."""
    log = [
        logged(1, 1, OFFERED),
        logged(2, 2, REJECTED),
        logged(3, 1, BERTS),
        logged(4, 2, EARLY, "signal-parked"),
        logged(6, 3, AGAIN, "offer-refused"),  # position 5 was drawn and given up
        logged(7, 3, LOST),
        logged(8, 4, EARLY),
    ]
    evidence = Evidence(attempts_of(entries()), log)
    show(evidence)
    evidence.refusals = [("alpha", "terminal_state", AGAIN)]
    evidence.verified = 0, "they are the same"
    evidence.visitors = [visitor("anna"), visitor("bert")]
    assert check(evidence) == []
    return evidence


def show(evidence: Evidence) -> None:
    """Let all readers show what the log holds."""
    log = evidence.log
    evidence.tailed = [(one.position, one.stream, one.version) for one in log]
    evidence.current, evidence.actions = shown.current_offers(log), shown.current_actions(log)
    evidence.waiting = shown.waiting(log)
    evidence.suppressed, evidence.replica = fold.suppressed(log), fold.suppressed(log)
    evidence.reports = deepcopy(fold.figures(log))
    evidence.streamed = {"alpha": deepcopy(evidence.reports["alpha", "actions", "event", None])}


def kinds(evidence: Evidence) -> set[tuple[str, str]]:
    """What the checker found: check and kind."""
    return {(one.check, one.kind) for one in check(evidence)}


def test_an_acknowledged_event_that_the_log_lacks_is_lost(clean: Evidence) -> None:
    """Also where versions have no gap: it was the last of its stream, and all readers agree with the log."""
    # given
    clean.log = [one for one in clean.log if one.kind != "started"]
    show(clean)
    clean.log[-1] = replace(clean.log[-1], event_id=event_id(FIRST, "engaged"))  # somebody else's
    # when
    found = check(clean)
    # then
    assert ("acknowledged outcomes", "lost") in {(one.check, one.kind) for one in found}
    assert any("b-4 was answered recorded" in one.what for one in found)
    assert ("unsent events", "contradicted") in {(one.check, one.kind) for one in found}


def test_an_event_that_is_in_the_log_twice_is_doubled(clean: Evidence) -> None:
    """Under another version, as two writers would do who both thought that they were first."""
    # when
    clean.log.append(replace(clean.log[6], position=9, version=5, ended=(), nonce=b"another"))
    show(clean)
    # then
    assert kinds(clean) == {("doubled events", "doubled"), ("order of the log", "contradicted")}


def test_an_offer_to_a_suppressed_visitor_is_found(clean: Evidence) -> None:
    """By the log's own order; its own acknowledgement does not excuse it."""
    # when
    clean.log[4] = logged(6, 3, AGAIN)
    show(clean)
    # then
    violations = [one.what for one in check(clean) if one.check == "order of the log"]
    assert len(violations) == 1
    assert f"offered while terminal_state: rejected of {FIRST}" in violations[0]


@pytest.mark.parametrize(("minutes", "found"), [(10, {("order of the log", "contradicted")}), (2, set())])
def test_an_offer_behind_a_cool_down_is_judged_by_the_policy(
    clean: Evidence, minutes: int, found: set[tuple[str, str]]
) -> None:
    """It is right once the time of the policy is over, and ends the row of the suppression list."""
    # given
    key = PolicyKey("alpha", clean.log[1].pair.action_map, "rejected")
    clean.policies = {key: timedelta(minutes=minutes)}
    since = clean.log[1].occurred
    # when
    again = logged(6, 3, AGAIN)
    clean.log[4] = replace(again, occurred=since + timedelta(minutes=5), number=2)
    clean.log[4] = replace(clean.log[4], offered_at=clean.log[4].occurred)
    # then
    assert {(one.check, one.kind) for one in check(clean) if one.check == "order of the log"} == found
    assert fold.suppressed(clean.log) == Counter()


def test_a_gap_in_the_versions_is_found(clean: Evidence) -> None:
    """And what was acknowledged in the gap."""
    # when
    del clean.log[1]
    show(clean)
    # then
    assert {("versions", "lost"), ("acknowledged outcomes", "lost")} <= kinds(clean)


def test_an_event_that_nobody_sent_is_found(clean: Evidence) -> None:
    """Not even a part of a report may differ from what was sent."""
    # when
    clean.log[0] = replace(clean.log[0], session=FIRST)
    # then
    assert ("unsent events", "contradicted") in kinds(clean)


def test_an_offer_that_was_made_must_be_in_the_log(clean: Evidence) -> None:
    """And one that was blocked must not be."""
    # given
    more = entries()
    for n, (action, decision) in enumerate(((SECOND, "offered"), (BLOCKED, "blocked"))):
        asked = {"request": f"c-{n}", "way": "", "organization": "alpha"}
        more.append({"at": 20 + n, "kind": SENT, **asked, "offer": ASKED | {"actionId": action}})
        answer = {"decision": decision, "action_id": action}
        more.append({"at": 20.5 + n, "kind": ANSWERED, "request": f"c-{n}", **answer})
    # when
    clean.attempts = attempts_of(more)
    # then
    found = {
        (one.kind, one.what.split(": ")[-1]) for one in check(clean) if one.check == "acknowledged offers"
    }
    assert ("lost", "made, and the log has no such event") in found
    assert ("contradicted", "blocked, and in the log") in found


def test_a_signal_that_was_acknowledged_as_recorded_twice_is_found(clean: Evidence) -> None:
    """The second one should have been a duplicate."""
    # when
    clean.attempts[1].outcomes = (("recorded", None), clean.attempts[1].outcomes[1])
    # then
    assert kinds(clean) == {("acknowledged outcomes", "contradicted")}


def test_a_declined_request_that_was_taken_all_the_same_is_found(clean: Evidence) -> None:
    """Sent again, its signal should have been recorded; behind an unknown outcome a duplicate is right."""
    # when
    clean.attempts[5].outcomes = (("duplicate", None),)
    # then
    assert kinds(clean) == {("declined requests", "contradicted")}


def test_a_signal_may_be_a_duplicate_of_an_offer_that_was_asked_for(clean: Evidence) -> None:
    """Although its own request was declined: the log knows the action by then, made or blocked."""
    for attempt in clean.attempts[4:6]:
        attempt.signals = (report("offered", "bert", SECOND),)
    clean.attempts[5].outcomes = (("duplicate", None),)
    before = kinds(clean)
    clean.attempts += [Attempt("c-1", "", "alpha", 9, offer=ASKED | {"actionId": SECOND})]
    assert before - kinds(clean) == {("declined requests", "contradicted")}


def test_a_position_that_a_client_is_told_again_is_found(clean: Evidence) -> None:
    """One request after the other is told a later one."""
    # when
    clean.attempts[0].position = clean.attempts[1].position = 2
    # then
    assert kinds(clean) == {("positions", "contradicted")}


def known(found: Found | None) -> Found:
    """What a clean run's evidence has."""
    assert found is not None
    return found


def change(evidence: Evidence, at: int, **fields: Any) -> None:
    """Give an event other fields."""
    evidence.log[at] = replace(evidence.log[at], **fields)


DOCTORED: dict[str, tuple[Callable[[Evidence], object], tuple[str, str]]] = {
    "a refusal is lost": (
        lambda e: known(e.refusals).clear(),
        ("acknowledged outcomes", "lost"),
    ),
    "a refusal is doubled": (
        lambda e: known(e.refusals).extend(known(e.refusals) * 2),
        ("refusal log", "doubled"),
    ),
    "a tailing reader misses an event": (lambda e: known(e.tailed).pop(2), ("tailing reader", "lost")),
    "a tailing reader is shown one twice": (
        lambda e: known(e.tailed).append(known(e.tailed)[-1]),
        ("tailing reader", "doubled"),
    ),
    "a tailing reader is shown another order": (
        lambda e: known(e.tailed).reverse(),
        ("tailing reader", "contradicted"),
    ),
    "a suppression is not shown": (lambda e: known(e.suppressed).clear(), ("suppression list", "lost")),
    "the replica lacks a suppression": (lambda e: known(e.replica).clear(), ("local replica", "lost")),
    "the current state is an old one": (lambda e: known(e.current).pop(), ("current state", "lost")),
    "an action has an old state": (lambda e: known(e.actions).pop(), ("current actions", "lost")),
    "a signal waits that does not": (
        lambda e: known(e.waiting).update(shown.waiting(e.log[3:4])),
        ("parked signals", "contradicted"),
    ),
    "a sealed part does not open": (
        lambda e: e.unopened.append("offered.2 at position 1"),
        ("sealed parts", "lost"),
    ),
    "a nonce is used twice": (
        lambda e: change(e, 1, nonce=e.log[0].nonce),
        ("sealed parts", "contradicted"),
    ),
    "a visitor is missing": (lambda e: known(e.visitors).pop(), ("visitors", "lost")),
    "a visitor has two rows": (
        lambda e: known(e.visitors).append(replace(known(e.visitors)[0], nonce=b"another")),
        ("visitors", "doubled"),
    ),
    "a visitor without events": (
        lambda e: known(e.visitors).append(replace(visitor("anna"), token=0x8001, who="carl", nonce=b"")),
        ("visitors", "contradicted"),
    ),
    "a visitor has the digest of another": (
        lambda e: known(e.visitors).append(replace(known(e.visitors).pop(), digest=UUID(int=9))),
        ("visitors", "contradicted"),
    ),
    "an event names no parked signal that it ends": (
        lambda e: change(e, 6, ended=()),
        ("order of the log", "contradicted"),
    ),
    "an action has another number": (
        lambda e: change(e, 6, number=2),
        ("order of the log", "contradicted"),
    ),
    "a report counts twice": (
        lambda e: known(e.reports)["alpha", "actions", "event", None][MAPS[0]].update(["offered"]),
        ("report ('alpha', 'actions', 'event', None)", "doubled"),
    ),
    "a report lacks an hour": (
        lambda e: known(e.reports).pop(("alpha", "visitors", "offered", NOON.isoformat())),
        (f"report {('alpha', 'visitors', 'offered', NOON.isoformat())}", "lost"),
    ),
    "a stream lags at its end": (
        lambda e: known(e.streamed)["alpha"][MAPS[0]].subtract(["offered"]),
        ("stream of changes of alpha", "lost"),
    ),
    "the proofs differ": (
        lambda e: setattr(e, "verified", (1, "they differ")),
        ("projections verify --contents", "other"),
    ),
    "a process has ended by itself": (
        lambda e: e.seen.append(("processes", "service-1 ended by itself with code 1")),
        ("processes", "other"),
    ),
}


@pytest.mark.parametrize("what", DOCTORED)
def test_what_a_reader_shows_wrongly_is_found(clean: Evidence, what: str) -> None:
    """One thing at a time; nothing else is complained about."""
    # given
    doctor, expected = DOCTORED[what]
    # when
    doctor(clean)
    # then
    assert kinds(clean) == {expected}


def test_an_empty_report_is_no_report(clean: Evidence) -> None:
    """Nothing shown is everything lost."""
    # when
    clean.reports, clean.streamed = {}, {"alpha": {MAPS[0]: Counter()}}
    # then
    assert {kind for _, kind in kinds(clean)} == {"lost"}
    assert len(kinds(clean)) == 9


def test_a_stream_that_is_not_its_visitors_is_found(clean: Evidence) -> None:
    """The id has the token, but the hash of another action map."""
    # given
    wrong = str(stream_of(TOKENS["anna"], MAPS[1]))
    # when
    clean.log = [replace(one, stream=wrong) if one.pair.customer == "anna" else one for one in clean.log]
    show(clean)
    # then
    assert kinds(clean) == {("stream ids", "contradicted")}


def test_a_token_of_another_second_is_found(clean: Evidence) -> None:
    """It is that of the visitor's first event, or of one that was decided soon after it."""
    # given
    clean.log[2] = replace(clean.log[2], recorded=clean.log[2].recorded - timedelta(seconds=61))
    # when
    show(clean)
    # then
    assert kinds(clean) == {("visitors", "contradicted")}
