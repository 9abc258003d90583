"""The action maps report, and the comparison of versions: alike in memory and on PostgreSQL."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest

from offerlog import ArgumentError, Cohort, CountBy, Offerlog, ReportQuery, ReportTooLargeError, State
from offerlog.testing import SettableClock
from offerlog_application.reading.action_maps import ActionMapsReport, ActionMapsRow
from offerlog_domain.metrics import COMPARED_RATES
from offerlog_domain.rate_differences import Share, rate_difference
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, blocked_event, signal

MAPS = [an_id("map"), an_id("another map")]
KINDS = [("webchat", 3), ("webchat", 4), ("contentOffer", 4), ("contentOffer", None), ("webchat", None)]
"""Media type and version: the maps change both, and some signals name no version."""

CHATS = (
    *("offered", "offered accepted", "offered accepted started engaged", "offered accepted rejected"),
    *("offered rejected", "offered errored", "qualified offered accepted", "qualified", "qualified offered"),
)
CONTENTS = ("offered accepted", "offered rejected", "offered errored", "qualified offered ignored")
END = DAY + timedelta(days=9)
RANGES = [(None, None), (0, 96), (7, 11), (20, 71), (30, None), (None, 49)]
"""Hours since the beginning of the day of the journeys."""


class Reached(NamedTuple):
    """A state that an action reached, as it was sent."""

    visitor: int
    action_map: str
    media_type: str
    version: int | None
    state: str
    at: datetime
    offered_at: datetime


def play(service: Offerlog, organization: str) -> list[Reached]:
    """Record random journeys: each map offers up to three times to a visitor, with any type and version."""
    chance, reached = random.Random(organization), list[Reached]()  # noqa: S311 - a choice of journeys
    signals: list[dict[str, object]] = []
    for visitor, action_map in product(range(50), MAPS):
        at = DAY + timedelta(minutes=chance.randrange(3 * 24 * 60))
        for number in range(1, chance.choice([1, 1, 2, 3]) + 1):
            media_type, version = chance.choice(KINDS)
            states = chance.choice(CHATS if media_type == "webchat" else CONTENTS).split()
            times = [at + timedelta(minutes=chance.choice([1, 9, 300]) * step) for step in range(len(states))]
            offered_at = times[states.index("offered")] if "offered" in states else at
            for state, at in zip(states, times, strict=True):
                place = at if state == "qualified" else offered_at
                reached.append(Reached(visitor, action_map, media_type, version, state, at, place))
                fields: dict[str, Any] = {
                    "actionMapId": action_map,
                    "action": number * 100 + MAPS.index(action_map),
                    "actionMediaType": media_type,
                    "actionMapVersion": version,
                    "createdDate": at.isoformat(),
                    "actionMapName": f"Map {MAPS.index(action_map)}",
                }
                signals.append(signal(state, visitor=visitor, **fields))
            if states[-1] not in {"errored", "qualified"}:
                break
            at += timedelta(hours=chance.choice([0, 1, 30]), minutes=1)
    outcomes: Counter[str] = Counter()
    for part in (signals[:77], signals[77:]):  # an action in both is put together from two pages
        receipt = service.record(part, organization=organization)
        outcomes.update(one.kind.value for one in receipt.outcomes)
        service.wait(receipt.position)
    assert outcomes == {"recorded": len(signals)}
    return reached


@dataclass(frozen=True)
class World:
    """A service, and what was recorded, by organization."""

    service: Offerlog
    played: Mapping[str, list[Reached]]


@pytest.fixture(scope="module", params=EITHER_STORE)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A service of either kind with random journeys in two organizations."""
    clock = SettableClock(END)
    with open_either(request.param, lambda: str(request.getfixturevalue("module_dsn")), clock) as service:
        yield World(service, {name: play(service, name) for name in ("default", "other")})


Group = tuple[str, str, int | None]


def recount(played: list[Reached], query: ReportQuery, *, by_version: bool) -> dict[Group, dict[str, int]]:
    """Count what was sent, by brute force."""
    found: defaultdict[Group, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in played:
        at = one.at if query.cohort is Cohort.EVENT else one.offered_at
        if (query.start is None or query.start <= at) and (query.end is None or at < query.end):
            group = one.action_map, one.media_type, one.version if by_version else None
            found[group][one.state].append(one.visitor)
    size = len if query.count_by is CountBy.ACTIONS else lambda visitors: len(set(visitors))
    return {
        group: {state: size(visitors) for state, visitors in states.items()}
        for group, states in found.items()
        if query.media_type in {None, group[1]}
    }


COUNTED = ("qualified", "offered", "accepted", "engaged", "rejected")


def rows_of(report: ActionMapsReport) -> dict[Group, ActionMapsRow]:
    """The rows by map, media type and version."""
    found: dict[Group, ActionMapsRow] = {}
    for row in report.rows:
        assert row.media_type is not None
        found[row.action_map_id, row.media_type, row.version] = row
    assert len(found) == len(report.rows)
    return found


@pytest.mark.parametrize("organization", ["default", "other"])
def test_the_report_counts_what_brute_force_counts(world: World, organization: str) -> None:
    """Over any range, of actions and visitors, by either time, of a media type or all, by version or not."""
    # given
    played = world.played[organization]
    cases = product(RANGES, CountBy, Cohort, (None, "contentOffer"), (False, True))
    for (first, behind), count_by, cohort, media_type, by_version in cases:
        start, end = (None if hour is None else DAY + timedelta(hours=hour) for hour in (first, behind))
        query = ReportQuery(organization, start, end, count_by=count_by, cohort=cohort, media_type=media_type)
        # when
        report = world.service.analysis.action_maps_report(query, by_version=by_version)
        # then
        right = recount(played, query, by_version=by_version)
        found = rows_of(report)
        assert {group for group, counts in right.items() if any(counts.get(one) for one in COUNTED)} == set(
            found
        )
        for group, row in found.items():
            counts = {name: right[group].get(name, 0) for name in COUNTED}
            assert {state.value: count for state, count in row.counts.items()} == counts
            for name, part, whole in (
                ("offered", "offered", "qualified"),
                ("accepted", "accepted", "offered"),
                ("engaged", "engaged", "accepted"),
                ("engaged_of_offered", "engaged", "offered"),
            ):
                is_reached = group[1] == "webchat" or part != "engaged"  # content offers end with acceptance
                right_rate = counts[part] / counts[whole] if counts[whole] and is_reached else None
                assert row.rates[name] == right_rate
            assert row.action_map_name == f"Map {MAPS.index(group[0])}"
        places = [(row.action_map_id, row.media_type, row.version is None) for row in report.rows]
        assert places == sorted(places)


@pytest.mark.parametrize("count_by", CountBy)
def test_versions_are_compared_with_the_one_before_or_with_a_baseline(
    world: World, count_by: CountBy
) -> None:
    """Of the same map and media type; a version that is not known is compared with nothing."""
    # given
    query = ReportQuery("default", cohort=Cohort.OFFERED, count_by=count_by)
    right = recount(world.played["default"], query, by_version=True)
    for baseline, compared in ((None, {4: 3}), (4, {3: 4}), (3, {4: 3})):
        # when
        report = world.service.analysis.action_maps_report(
            query, by_version=True if baseline is None else None, baseline=baseline
        )
        # then
        for (action_map, media_type, version), row in rows_of(report).items():
            other = compared.get(version or 0) if media_type == "webchat" else None
            if other is None:
                assert row.comparison is None
                continue
            assert row.comparison is not None
            assert row.comparison.baseline == other
            here, there = (right[action_map, media_type, one] for one in (version, other))
            assert dict(row.comparison.differences) == {
                name: rate_difference(
                    Share(here.get(part, 0), here[whole]), Share(there.get(part, 0), there[whole])
                )
                for name, part, whole in (
                    ("accepted", "accepted", "offered"),
                    ("engaged", "engaged", "accepted"),
                    ("engaged_of_offered", "engaged", "offered"),
                )
            }
            assert all(row.comparison.differences.values())


def test_a_baseline_that_made_no_offer_is_an_error(world: World) -> None:
    """It names the versions that did; without any offer there is nothing to compare, and no error."""
    ask, query = world.service.analysis.action_maps_report, ReportQuery("default", cohort=Cohort.OFFERED)
    with pytest.raises(ArgumentError, match="version 9 made no offer there; those that did: 3, 4") as wrong:
        ask(query, baseline=9)
    assert wrong.value.argument == "baseline"
    with pytest.raises(ArgumentError, match="only in a report by version") as wrong:
        ask(query, by_version=False, baseline=3)
    assert wrong.value.argument == "baseline"
    assert ask(ReportQuery("default", END), baseline=9).rows == []


def test_the_rows_are_a_table_of_arrow(world: World) -> None:
    """With the columns of the comparison where versions are compared, and without them elsewhere."""
    ask, query = world.service.analysis.action_maps_report, ReportQuery("default", cohort=Cohort.OFFERED)
    plain, compared = ask(query).to_arrow(), ask(query, by_version=True).to_arrow()
    assert [plain.num_rows, compared.num_rows] == [4, 10]
    assert [name for name in compared.column_names if name not in plain.column_names] == [
        *("action_map_version", "baseline_version"),
        *(f"{rate}_{limit}" for rate in COMPARED_RATES for limit in ("difference", "low", "high")),
    ]
    assert compared["baseline_version"].to_pylist().count(3) == len(MAPS)


def test_only_offers_in_their_own_time_are_compared(world: World) -> None:
    """Counted by the time of each event, acceptances need not belong to the offers beside them."""
    ask, query = world.service.analysis.action_maps_report, ReportQuery("default")
    assert [row.comparison for row in ask(query, by_version=True).rows if row.comparison] == []
    cohort = replace(query, cohort=Cohort.OFFERED)
    assert [row.comparison for row in ask(cohort).rows if row.comparison] == []
    assert [row.comparison for row in ask(query, baseline=3).rows if row.comparison] == []


def test_a_content_offer_is_not_compared_by_what_it_cannot_reach(world: World) -> None:
    """And no rate is compared of a map whose answers name other versions than their offers."""
    # given
    fields: dict[str, Any] = {"actionMediaType": "contentOffer", "actionMapId": an_id("map of contents")}
    signals = [
        signal(state, visitor=f"reader-{version}-{n}", actionMapVersion=version, **fields)
        for version, n in product((1, 2), range(9))
        for state in ("offered", "accepted")[: 1 + (n < 3 * version)]
    ]
    mixed: dict[str, Any] = {"actionMapId": an_id("map of mixed versions")}
    signals += [
        signal(state, visitor=f"guest-{version}-{n}", actionMapVersion=named, **mixed)
        for version, n in product((1, 2), range(9))
        for state, named in (("offered", version), ("accepted", None), ("started", version))
    ]
    receipt = world.service.record(signals, organization="third")
    world.service.wait(receipt.position)
    # when
    query = ReportQuery("third", cohort=Cohort.OFFERED)
    found = rows_of(world.service.analysis.action_maps_report(query, by_version=True))
    # then
    content = found[fields["actionMapId"], "contentOffer", 2].comparison
    assert content is not None
    assert content.differences == {
        "accepted": rate_difference(Share(6, 9), Share(3, 9)),
        "engaged": None,
        "engaged_of_offered": None,
    }
    rows = {of[2]: row for of, row in found.items() if of[0] == mixed["actionMapId"]}
    assert {of: (row.counts[State.OFFERED], row.counts[State.ACCEPTED]) for of, row in rows.items()} == {
        1: (9, 0),
        2: (9, 0),
        None: (0, 18),
    }
    comparison = rows[2].comparison
    assert comparison is not None
    assert comparison.differences["accepted"] is None


def record(service: Offerlog, organization: str, *signals: dict[str, Any]) -> None:
    """Record signals, and wait for the report."""
    receipt = service.record(signals, organization=organization)
    assert {one.kind.value for one in receipt.outcomes} == {"recorded"}
    service.wait(receipt.position)


def test_a_block_of_an_unknown_media_type_counts_with_the_only_one_of_its_map(world: World) -> None:
    """With that media type asked for, too; and in a range without any offer, so that parts add up."""
    # given
    service, at = world.service, DAY + timedelta(days=1)

    def blocked(start: datetime | None, media_type: str | None = None) -> dict[str | None, int | None]:
        query = ReportQuery("blocked", start, media_type=media_type)
        return {row.media_type: row.blocked for row in service.analysis.action_maps_report(query).rows}

    blocks = [blocked_event(n, n, MAPS[0], "FrequencyCapping", createdDate=at.isoformat()) for n in range(5)]
    record(service, "blocked", signal("offered", actionMapId=MAPS[0], createdDate=DAY.isoformat()), *blocks)
    # when
    found = [blocked(start, media_type) for start in (None, at) for media_type in (None, "webchat")]
    # then
    assert found == [{"webchat": 5}] * 4
    assert blocked(None, "contentOffer") == {}
    fields: dict[str, Any] = {
        "actionMapId": MAPS[0],
        "actionMediaType": "contentOffer",
        "createdDate": DAY.isoformat(),
    }
    record(service, "blocked", signal("offered", visitor="reader", **fields))
    assert (blocked(at), blocked(at, "webchat")) == ({None: 5}, {})


def test_rows_of_blocked_offers_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are counted apart only where they are asked for."""
    # given
    monkeypatch.setattr("offerlog_application.reading.analysis._MOST_ROWS", 3)
    blocks = [blocked_event(n, n, MAPS[0], "FrequencyCapping", createdDate=DAY.isoformat()) for n in range(4)]
    for n, block in enumerate(blocks):
        block["blockedWebActionOfferEvent"]["actionMap"]["version"] = 2**62 + n
    record(world.service, "limited", *blocks)
    # when, then
    ask, query = world.service.analysis.action_maps_report, ReportQuery("limited")
    assert [row.blocked for row in ask(query).rows] == [4]
    with pytest.raises(ReportTooLargeError, match="rows"):
        ask(query, by_version=True)


def test_counts_and_blocked_offers_are_of_one_state(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store is read once, so no offer is blocked behind the position of the report."""
    # given
    opened: list[object] = []

    def count(*given: Any, **named: Any) -> Any:
        opened.append(given)
        return read_transaction(*given, **named)

    monkeypatch.setattr("offerlog_infrastructure.postgres.reads.offers.read_transaction", count)
    # when
    world.service.analysis.action_maps_report(ReportQuery("default"))
    # then
    assert len(opened) <= 1  # none in memory
