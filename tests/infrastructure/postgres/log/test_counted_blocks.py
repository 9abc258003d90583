"""Processes that count the same blocked offers at once, one of them killed: each block is counted once."""

import json
import subprocess
from collections import Counter
from typing import Any, Final

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_infrastructure.composition import SCHEMA
from support.journeys import an_id, signal
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import contents, rows

EVENTS: Final = 160
CROWDED: Final = 20
"""Action ids that a crowded visitor-offer refuses."""

BATCH: Final = 4

_REPORTS: Final = """
import json, random, sys
from offerlog_infrastructure.composition import open_offerlog
from support.journeys import an_id, signal

seed, events, crowded, batch = map(int, sys.argv[2:])
chance = random.Random(seed)
order = chance.sample(range(events), events)
actions = chance.sample(range(1_000, 1_000 + crowded), crowded)
names = {"customer_id": "visitor-1", "action_map_id": an_id("map"), "session_id": an_id("session", 1)}
with open_offerlog(database_url=sys.argv[1], keep_deadlines=False, project=False) as service:
    for start in range(0, events, batch):
        receipt = service.record([
            {
                "id": an_id("blocked", event),
                "eventType": "BlockedWebActionOfferEvent",
                "customerId": f"visitor-{event % 7}",
                "blockedWebActionOfferEvent": {
                    "actionMap": {"id": an_id("map", event % 3)}, "blockingReason": f"Reason{event % 2}"
                },
            }
            for event in order[start:start + batch]
        ])
        service.offer(**names)
        if actions:
            service.offer(**names, action_id=an_id("crowded", actions.pop()))
        print(json.dumps([[one.event_id, one.kind.value] for one in receipt.outcomes]), flush=True)
"""
"""After each batch of events, a request without an action id and one with, all of which are blocked."""


def start(dsn: str, seed: int) -> LimitedProcess:
    """Start a process that reports everything, in an order of its own."""
    arguments = [str(one) for one in (seed, EVENTS, CROWDED, BATCH)]
    return LimitedProcess([*preloaded_code(_REPORTS), dsn, *arguments], stdout=subprocess.PIPE)


def counted(offerlog: Offerlog) -> Counter[str]:
    """The number of blocked offers by reason, as the report has it."""
    offerlog.catch_up()
    made = offerlog.analysis.blocked_offers(ReportQuery(offerlog.organization))
    return Counter({str(one.reason): one.blocked for one in made.reasons})


def test_processes_count_each_block_once_although_one_is_killed(offerlog: Offerlog, dsn: str) -> None:
    """The killed one sends everything again; tallies are in the log once, and a rebuild agrees."""
    # given
    ended: list[dict[str, object]] = [signal("offered"), signal("rejected")]
    offerlog.record([*ended, *(signal("offered", action=100 + n) for n in range(64))])
    before = counted(offerlog)
    assert before == {"terminal_state": 64}
    answers: Counter[tuple[str, str]] = Counter()
    batches = 0

    def note(lines: list[bytes]) -> None:
        nonlocal batches
        whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
        batches += len(whole)
        answers.update((event, kind) for outcomes in whole for event, kind in outcomes)

    # when
    with start(dsn, 1) as killed, start(dsn, 2) as second, start(dsn, 3) as third:
        first = [killed.stdout.readline() for _ in range(8)] if killed.stdout else []
        killed.kill()
        note([*first, *(killed.stdout or [])])
        killed.wait(60)
        for process in (second, third):
            note([*(process.stdout or [])])
            assert process.wait(60) == 0
    with start(dsn, 1) as again:
        note([*(again.stdout or [])])
        assert again.wait(60) == 0
    # then
    found = counted(offerlog)
    assert found["Reason0"] + found["Reason1"] == EVENTS
    assert {event for event, _ in answers} == {an_id("blocked", n) for n in range(EVENTS)}
    assert max(answers[event, "recorded"] for event, _ in answers) == 1
    requests = found["terminal_state"] - before["terminal_state"] - CROWDED
    assert batches <= requests <= batches + 1, "one answer of the killed process may be lost"
    assert rows(dsn, "SELECT count(*) FROM counted_blocks") == [(EVENTS + CROWDED,)]
    check_log(offerlog, dsn)


def check_log(offerlog: Offerlog, dsn: str) -> None:
    """A rebuild gives the same rows, each projection has each event once, and every event can be read."""
    offerlog.catch_up()
    live = contents(dsn)
    offerlog.rebuild()
    assert contents(dsn) == live
    assert not [one for one in offerlog.verify() if one.differences]
    assert {kind.error for kind in offerlog.stored_kinds()} == {None}
    streams: list[tuple[Any, ...]] = rows(
        dsn,
        "SELECT min(originator_version), max(originator_version) - count(*) FROM offerlog_events"
        " WHERE topic = 'blocked-tally.2' GROUP BY originator_id",
    )
    assert len(streams) >= 4, "each process has a stream of its own"
    assert {*streams} == {(1, 0)}


@pytest.mark.parametrize("commits", [True, False])
def test_a_hanging_count_of_the_same_name_holds_up_nothing_else(
    offerlog: Offerlog,
    dsn: str,
    commits: bool,  # noqa: FBT001 - pytest's way
) -> None:
    """Another process is about to count it: this one waits for the end of that transaction, others do not."""
    # given
    names = ("SELECT organization, visitor_digest, digest, recorded_at FROM counted_blocks",)
    first, second = (event_of(n) for n in (1, 2))
    offerlog.record([first])
    (name,) = rows(dsn, *names)
    rows(dsn, "DELETE FROM counted_blocks")
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as other:
        other.execute(
            "INSERT INTO counted_blocks (organization, visitor_digest, digest, recorded_at)"
            " VALUES (%s, %s, %s, %s)",
            name,
        )
        # when
        waiting = offerlog.submit([first])
        (outcome,) = offerlog.record([second]).outcomes
        # then
        assert outcome.kind.value == "recorded"
        assert not waiting.done()
        (other.commit if commits else other.rollback)()
    (outcome,) = waiting.result(60).outcomes
    assert outcome.kind.value == ("duplicate" if commits else "recorded")
    assert counted(offerlog) == {"FrequencyCapping": 2 if commits else 3}


def event_of(number: int) -> dict[str, object]:
    """The vendor's event of a blocked offer to a visitor of that number."""
    return {
        "id": an_id("blocked", number),
        "eventType": "BlockedWebActionOfferEvent",
        "customerId": f"visitor-{number}",
        "blockedWebActionOfferEvent": {
            "actionMap": {"id": an_id("map")},
            "blockingReason": "FrequencyCapping",
        },
    }
