"""Blocked offers are counted exactly: beside a recount of random traffic, in memory and on PostgreSQL."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final, NamedTuple

import pytest

from offerlog import NoSuchVisitorError, Offerlog, OfferMade, OutcomeKind, ReportQuery, open_offerlog
from offerlog.testing import SettableClock, open_in_memory
from offerlog_domain.identity import ActionMapId
from offerlog_domain.stream_ids import make_organization_token
from support.journeys import an_id, blocked_event, signal
from support.positions import number_of

START: Final = datetime(2026, 11, 1, 10, 7, tzinfo=UTC)
QUARTER: Final = timedelta(minutes=15)
MEDIA_TYPES = (None, "webchat", "contentOffer", "webMessagingOffer")
ORGANIZATIONS: Final = ("default", "acme")
MAPS: Final = [an_id("map", n) for n in range(2)]
REASONS: Final = ("FrequencyCapping", "NoAvailableAgents", "terminal_state", "Ein neuer Grund ✓")
CROWD: Final = 64
"""Refused offers that a visitor-offer remembers."""


class Key(NamedTuple):
    """The properties by which blocked offers are told apart in reports."""

    organization: str
    action_map: str
    reason: str
    at: datetime
    media_type: str | None
    version: int | None


@dataclass
class Recount:
    """What was blocked, by the words of the rule alone; and the names that were counted."""

    counts: Counter[Key] = field(default_factory=Counter)
    names: set[tuple[object, ...]] = field(default_factory=set)
    media_types: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of the offers that were made, by organization and map."""

    def block(self, key: Key, name: tuple[object, ...] | None) -> bool:
        """Count a block; returns False if it was counted under its name before."""
        if name is not None and name in self.names:
            return False
        if name is not None:
            self.names.add(name)
        self.counts[key] += 1
        return True

    def forget(self, organization: str, visitor: int) -> None:
        """The visitor was erased: what is sent afterwards is new."""
        self.names = {name for name in self.names if name[:2] != (organization, visitor)}

    def media_type_of(self, key: Key) -> str | None:
        """The media type with which the action maps report counts a block."""
        known = self.media_types[key.organization, key.action_map]
        return next(iter(known)) if key.media_type is None and len(known) == 1 else key.media_type

    def select(
        self,
        organization: str,
        start: datetime | None,
        end: datetime | None,
        media_type: str | None,
        *,
        of_map: bool = False,
    ) -> Counter[tuple[str, str]]:
        """Count by map and reason what a query asks for; a block of an unknown type as that of its map."""
        found: Counter[tuple[str, str]] = Counter()
        for key, number in self.counts.items():
            slot = key.at - timedelta(seconds=key.at.timestamp() % QUARTER.total_seconds())
            if (
                key.organization == organization
                and (start is None or slot >= start)
                and (end is None or slot < end)
                and media_type in {None, self.media_type_of(key) if of_map else key.media_type}
            ):
                found[key.action_map, key.reason] += number
        return found


@pytest.fixture
def clock() -> SettableClock:
    """The clock of all services of a test."""
    return SettableClock(START)


@pytest.fixture(params=["in memory", "on PostgreSQL"])
def services(
    request: pytest.FixtureRequest, clock: SettableClock, make_dsn: Callable[[], str]
) -> Iterator[list[Offerlog]]:
    """One service in memory; or two on one store, each with a writer of its own."""
    with ExitStack() as held:
        if request.param == "in memory":
            yield [held.enter_context(open_in_memory("default", clock=clock))]
            return
        dsn = make_dsn()
        yield [
            held.enter_context(
                open_offerlog(
                    database_url=dsn,
                    organization="default",
                    clock=clock,
                    keep_deadlines=False,
                    project=project,
                )
            )
            for project in (True, False)
        ]


class Traffic:
    """Random requests, signals and events of few visitors, so that most are repeated or blocked."""

    def __init__(self, services: list[Offerlog], clock: SettableClock, seed: int) -> None:
        self.services = services
        self.clock = clock
        self.chance = random.Random(seed)  # noqa: S311 - a choice of examples
        self.recount = Recount()
        self.seed = seed

    @property
    def service(self) -> Offerlog:
        """Any of the services."""
        return self.chance.choice(self.services)

    def ask(self, organization: str, visitor: int, action_map: str, action: int | None) -> None:
        """Request an offer, with an action id or without one."""
        version = self.chance.choice([None, 3])
        media_type = self.chance.choice(["webchat", "contentOffer"])
        answer = self.service.offer(
            customer_id=f"visitor-{visitor}",
            action_map_id=action_map,
            session_id=an_id("session", visitor),
            action_id=None if action is None else an_id("action", visitor, action),
            action_map_version=version,
            media_type=media_type,
            organization=organization,
        )
        name = None if action is None else (organization, visitor, action_map, action)
        if isinstance(answer, OfferMade):
            self.recount.media_types[organization, action_map].add(media_type)
            return
        reason = answer.by.reason.value
        key = Key(organization, action_map, reason, self.clock.now(), media_type, version)
        self.recount.block(key, name)

    def report_offered(self, organization: str, visitor: int, action_map: str, action: int) -> None:
        """Record an `offered` signal, which may be refused."""
        line = signal(
            "offered",
            visitor=visitor,
            action=action,
            actionMapId=action_map,
            createdDate=self.clock.now().isoformat(),
            eventId=None,
        )
        (outcome,) = self.service.record([line], organization=organization).outcomes
        if outcome.kind is OutcomeKind.RECORDED:
            self.recount.media_types[organization, action_map].add("webchat")
        if outcome.kind is OutcomeKind.REFUSED:
            assert outcome.reason is not None
            key = Key(organization, action_map, outcome.reason.value, self.clock.now(), "webchat", None)
            self.recount.block(key, (organization, visitor, action_map, action))

    def report_blocked(self, organization: str) -> None:
        """Record some of the vendor's events in one call; some are repeats, also within the call."""
        lines, expected = [], []
        for _ in range(self.chance.choice([1, 1, 3])):
            event, visitor = self.chance.randrange(12), self.chance.randrange(3)
            action_map, reason = self.chance.choice(MAPS), self.chance.choice(REASONS)
            at = self.clock.now() - self.chance.choice([0, 1, 40]) * QUARTER
            line = blocked_event(event, visitor, action_map, reason, createdDate=at.isoformat())
            media_type = self.chance.choice([None, None, "webMessagingOffer"])
            version = self.chance.choice([None, 7])
            inner = line["blockedWebActionOfferEvent"]
            inner["actionMap"] |= {"version": version}
            inner["action"] = {"id": an_id("any"), "mediaType": media_type}
            if self.chance.random() < 0.1:
                at = self.clock.now() + timedelta(minutes=6)
                line["createdDate"] = at.isoformat()
                expected.append("refused")
            else:
                key = Key(organization, action_map, reason, at, media_type, version)
                is_new = self.recount.block(key, (organization, visitor, "event", event))
                expected.append("recorded" if is_new else "duplicate")
            lines.append(line)
        receipt = self.service.record(lines, organization=organization)
        assert [one.kind.value for one in receipt.outcomes] == expected, self.seed
        assert all(one.event_id == line["id"] for one, line in zip(receipt.outcomes, lines, strict=True))

    def step(self) -> None:
        """Do one thing, at a later time."""
        self.clock.advance(timedelta(seconds=self.chance.choice([0, 1, 400])))
        organization, visitor = self.chance.choice(ORGANIZATIONS), self.chance.randrange(3)
        action_map, action = self.chance.choice(MAPS), self.chance.randrange(8)
        kind = self.chance.random()
        if kind < 0.3:
            self.ask(organization, visitor, action_map, None)
        elif kind < 0.5:
            self.ask(organization, visitor, action_map, action)
        elif kind < 0.65:
            self.report_offered(organization, visitor, action_map, action)
        elif kind < 0.97:
            self.report_blocked(organization)
        else:
            self.services[0].catch_up()
            with suppress(NoSuchVisitorError):  # nothing was recorded since the last erasure
                self.services[0].erase(customer_id=f"visitor-{visitor}", organization=organization)
            self.recount.forget(organization, visitor)

    def crowd(self) -> None:
        """Fill a visitor-offer with refused offers, so that the next ones are not remembered."""
        for action in range(100, 101 + CROWD):
            self.ask("default", 0, MAPS[0], action)


def sum_by(place: int, counts: Counter[tuple[str, str]]) -> Counter[str]:
    """Add counts up by map (place 0) or reason (place 1)."""
    return sum((Counter({key[place]: number}) for key, number in counts.items()), Counter[str]())


def check(service: Offerlog, recount: Recount) -> None:
    """Compare every report with the recount."""
    service.catch_up()
    edges = [None, START.replace(minute=0), START.replace(minute=0) + 9 * QUARTER]
    for organization, start, end in product(ORGANIZATIONS, edges, edges):
        of_unknown, *of_known = (recount.select(organization, start, end, one) for one in MEDIA_TYPES)
        for one in of_known:
            of_unknown -= one
        for action_map in MAPS:
            query = ReportQuery(organization, start, end, action_maps=(action_map,), media_type="webchat")
            unknown = service.analysis.blocked_offers(query).unknown_media_type
            assert unknown == sum_by(0, of_unknown)[action_map]
        for media_type in MEDIA_TYPES:
            query = ReportQuery(organization, start, end, media_type=media_type)
            expected = recount.select(organization, start, end, media_type)
            made = service.analysis.blocked_offers(query)
            assert {(one.action_map_id, one.reason): one.blocked for one in made.parts} == expected
            assert made.total.blocked == expected.total()
            assert made.unknown_media_type == of_unknown.total()
            assert {one.reason: one.blocked for one in made.reasons} == sum_by(1, expected)
            assert made.total.remembered <= made.total.blocked
            expected = recount.select(organization, start, end, media_type, of_map=True)
            found = service.analysis.action_maps_report(query)
            in_rows: Counter[str] = Counter()
            for row in found.rows:
                in_rows[row.action_map_id] += row.blocked or 0
            assert +in_rows == sum_by(0, expected)
    check_versions(service, recount)


def check_versions(service: Offerlog, recount: Recount) -> None:
    """Compare the action maps report by version; it has several media types, and one that is not known."""
    expected: Counter[tuple[str, str | None, int | None]] = Counter()
    for key, number in recount.counts.items():
        if key.organization == "default":
            expected[key.action_map, recount.media_type_of(key), key.version] += number
    rows = service.analysis.action_maps_report(ReportQuery("default"), by_version=True).rows
    assert {
        (one.action_map_id, one.media_type, one.version): one.blocked for one in rows if one.blocked
    } == expected


def test_random_traffic_is_counted_as_by_hand(services: list[Offerlog], clock: SettableClock) -> None:
    """Requests with and without action ids, refused signals, the vendor's events, repeats and erasures."""
    # given
    traffic = Traffic(services, clock, seed=20261127)
    traffic.crowd()
    # when
    for _ in range(150):
        traffic.step()
    # then
    check(services[0], traffic.recount)
    assert traffic.recount.counts.total() > 100
    if len(services) > 1:
        services[0].rebuild()
        check(services[0], traffic.recount)
        assert all(not one.differences for one in services[0].verify())


def test_the_names_of_counted_offers_go_with_their_visitor(
    services: list[Offerlog], clock: SettableClock
) -> None:
    """Of one who has nothing else, too; the counts stay, and what is sent afterwards is new."""
    # given
    service = services[0]
    lines = [blocked_event(n, n, MAPS[0], "FrequencyCapping") for n in (1, 2)]
    service.record(lines)
    (held,) = service.visitor_data(customer_id="visitor-1")
    assert held.place == "counted_blocks"
    # when
    erased = service.erase(customer_id="visitor-1")
    # then
    assert (erased.events, erased.position) == (0, None)
    with pytest.raises(NoSuchVisitorError):
        service.visitor_data(customer_id="visitor-1")
    assert len(service.visitor_data(customer_id="visitor-2")) == 1
    clock.advance(QUARTER)
    assert [one.kind.value for one in service.record(lines).outcomes] == ["recorded", "duplicate"]
    service.catch_up()
    assert service.analysis.blocked_offers(ReportQuery("default")).total.blocked == 3


def test_a_visitor_of_whom_only_blocked_offers_are_counted_is_known_as_one_who_was_refused(
    services: list[Offerlog],
) -> None:
    """Something is held of both, so both are known and can be erased. Neither has an event to hold."""
    # given
    service = services[0]
    service.record([blocked_event(1, 1, MAPS[0], "FrequencyCapping"), {"customerId": "visitor-2"}])
    who = ("visitor-1", "visitor-2")
    # then
    assert [service.analysis.visitor(customer_id=one).is_known for one in (*who, "visitor-3")] == [
        True,
        True,
        False,
    ]
    assert not service.analysis.visitor(customer_id="visitor-1", organization="other").is_known
    for one in who:
        with pytest.raises(NoSuchVisitorError, match="a legal hold needs an event"):
            service.hold_visitor(customer_id=one, reason="lawsuit")
        service.erase(customer_id=one)
        assert not service.analysis.visitor(customer_id=one).is_known


def test_the_deletion_of_an_organization_takes_the_names_along(services: list[Offerlog]) -> None:
    """Those of other organizations stay; the counts do, too."""
    # given
    service = services[0]
    line = blocked_event(1, 1, MAPS[0], "FrequencyCapping")
    for organization in ORGANIZATIONS:
        service.record([line], organization=organization)
    # when
    deleted = service.organization_deletion.delete("acme")
    # then
    assert deleted.receipt is not None
    with pytest.raises(NoSuchVisitorError):
        service.visitor_data(customer_id="visitor-1", organization="acme")
    assert [one.kind.value for one in service.record([line]).outcomes] == ["duplicate"]
    assert [one.kind.value for one in service.record([line], organization="acme").outcomes] == ["recorded"]
    service.catch_up()
    assert service.analysis.blocked_offers(ReportQuery("acme")).total.blocked == 2


def test_organizations_whose_tokens_are_equal_count_in_one_group(services: list[Offerlog]) -> None:
    """Their tallies share a stream. Neither these nor others of the group wait for ever."""
    # given
    names = ("org4805", "org9193", "acme")
    assert make_organization_token(names[0]) == make_organization_token(names[1])
    service, count = services[0], 9
    # when
    waiting = [
        service.submit([blocked_event(n, n, MAPS[0], "FrequencyCapping")], organization=name)
        for n in range(count)
        for name in names
    ]
    receipts = [one.result(60) for one in waiting]
    # then
    assert {one.kind.value for receipt in receipts for one in receipt.outcomes} == {"recorded"}
    service.catch_up()
    for name in names:
        assert service.analysis.blocked_offers(ReportQuery(name)).total.blocked == count


def test_a_map_of_which_only_blocked_offers_are_counted_is_known(services: list[Offerlog]) -> None:
    """So it does not stay new for the limit of widget keys, in its own organization."""
    # given
    service = services[0]
    maps = [ActionMapId(one) for one in MAPS]
    assert service.changes.known_maps("default", maps) == set()
    # when
    service.wait(service.record([blocked_event(1, 1, MAPS[1], "Unknown")]).position)
    # then
    assert service.changes.known_maps("default", maps) == {MAPS[1]}
    assert service.changes.known_maps("other", maps) == set()


def test_a_tally_changes_the_report_of_its_map_alone(services: list[Offerlog]) -> None:
    """So a page that shows another map is not updated, and one that shows this map is."""
    # given
    service = services[0]
    before = service.position()
    # when
    receipt = service.record([blocked_event(1, 1, MAPS[1], "Unknown")])
    service.wait(receipt.position)
    # then
    assert service.changes.changed_maps(before, number_of(receipt.position)) == {"default": {MAPS[1]}}
