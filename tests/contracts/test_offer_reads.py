"""Where offers end, how long they take and who is behind a number: alike in memory and on PostgreSQL."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from statistics import median, quantiles
from typing import Any

import pytest

from offerlog import Cohort, CountBy, MetricSet, Offerlog, ReportQuery, Stage, State
from offerlog.testing import SettableClock
from offerlog_application.ports.offer_reads import ListedOffer, OfferNumber
from offerlog_domain.metrics import FUNNEL_RATES, METRICS, RATES, OfferEnd
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, signal

MAPS = [an_id("map"), an_id("another map")]
JOURNEYS = (
    *("offered", "offered accepted", "offered accepted started", "offered accepted started engaged"),
    *(
        "offered accepted started abandoned",
        "offered accepted rejected",
        "offered rejected",
        "offered ignored",
    ),
    *("offered timedout", "offered errored", "offered errored offered ignored"),
)
CONTENT_JOURNEYS = ("offered", "offered accepted", "offered rejected", "offered errored offered accepted")
MEDIA_TYPES = (None, "webchat", "contentOffer")
OPEN = {"offered", "accepted", "started"}


def media_type_of(visitor: int) -> str:
    """One visitor in four gets content offers."""
    return "webchat" if visitor % 4 else "contentOffer"


def is_open(visitor: int, state: str) -> bool:
    """Whether something may follow: nothing follows the acceptance of a content offer."""
    return state in OPEN and (state, media_type_of(visitor)) != ("accepted", "contentOffer")


END = DAY + timedelta(days=3)
"""The time at which all journeys are recorded."""


class Played:
    """Random journeys, as they were sent: one list of states and times for each action.

    Attributes:
        actions: Visitor, action map, number of the action, and its states with their times.
        blocked: Visitor, map, session and time of each offer that was refused and is remembered.
    """

    def __init__(self) -> None:
        self.actions: list[tuple[int, str, int, list[tuple[str, datetime]]]] = []
        self.blocked: list[tuple[int, str, str, datetime]] = []


def play(service: Offerlog, clock: SettableClock, organization: str) -> Played:
    """Record random journeys over three days; some are still open, and some times run backwards."""
    chance, played = random.Random(organization), Played()  # noqa: S311 - a choice of journeys
    signals: list[dict[str, object]] = []
    for visitor, action_map in product(range(40), MAPS):
        at = DAY + timedelta(minutes=chance.choice([chance.randrange(3 * 24 * 60), 3 * 24 * 60 - 10]))
        media_type = media_type_of(visitor)
        number, states = 0, chance.choice(JOURNEYS if visitor % 4 else CONTENT_JOURNEYS).split()
        for state in states:
            if state == "offered":
                number += 1
                played.actions.append((visitor, action_map, number, []))
            played.actions[-1][3].append((state, at))
            action: dict[str, Any] = {
                "actionMapId": action_map,
                "action": number * 100 + MAPS.index(action_map),
                "actionMediaType": media_type,
            }
            signals.append(signal(state, visitor=visitor, createdDate=at.isoformat(), **action))
            at += timedelta(seconds=chance.choice([-30, 1, 7, 90, 4000]))
            at = min(at, clock.now())
        if chance.random() < 0.4 and states[-1] != "errored" and not is_open(visitor, states[-1]):
            session, again = an_id("session", visitor, chance.randrange(2)), at + timedelta(hours=9)
            if again <= clock.now():
                played.blocked.append((visitor, action_map, session, again))
                action = {
                    "actionMapId": action_map,
                    "action": 999 + MAPS.index(action_map),
                    "sessionId": session,
                }
                signals.append(signal("offered", visitor=visitor, createdDate=again.isoformat(), **action))
    outcomes: Counter[str] = Counter()
    for part in (signals[:101], signals[101:]):  # an action in both is put together from two pages
        receipt = service.record(part, organization=organization)
        outcomes.update(one.kind.value for one in receipt.outcomes)
        service.wait(receipt.position)
    assert outcomes == {"recorded": len(signals) - len(played.blocked), "refused": len(played.blocked)}
    return played


@dataclass(frozen=True)
class World:
    """A service, its clock, and what was recorded, by organization."""

    service: Offerlog
    clock: SettableClock
    played: Mapping[str, Played]


def hour(number: int | None) -> datetime | None:
    """The beginning of an hour of the journeys."""
    return None if number is None else DAY + timedelta(hours=number)


HOURS = ((None, None), (0, 72), (5, 31), (40, None), (None, 33), (71, 72))
RANGES = [(hour(first), hour(behind)) for first, behind in HOURS]
"""All time, and ranges on quarter-hours."""


def is_within(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    """Whether a time is in a range."""
    return (start is None or start <= at) and (end is None or at < end)


def end_of(visitor: int, states: list[tuple[str, datetime]], now: datetime) -> str:
    """Where an action is, by brute force: all of it was recorded at the end of the journeys."""
    last = states[-1][0]
    if last == "rejected":
        return "rejected_at_form" if len(states) == 3 else "rejected_at_invitation"
    if is_open(visitor, last):
        return "open" if now - END < timedelta(minutes=30) else "lapsed"
    return last


@pytest.fixture(scope="module", params=EITHER_STORE)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A service of either kind with random journeys in two organizations."""
    clock = SettableClock(END)
    with open_either(request.param, lambda: str(request.getfixturevalue("module_dsn")), clock) as service:
        yield World(service, clock, {name: play(service, clock, name) for name in ("default", "other")})


@pytest.mark.parametrize("organization", ["default", "other"])
def test_ends_add_up_and_each_action_is_where_brute_force_finds_it(world: World, organization: str) -> None:
    """Of random logs, over any range, per map and in all; half an hour later what was open has lapsed."""
    # given
    played = world.played[organization]
    for late in (timedelta(0), timedelta(minutes=31)):
        now = END + late
        world.clock.set(now)
        for media_type, (start, end) in [(None, one) for one in RANGES] + [
            *product(MEDIA_TYPES, RANGES[2:3])
        ]:
            # when
            query = ReportQuery(organization, start, end, media_type=media_type)
            made = world.service.analysis.funnel(query)
            # then
            ends: dict[str, Counter[str]] = {one: Counter() for one in MAPS}
            reached: dict[str, Counter[str]] = {one: Counter() for one in MAPS}
            for visitor, action_map, _, states in played.actions:
                is_of = media_type in {None, media_type_of(visitor)}
                if is_of and is_within(states[0][1], start, end):
                    ends[action_map][end_of(visitor, states, now)] += 1
                    reached[action_map].update(state for state, _ in states)
            for part in made.parts:
                assert part.action_map_id is not None
                assert part.ends == {end: ends[part.action_map_id][end] for end in OfferEnd}
                assert part.steps == {step: reached[part.action_map_id][step] for step in part.steps}
                assert sum(part.ends.values()) == part.steps[State.OFFERED]
                assert list(part.rates) == list(FUNNEL_RATES)
                for name in FUNNEL_RATES:
                    above, below = RATES[name]
                    number = reached[part.action_map_id][below]
                    right = reached[part.action_map_id][above] / number if number else None
                    if media_type == "contentOffer" and name != "accepted":
                        right = None  # a content offer ends with its acceptance
                    assert part.rates[name] == right
                if media_type == "contentOffer":
                    assert part.rates["accepted"] is not None
            if media_type == "contentOffer":
                assert {one for one, rate in made.total.rates.items() if rate is not None} == {"accepted"}
            assert {part.action_map_id for part in made.parts} == {one for one in MAPS if ends[one]}
            assert made.total.ends == {end: sum(one[end] for one in ends.values()) for end in OfferEnd}
            assert sum(made.total.ends.values()) == made.total.steps[State.OFFERED]


NUMBERS = [
    *(OfferNumber(state) for state in MetricSet.FULL.states),
    *(OfferNumber(State.REJECTED, stage) for stage in Stage),
    *(OfferNumber(State.OFFERED, None, end) for end in (OfferEnd.OPEN, OfferEnd.LAPSED)),
]


def test_the_offers_behind_a_number_are_as_many_as_it_says(world: World) -> None:
    """For every number, range and cohort, of one map or of all: page by page, each once, with its visitor."""
    # given
    service, played = world.service, world.played["default"]
    now = END + timedelta(minutes=20)
    world.clock.set(now)
    cases = product((MAPS[:1], MAPS), RANGES, Cohort, CountBy, NUMBERS)
    for maps, (start, end), cohort, count_by, number in cases:
        by_visitors = count_by is CountBy.VISITORS
        if (number.stage or number.end) and (cohort is Cohort.EVENT or by_visitors):
            continue
        if by_visitors and (maps is not MAPS or number.state not in {State.OFFERED, State.ERRORED}):
            continue  # no journey reaches another state twice
        asked = tuple(maps) if len(maps) == 1 else ()
        media_type = "contentOffer" if (start, end) == RANGES[1] else None
        query = ReportQuery(
            "default",
            start,
            end,
            action_maps=asked,
            view=MetricSet.FULL,
            cohort=cohort,
            count_by=count_by,
            media_type=media_type,
        )
        # when
        listed: list[ListedOffer] = []
        place, count = None, -1
        while True:
            page = service.analysis.offers_behind(query, number, behind=place, limit=13)
            assert len(page.offers) <= 13
            listed += page.offers
            place, count = page.behind, page.count
            if place is None:
                break
        # then
        ending = number.end or (f"rejected_at_{number.stage}" if number.stage else None)
        found = {
            (
                of_map,
                f"visitor-{visitor}",
                action,
                states[-1][1] if number.end else dict(states)[number.state],
            )
            for visitor, of_map, action, states in played.actions
            if of_map in maps
            and number.state in dict(states)
            and is_within(
                states[0][1] if cohort is Cohort.OFFERED else dict(states)[number.state], start, end
            )
            and ending in {None, end_of(visitor, states, now)}
            and media_type in {None, media_type_of(visitor)}
        }
        if by_visitors:  # the first action of each visitor-offer
            found = set({one[:2]: one for one in sorted(found, reverse=True)}.values())
        rows = [(one.action_map_id, one.customer_id, one.action_number, one.reached_at) for one in listed]
        assert set(rows) == found
        assert len(rows) == len(found) == count
        if number.stage is None and number.end is None:
            assert sum(row.metrics[METRICS[number.state]] for row in service.report(query).rows) == count


def test_blocked_offers_are_counted_by_reason_visitor_and_session(world: World) -> None:
    """Those that the log remembers, by the time of the offer."""
    # given
    played = world.played["default"]
    for start, end in RANGES:
        # when
        found = world.service.analysis.blocked_offers(ReportQuery("default", start, end))
        # then
        right = [one for one in played.blocked if is_within(one[3], start, end)]
        assert (found.total.blocked, found.total.visitors, found.total.sessions) == (
            len(right),
            len({visitor for visitor, *_ in right}),
            len({session for _, _, session, _ in right}),
        )
        assert {(one.action_map_id, one.reason, one.blocked) for one in found.parts} == {
            (action_map, "terminal_state", count)
            for action_map, count in Counter(action_map for _, action_map, *_ in right).items()
        }
        assert sum(one.blocked for one in found.reasons) == found.total.blocked
    assert world.service.analysis.blocked_offers(ReportQuery("default")).total.blocked > 5


def test_times_are_those_of_sorted_lists(world: World) -> None:
    """Median and p90, interpolated; also of clocks that ran backwards."""
    # given
    for media_type, (start, end) in product(MEDIA_TYPES, RANGES):
        # when
        query = ReportQuery("default", start, end, media_type=media_type)
        found = world.service.analysis.times(query)
        # then
        for step in (State.ACCEPTED, State.STARTED, State.ENGAGED):
            taken = [
                (dict(states)[step] - states[0][1]).total_seconds()
                for visitor, _, _, states in world.played["default"].actions
                if step in dict(states)
                and is_within(states[0][1], start, end)
                and media_type in {None, media_type_of(visitor)}
            ]
            measured = found.total[step]
            assert measured.actions == len(taken) == sum(part[step].actions for part in found.parts.values())
            if len(taken) > 1:
                assert measured.median == pytest.approx(median(taken))
                assert measured.p90 == pytest.approx(quantiles(taken, n=10, method="inclusive")[-1])


def test_a_visitor_is_shown_over_all_maps_or_not_known(world: World) -> None:
    """With the state of each, and what was blocked; a visitor never seen is told apart."""
    # given
    played = world.played["default"]
    for visitor in range(40):
        # when
        found = world.service.analysis.visitor(customer_id=f"visitor-{visitor}")
        # then
        assert found.is_known
        newest = {action_map: states for who, action_map, _, states in played.actions if who == visitor}
        assert [one.action_map_id for one in found.offers] == sorted(newest)
        for one in found.offers:
            state, since = newest[one.action_map_id][-1]
            assert (one.state, one.since) == (state, since)
            assert one.is_suppressed == (state != "errored" and not is_open(visitor, state))
            blocked = [refused for refused in played.blocked if refused[:2] == (visitor, one.action_map_id)]
            assert one.blocked_offers == len(blocked)
    nobody = world.service.analysis.visitor(customer_id="nobody")
    assert (nobody.is_known, list(nobody.offers)) == (False, [])
