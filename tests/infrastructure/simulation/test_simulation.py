"""The simulated traffic: repeatable, in wire form, and rich enough to meet every rule of the domain."""

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest

from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import decide, expire
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.events import LifecycleEvent, TimedOut
from offerlog_domain.lifecycle import BEFORE_OFFER, LIFECYCLES, WEBCHAT, State
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_domain.wire import read_signal
from offerlog_infrastructure.simulation import Traffic, simulate
from offerlog_infrastructure.simulation.journey import ODDS, SILENCE

KEYS = [
    "actionId",
    "actionState",
    "actionMediaType",
    "actionMapId",
    "actionMapVersion",
    "customerId",
    "customerIdType",
    "sessionId",
    "errorCode",
    "errorMessage",
    "eventId",
    "createdDate",
    "timeoutSeconds",
    "actionMapName",
]

ORDERLY = Traffic(visitors=4_000, action_maps=5, days=3, start=date(2026, 11, 2), seed=7)
MESSY = replace(ORDERLY, disorder=True, repeats=True)


@pytest.fixture(scope="module")
def orderly() -> list[str]:
    """Three days of signals that arrive once and in order."""
    return list(simulate(ORDERLY))


@pytest.fixture(scope="module")
def messy() -> list[str]:
    """The same days over a network that delays and repeats."""
    return list(simulate(MESSY))


def states_by_action(lines: list[str]) -> dict[str, list[str]]:
    """The states that each action reports, in order of arrival."""
    states = defaultdict(list)
    for report in map(json.loads, lines):
        states[report["actionId"]].append(report["actionState"])
    return states


class Service:
    """What the domain makes of a stream whose clock is the newest `createdDate` seen."""

    def __init__(self, lines: list[str]) -> None:
        self.outcomes: Counter[OutcomeKind | Reason | None] = Counter()
        self.events: list[RecordedEvent[Event]] = []
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.offers: dict[tuple[str, str], VisitorOffer] = {}
        for line in lines:
            self._take(line.encode())
        late = DecisionContext("acme", datetime(2027, 1, 1, tzinfo=UTC))
        for offer in self.offers.values():
            decision = expire(offer, late)
            self.outcomes.update(reason for _, reason in decision.ended_parkings)
            self.events += decision.events

    def _take(self, raw: bytes) -> None:
        signal = read_signal(raw)
        assert signal.occurred_at is not None
        self.now = max(self.now, signal.occurred_at)
        if signal.lifecycle is None:
            self.outcomes[Reason.NOT_TRACKED] += 1
            return
        key = (signal.customer_id, str(signal.action_map_id))
        offer = self.offers.get(key) or VisitorOffer(uuid5(NAMESPACE_OID, "/".join(key)))
        decision = decide(offer, signal, lambda: raw, DecisionContext("acme", self.now))
        self.offers[key] = decision.offer
        self.events += decision.events
        self.outcomes[decision.reason or decision.outcome] += 1
        self.outcomes.update(reason for _, reason in decision.ended_parkings)


@pytest.fixture(scope="module")
def service(orderly: list[str]) -> Service:
    """The domain after the orderly traffic."""
    return Service(orderly)


def test_the_same_arguments_give_the_same_bytes_in_another_process(messy: list[str]) -> None:
    """Neither the hash seed nor the process has a say in what is simulated."""
    program = (
        "import datetime, hashlib\n"
        "from offerlog_infrastructure.simulation import Traffic, simulate\n"
        f"lines = simulate({MESSY!r})\n"
        "print(hashlib.sha256('\\n'.join(lines).encode()).hexdigest())"
    )
    here = hashlib.sha256("\n".join(messy).encode()).hexdigest()
    for hash_seed in ("1", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        there = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert there.stdout.strip() == here


def test_another_seed_gives_other_traffic(orderly: list[str]) -> None:
    """The seed reaches every line."""
    assert not set(orderly) & set(simulate(replace(ORDERLY, seed=8)))


def test_every_line_is_the_vendors_browser_event(messy: list[str]) -> None:
    """Exactly the wire keys in their order, readable by the domain, with an id and a time in milliseconds."""
    for line in messy:
        report = json.loads(line)
        assert list(report) == KEYS
        signal = read_signal(line.encode())
        assert str(signal.event_id) == report["eventId"]
        assert signal.occurred_at is not None
        written = signal.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert report["createdDate"] == written
        assert (report["errorCode"] is not None) is (report["actionState"] == "errored")


def test_error_codes_are_text_with_zeros_or_numbers(orderly: list[str]) -> None:
    """Both spellings of the vendor occur, each with a message."""
    errors = [report for report in map(json.loads, orderly) if report["errorCode"] is not None]
    assert {type(error["errorCode"]) for error in errors} == {str, int}
    assert "00045" in {error["errorCode"] for error in errors}
    assert all(error["errorMessage"] for error in errors)


def test_without_flags_signals_arrive_once_and_in_order(orderly: list[str]) -> None:
    """No line is repeated, and `createdDate` never goes back."""
    reports = [json.loads(line) for line in orderly]
    created = [report["createdDate"] for report in reports]
    assert created == sorted(created)
    assert len({report["eventId"] for report in reports}) == len(reports)


def test_the_odds_cover_the_lifecycle_table() -> None:
    """A step added to the table, or taken from it, must get odds, or lose them."""
    assert set(ODDS) == {(step.source, step.target) for step in WEBCHAT.transitions}
    assert set(SILENCE) == {one for one in WEBCHAT.states if not WEBCHAT.is_final(one)}


def test_every_legal_transition_occurs(orderly: list[str]) -> None:
    """Each step of the table is reported by some action, and ignoring is what visitors do most."""
    seen: Counter[tuple[str | None, str]] = Counter()
    for states in states_by_action(orderly).values():
        reported: list[str | None] = [None, *states]
        seen.update((before, after) for before, after in pairwise(reported) if after is not None)
    assert all(seen[step.source, step.target] for step in WEBCHAT.transitions)
    answers = {target: count for (source, target), count in seen.items() if source == State.OFFERED}
    assert max(answers, key=lambda target: answers[target]) == State.IGNORED


def test_some_maps_report_what_comes_before_an_offer(service: Service) -> None:
    """Most that qualified are offered, the rest is withheld, for each reason; other maps report neither."""
    counts: defaultdict[UUID, Counter[State]] = defaultdict(Counter)
    for recorded in service.events:
        if isinstance(recorded.event, LifecycleEvent):
            counts[recorded.event.action_map_id][recorded.event.state] += 1
    telling = [one for one in counts.values() if one[State.QUALIFIED]]
    assert (len(telling), len(counts)) == (3, 5)
    for one in telling:
        assert 0.8 < one[State.OFFERED] / one[State.QUALIFIED] < 1
        withheld = sum(one[state] for state in BEFORE_OFFER) - one[State.QUALIFIED]
        assert 0.02 < withheld / one[State.QUALIFIED] < 0.25
    assert all(sum(one[state] for one in telling) for state in BEFORE_OFFER)
    assert not any(one[state] for one in counts.values() if one not in telling for state in BEFORE_OFFER)


def test_maps_have_the_media_types_in_turn() -> None:
    """Each action follows the table of its map's media type, and every step of it occurs."""
    lines = list(simulate(replace(ORDERLY, visitors=2_500, media_types=tuple(LIFECYCLES))))
    seen: Counter[tuple[str, str | None, str]] = Counter()
    types_of: defaultdict[str, set[str]] = defaultdict(set)
    for report in map(json.loads, lines):
        types_of[report["actionMapId"]].add(report["actionMediaType"])
    media_types = {json.loads(line)["actionId"]: json.loads(line)["actionMediaType"] for line in lines}
    for action, states in states_by_action(lines).items():
        steps = zip([None, *states], states, strict=False)
        seen.update((media_types[action], before, after) for before, after in steps)
    assert sorted(map(len, types_of.values())) == [1] * 5
    assert {one for types in types_of.values() for one in types} == set(LIFECYCLES)
    for media_type, table in LIFECYCLES.items():
        assert all(seen[media_type, step.source, step.target] for step in table.transitions)
    assert Service(lines).outcomes[OutcomeKind.RECORDED] > 0.9 * len(lines)


def test_every_kind_of_wrong_report_meets_its_refusal(service: Service) -> None:
    """The domain refuses some signals for each reason that well-formed traffic can meet."""
    outcomes = service.outcomes
    assert set(outcomes) == {
        OutcomeKind.RECORDED,
        OutcomeKind.PARKED,
        Reason.NOT_TRACKED,
        Reason.TERMINAL_STATE,
        Reason.ALREADY_OPEN,
        Reason.OFFER_REFUSED,
        Reason.ACTION_OVER,
        Reason.NOT_LEGAL,
        Reason.NEVER_REACHABLE,
    }
    assert outcomes[OutcomeKind.RECORDED] > 0.9 * outcomes.total()


def test_offers_are_made_again_after_an_error_and_after_a_lapse(service: Service) -> None:
    """Both ways to a second action of one visitor-offer occur."""
    before = Counter(
        earlier.state for offer in service.offers.values() for earlier, _ in pairwise(offer.actions)
    )
    assert before[State.ERRORED]
    assert before[State.OFFERED]
    assert before[State.ACCEPTED] + before[State.STARTED]


def test_some_timeouts_are_left_to_the_service(service: Service) -> None:
    """Widgets report most of the time-outs; the service records the others at their deadline."""
    timeouts = [one for one in service.events if isinstance(one.event, TimedOut)]
    assert {one.private.event_id is None for one in timeouts} == {True, False}


def test_disorder_delays_signals_and_changes_none(orderly: list[str]) -> None:
    """Some state arrives before the one it follows; what was reported stays the same."""
    disordered = list(simulate(replace(ORDERLY, disorder=True)))
    assert sorted(disordered) == sorted(orderly)
    states = states_by_action(disordered).values()
    assert any(
        "offered" in s and "accepted" in s and s.index("accepted") < s.index("offered") for s in states
    )


def test_repeats_send_some_lines_again_and_retry_some(orderly: list[str]) -> None:
    """A repeat is the same bytes later; a retry is the same report under another event id."""
    repeated = list(simulate(replace(ORDERLY, repeats=True)))
    counts = Counter(repeated)
    assert max(counts.values()) == 2
    assert set(orderly) < set(counts)
    retries = [json.loads(line) for line in counts.keys() - set(orderly)]
    originals = {json.dumps(json.loads(line) | {"eventId": None}) for line in orderly}
    assert retries
    assert all(json.dumps(retry | {"eventId": None}) in originals for retry in retries)


def test_repeats_are_duplicates_to_the_domain(messy: list[str]) -> None:
    """Messy traffic meets the outcome that orderly traffic never meets."""
    outcomes = Service(messy).outcomes
    assert outcomes[OutcomeKind.DUPLICATE] > 0.02 * len(messy)
    assert not outcomes[Reason.CONFLICTING_DUPLICATE]
    assert not outcomes[Reason.MALFORMED]


def test_visitors_come_back_in_sessions_of_their_own(orderly: list[str]) -> None:
    """Some visitors have several sessions, some of them on several days."""
    sessions, days = defaultdict(set), defaultdict(set)
    for report in map(json.loads, orderly):
        sessions[report["customerId"]].add(report["sessionId"])
        days[report["customerId"]].add(report["createdDate"][:10])
    assert max(map(len, sessions.values())) > 2
    assert max(map(len, days.values())) > 1
    assert len(sessions) == ORDERLY.visitors


def test_the_day_has_a_quiet_night_and_two_humps(orderly: list[str]) -> None:
    """Noon is far busier than three in the morning, and quieter than the hours around it."""
    hours = Counter(json.loads(line)["createdDate"][11:13] for line in orderly)
    assert hours["12"] > 5 * hours["03"]
    assert hours["10"] > hours["12"] < hours["15"]


def test_action_maps_differ_and_get_new_versions() -> None:
    """Names are numbered beyond the list, versions go up by one and never back, popularity differs."""
    traffic = Traffic(visitors=6_000, action_maps=20, days=6, start=date(2026, 11, 2), seed=1)
    versions = defaultdict(list)
    names: Counter[str] = Counter()
    for report in map(json.loads, simulate(traffic)):
        names[report["actionMapName"]] += 1
        if report["actionState"] == "offered":
            versions[report["actionMapId"]].append(report["actionMapVersion"])
    assert len(versions) == len(names) == 20
    assert "Checkout help 2" in names
    assert names["Checkout help"] > 3 * names["Checkout help 2"]
    assert all(seen == sorted(seen) for seen in versions.values())
    assert {max(seen) - min(seen) for seen in versions.values()} == {0, 1}


@pytest.mark.parametrize("visitors", [0, 1, 3])
def test_a_handful_of_visitors_is_enough(visitors: int) -> None:
    """Each visitor is offered something, even on a site with one action map."""
    traffic = Traffic(visitors, action_maps=1, days=1, start=date(2026, 11, 2), seed=3, disorder=True)
    assert len({json.loads(line)["customerId"] for line in simulate(traffic)}) == visitors


@pytest.mark.parametrize(("visitors", "action_maps", "days"), [(-1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_traffic_is_refused(visitors: int, action_maps: int, days: int) -> None:
    """A number below its least is an error at once, not in the middle of a file."""
    with pytest.raises(ValueError, match="1 or more days"):
        Traffic(visitors, action_maps, days, start=date(2026, 11, 2), seed=1)


@pytest.mark.parametrize(("start", "days"), [(date(9998, 12, 31), 2), (date(2026, 11, 2), 10**9)])
def test_traffic_stays_in_the_calendar(start: date, days: int) -> None:
    """What would run out of dates in the middle of a file is an error at once."""
    with pytest.raises(ValueError, match="beyond the year 9998"):
        Traffic(1, 1, days, start, seed=1)


def peak(lines: Iterator[str]) -> int:
    """The most memory in bytes that running through `lines` takes at any moment."""
    tracemalloc.start()
    try:
        for _ in lines:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_traffic() -> None:
    """Twice the days, with twice the visitors and signals, take about the same memory."""
    short = Traffic(visitors=2_000, action_maps=5, days=14, start=date(2026, 11, 2), seed=7)
    long = replace(short, visitors=4_000, days=28)
    assert peak(simulate(long)) < 1.4 * peak(simulate(short))
