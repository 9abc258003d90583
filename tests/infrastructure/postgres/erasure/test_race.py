"""One process erases a visitor again and again, while another one records that visitor at full speed."""

import json
import os
import subprocess
from contextlib import suppress
from typing import Final

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import NoSuchVisitorError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.metrics import MetricSet
from offerlog_domain.transparency.leaves import is_blanked, split_state
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.recount import contents, rows

ERASURES: Final = int(os.environ.get("OFFERLOG_SOAK_ERASURES", "10"))
"""How often the visitor is erased: a few times in CI, 10,000 times in `make soak-erase`."""

_LONG: Final = 100
"""From so many on, the other process also runs without dawdling, which makes the most events."""

_SECONDS: Final = 60 + ERASURES
VISITOR: Final = "visitor-0"

_RECORDS: Final = """
import json, sys, threading
from collections import Counter, deque
from offerlog_infrastructure.composition import open_offerlog
from support.journeys import an_id, signal

over, counts, waiting, number = threading.Event(), Counter(), deque(), 0
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
with open_offerlog(database_url=sys.argv[1], keep_deadlines=False, project=False) as service:
    while not over.is_set() or waiting:
        if not over.is_set():
            number += 1
            one_map = an_id("map", number % 40_009)
            batch = [
                signal("offered", visitor=0, action=number, actionMapId=one_map),
                signal("rejected", visitor=0, action=number, actionMapId=one_map),
                signal("accepted", visitor=0, action=-number, actionMapId=one_map),
                signal("offered", visitor=0, sessionId="no id", action=number),
                signal("offered", visitor=number % 50 + 1, action=number, actionMapId=one_map),
                {
                    "id": an_id("blocked", number),
                    "eventType": "BlockedWebActionOfferEvent",
                    "customerId": "visitor-0",
                    "blockedWebActionOfferEvent": {
                        "actionMap": {"id": an_id("map")}, "blockingReason": "Unknown"
                    },
                },
            ]
            waiting.append(service.submit(batch))
        if len(waiting) > 16 or over.is_set():
            receipt = waiting.popleft().result(60)
            for name, outcome in zip(("of", "of", "of", "refused", "others", "blocked"), receipt.outcomes):
                counts[name, outcome.kind.value] += 1
print(json.dumps([[*name, count] for name, count in counts.items()]))
"""
"""Two events, a parked signal, a refusal and a blocked offer of the visitor, and an event of another one.

A report has at most 50,000 rows. No life lasts until a map comes again, and no other visitor meets one twice:
50 and 40,009 have no common factor.
"""

_DAWDLE: Final = """
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(random() * 0.003); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER dawdle_behind_the_look AFTER INSERT ON offerlog_events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()
"""
"""What is deferred happens inside COMMIT: between a writer's look at the epoch and its commit."""

_SELECT_OF_ERASED = """
    SELECT e.notification_id, t.position, t.token, e.topic, e.state
    FROM offerlog_events e JOIN erased_visitors t
        ON t.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
"""
_COUNT_OF_OTHERS = """
    SELECT count(*) FROM offerlog_events e JOIN visitors v
        ON v.token = ('x' || left(replace(e.originator_id::text, '-', ''), 16))::bit(64)::bigint
"""
_COUNT_LEFT = """
    SELECT (SELECT count(*) FROM erasing_visitors),
        (SELECT count(*) FROM refusals WHERE visitor_digest IS NOT NULL OR sealed_text <> ''),
        (SELECT count(*) FROM parked_signals),
        (SELECT count(*) FROM suppressions),
        (SELECT count(*) FROM current_offers WHERE visitor IN (SELECT token FROM erased_visitors)),
        (SELECT count(*) FROM counted_blocks)
"""


@pytest.mark.time_limit(3 * _SECONDS)
@pytest.mark.parametrize("dawdles", [True, False] if ERASURES >= _LONG else [True])
def test_nothing_is_left_behind_and_nothing_of_others_is_lost(
    offerlog: Offerlog,
    dsn: str,
    dawdles: bool,  # noqa: FBT001 - pytest's way
) -> None:
    """Every acknowledged event is in the log once, and none of an erased life lies behind its end."""
    # given
    if dawdles:
        rows(dsn, _DAWDLE)
    with LimitedProcess(
        [*preloaded_code(_RECORDS), dsn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        seconds=_SECONDS,
    ) as writer:
        # when
        erased = 0
        while erased < ERASURES:
            with suppress(NoSuchVisitorError):
                erased += offerlog.erase(customer_id=VISITOR).position is not None
            assert writer.poll() is None
        output, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    counts = {(name, kind): count for name, kind, count in json.loads(output)}
    offerlog.catch_up()
    with suppress(NoSuchVisitorError):
        offerlog.erase(customer_id=VISITOR)
    # then
    recorded = counts["of", "recorded"] + counts["of", "parked"]
    of_erased = rows(dsn, _SELECT_OF_ERASED)
    ends = {position for _, position, *_ in of_erased}
    assert len(ends) >= ERASURES
    events = [row for row in of_erased if row[3] != "visitor-erased.2"]
    assert len(events) == recorded
    assert not [row for row in events if row[0] > row[1]]
    assert all(is_blanked((split_state(state) or (b"", b""))[1]) for *_, state in events)
    assert rows(dsn, _COUNT_OF_OTHERS) == [(counts["others", "recorded"],)]
    assert rows(dsn, _COUNT_LEFT) == [(0, 0, 0, 0, 0, 0)]
    assert rows(dsn, "SELECT sum(refusals) FROM erased_visitors") == [(counts["refused", "refused"],)]
    shown = offerlog.report(ReportQuery(offerlog.organization, view=MetricSet.FULL)).rows
    assert sum(sum(row.metrics.values()) for row in shown) == sum(
        count for (name, kind), count in counts.items() if kind == "recorded" and name != "blocked"
    )
    blocked = offerlog.analysis.blocked_offers(ReportQuery(offerlog.organization)).total.blocked
    assert blocked == counts["blocked", "recorded"]
    offerlog.catch_up()
    live = contents(dsn)
    offerlog.rebuild()
    assert contents(dsn) == live
    assert not [one for one in offerlog.verify() if one.differences]
    assert {kind.error for kind in offerlog.stored_kinds()} == {None}
