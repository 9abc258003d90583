"""The service in memory and the service on PostgreSQL pass the same tests."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from offerlog import (
    ArgumentError,
    ArgumentTypeError,
    Cohort,
    CountBy,
    Granularity,
    KeyExpiryError,
    MalformedSignalError,
    MetricSet,
    NoReplicaError,
    OfferBlocked,
    Offerlog,
    OfferMade,
    Order,
    OrganizationNameError,
    OutcomeKind,
    Reason,
    RefusalPolicy,
    ReportQuery,
    Role,
    State,
    UnknownKeyError,
    UnknownProjectionError,
    UnknownVisitorError,
    VisitorKey,
    open_offerlog,
)
from offerlog.testing import SettableClock, open_in_memory
from offerlog_domain.identity import ActionMapId
from support.journeys import DAY, an_id, journeys, signal
from support.positions import number_of

Open = Callable[..., Offerlog]

MAP = an_id("map")
OFFER: Any = {"customer_id": "visitor-1", "action_map_id": MAP, "session_id": an_id("session")}
VISITOR: Any = {"customer_id": "visitor-1", "action_map_id": MAP}


@pytest.fixture
def clock() -> SettableClock:
    """The clock of both services, on the day after that of the journeys."""
    return SettableClock(DAY + timedelta(days=1))


@pytest.fixture
def make(make_dsn: Callable[[], str], clock: SettableClock) -> Iterator[Open]:
    """Opens a service by the name of its kind."""
    opened: list[Offerlog] = []

    def open_one(kind: str, **options: Any) -> Offerlog:
        if kind == "in memory":
            service = open_in_memory("default", clock=clock, **options)
        else:
            service = open_offerlog(
                database_url=make_dsn(),
                organization="default",
                clock=clock,
                keep_deadlines=False,
                **options,
            )
        opened.append(service)
        return service

    yield open_one
    for service in opened:
        service.close()


@pytest.fixture(params=["in memory", "on PostgreSQL"])
def service(request: pytest.FixtureRequest, make: Open) -> Offerlog:
    """An empty service of either kind."""
    return make(request.param)


def answers(service: Offerlog) -> dict[str, Any]:
    """Everything that a service answers about its log, but for what no two logs share."""
    service.catch_up()
    queries = [
        replace(
            ReportQuery("default"), by=by, count_by=count_by, cohort=cohort, view=MetricSet.FULL, zone=zone
        )
        for by in Granularity
        for count_by in CountBy
        for cohort in Cohort
        for zone in (ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe"))
    ]
    maps = [an_id("map", n) for n in range(3)]
    people = [VisitorKey("cookie", f"visitor-{n}") for n in range(40)]
    return {
        "reports": [service.report(query).rows for query in queries],
        "one map": service.report(ReportQuery("default", action_maps=(maps[1],))).rows,
        "maps": list(service.action_maps()),
        "suppressions": [list(service.suppressions(who, kind)) for kind, who in people],
        "of many": service.suppressions_of(people),
        "of maps": [sorted(service.suppressed_visitors(one), key=repr) for one in maps],
        "parked": [(one.recorded_at, one.raw, one.raw_length) for one in service.parked()],
        "refusals": sorted(
            (one.recorded_at, str(one.reason), str(one.field), str(one.cause), one.raw, one.raw_length)
            for one in service.refusals()
        ),
        "newest first": [one.recorded_at for one in service.refusals(order=Order.NEWEST)],
        "counts": service.refusal_counts(),
        "histories": [
            [(event.state, event.action_number, event.occurred_at, event.stage) for event in history.events]
            for _, who in people
            for one in maps
            for history in [service.history(customer_id=who, action_map_id=one)]
        ],
        "eligibility": [
            service.check_eligibility(customer_id=who, action_map_id=one) for _, who in people for one in maps
        ],
        "kinds": [(kind.topic, kind.events, kind.error) for kind in service.stored_kinds()],
        "proofs": [(proof.projection, proof.events, proof.differences) for proof in service.verify()],
        "organizations": (service.organizations.names(), service.organizations.names_with_signals()),
    }


def test_the_same_signals_get_the_same_outcomes_and_answers(make: Open, clock: SettableClock) -> None:
    """Journeys of every kind, with repeats, nonsense, a wait that ends, and everything that can be asked."""
    # given the two services
    memory, store = make("in memory"), make("on PostgreSQL")
    lines = journeys(40)
    batches = [lines[start : start + 7] for start in range(0, len(lines), 7)]
    batches += [batches[0], [b"nonsense", b'{"actionId": 1}']]
    # when both get the same batches, and time passes
    for batch in batches:
        outcomes = memory.record(batch).outcomes
        assert store.record(batch).outcomes == outcomes
    assert answers(memory) == answers(store)
    clock.advance(timedelta(days=1))
    ended, ended_in_store = memory.expire(), store.expire()
    # then they answer the same before and after
    assert (ended.timedout, ended.never_reachable) == (
        ended_in_store.timedout,
        ended_in_store.never_reachable,
    )
    assert ended.never_reachable
    assert answers(memory) == answers(store)


def test_a_list_of_suppressed_visitors_can_be_continued_anywhere(service: Offerlog) -> None:
    """After each visitor in it come the others behind; its order is nothing that two stores share."""
    # given
    service.wait(service.record(journeys(70)).position or 0)
    listed = list(service.suppressed_visitors(an_id("map", 0)))
    visitors = [VisitorKey(one.customer_id_type, one.customer_id) for one in listed]
    assert len(set(visitors)) > 10
    # when
    rests = [list(service.suppressed_visitors(an_id("map", 0), behind=visitor)) for visitor in visitors]
    # then
    assert rests == [listed[place:] for place in range(1, len(listed) + 1)]
    with pytest.raises(UnknownVisitorError, match="is unknown: begin the list again") as unknown:
        list(service.suppressed_visitors(an_id("map", 0), behind=VisitorKey("cookie", "nobody")))
    assert unknown.value.argument == "behind"


def test_an_offer_is_made_once_and_then_explained(service: Offerlog) -> None:
    """The same id again gets the same decision; another one is blocked, with the reason."""
    made = service.offer(**OFFER, action_id=an_id("a"))
    assert isinstance(made, OfferMade)
    assert service.offer(**OFFER, action_id=an_id("a")) == OfferMade(made.action_id, None)
    blocked = service.offer(**OFFER)
    assert isinstance(blocked, OfferBlocked)
    assert (blocked.by.reason, blocked.by.state) == (Reason.ALREADY_OPEN, State.OFFERED)
    assert service.eligibility(**VISITOR) == blocked.by
    assert service.blocked_offers() == {Reason.ALREADY_OPEN: 1}
    assert service.check_eligibility(customer_id="nobody", action_map_id=MAP).known is False


def test_a_time_out_is_recorded_once_when_it_is_due(service: Offerlog, clock: SettableClock) -> None:
    """After the time-out and the grace, by the service's clock; and it suppresses."""
    service.offer(**OFFER, timeout_seconds=45)
    clock.advance(timedelta(minutes=15))
    assert service.expire().timedout == 0
    clock.advance(timedelta(minutes=1))
    assert [service.expire().timedout for _ in range(2)] == [1, 0]
    (suppression,) = service.suppressions("visitor-1")
    assert suppression.state == "timedout"
    assert service.history(**VISITOR).state is State.TIMEDOUT


def test_histories_go_back_in_time_and_versions(service: Offerlog, clock: SettableClock) -> None:
    """As they were at a version, and at a time."""
    before = clock.now()
    made = service.offer(**OFFER)
    assert isinstance(made, OfferMade)
    clock.advance(timedelta(seconds=10))
    service.record([signal("accepted") | {"actionId": made.action_id, "createdDate": None}])
    assert service.history(**VISITOR).version == 2
    assert service.history(**VISITOR, version=1).state is State.OFFERED
    assert service.history(**VISITOR, as_of=before).state is State.OFFERED
    assert service.history(**VISITOR, as_of=before - timedelta(seconds=1)).version == 0


def test_organizations_do_not_see_each_other(service: Offerlog) -> None:
    """Nor does a key open another one's data."""
    service.offer(**OFFER)
    service.record([signal("offered", visitor=2)], organization="other")
    service.catch_up()
    assert service.history(**VISITOR, organization="other").known is False
    assert [name for name, _ in service.action_maps(organization="other")] == [MAP]
    assert service.organizations.names() == ["default", "other"]
    service.organizations.register("third")
    key, text = service.keys.create("fourth", Role.SERVICE, "shop", ["https://shop.example"])
    assert service.organizations.names() == ["default", "fourth", "other", "third"]
    assert service.organizations.names_with_signals() == ["default", "other"]
    assert service.keys.find(text) == service.keys.find_id(key.id) == key
    with pytest.raises(UnknownKeyError):
        service.keys.revoke("default", key.id)
    assert service.keys.revoke("fourth", key.id).revoked_at is not None
    assert service.keys.find(text) is None
    assert [one.id for one in service.keys.all("fourth")] == [key.id]
    page, page_text = service.keys.create("fourth", Role.PAGE, "shop", ["https://shop.example"])
    assert service.keys.find(page_text) == page
    assert service.keys.signing_secret(page) == page_text.encode()
    with pytest.raises(UnknownKeyError):
        service.keys.signing_secret(key)


def test_a_key_ends_and_its_use_is_known(
    service: Offerlog, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the service's clock, also where a process remembers the key; uses are stored some minutes apart."""
    # given
    keys, made_at = service.keys, clock.now()
    key, text = keys.create("default", Role.REPORTER, "", expires_at=made_at + timedelta(days=1))
    _, lasting = keys.create("default", Role.REPORTER, "")
    for wrong in (made_at, (made_at + timedelta(days=1)).replace(tzinfo=None)):
        with pytest.raises(KeyExpiryError):
            keys.create("default", Role.REPORTER, "", expires_at=wrong)
    # when
    assert keys.record_uses() == 0
    assert keys.find(text) == keys.find_remembered(text) == key
    used = [(keys.record_uses(), keys.all("default")[0].last_used_at)]
    with monkeypatch.context() as forgetful:
        forgetful.setattr("offerlog_infrastructure.postgres.keys._REMEMBERED_SECONDS", 0.0)
        for minutes in (4, 1):
            clock.advance(timedelta(minutes=minutes))
            assert keys.find_id(key.id) is not None
            used.append((keys.record_uses(), keys.all("default")[0].last_used_at))
    # then
    later = made_at + timedelta(minutes=5)
    assert used == [(1, made_at), (0, made_at), (1, later)]
    # when
    clock.advance(timedelta(days=1, minutes=-5))
    # then
    assert keys.find_remembered(text) is keys.find(text) is None
    assert keys.find_remembered_id(key.id) is keys.find_id(key.id) is None
    assert keys.is_unknown(text)
    ended = keys.find_expired(text)
    assert ended is not None
    assert ended.id == key.id
    assert keys.find_expired(lasting) is None
    assert keys.find(lasting) is not None
    assert keys.record_uses() == 1


@pytest.mark.parametrize("kind", ["in memory", "on PostgreSQL"])
def test_refusals_are_kept_by_their_policy(make: Open, clock: SettableClock, kind: str) -> None:
    """Texts up to a quota a day, lines for a time, and counts for ever."""
    service = make(kind, refusal_policy=RefusalPolicy(timedelta(days=1), text_bytes_a_day=20))
    service.record([b"nonsense 1", b"nonsense 2", b"nonsense 3"])
    kept = [(one.raw, one.raw_length) for one in service.refusals()]
    assert kept == [(b"nonsense 1", 10), (b"nonsense 2", 10), (b"", 10)]
    first, *_ = service.refusals()
    behind = list(service.refusals(behind=(first.recorded_at, first.number)))
    assert [one.raw for one in behind] == [b"nonsense 2", b""]
    assert list(service.refusals(reason=Reason.CROWDED)) == []
    assert list(service.refusals(until=first.recorded_at)) == []
    clock.advance(timedelta(days=2))
    assert service.prune_refusals() == 3
    assert list(service.refusals()) == []
    assert service.refusal_counts().counts == {Reason.MALFORMED: 3}
    assert service.refusal_counts(since=clock.now()).counts == {}


def test_the_same_mistakes_are_errors(service: Offerlog) -> None:
    """Of the same classes."""
    with pytest.raises(MalformedSignalError):
        service.offer(customer_id="", action_map_id=MAP, session_id=MAP)
    with pytest.raises(OrganizationNameError):
        service.record([], organization="not a name")
    for ask in (service.proof, service.verify, service.rebuild):
        with pytest.raises(KeyError) as raised:
            ask("nothing")
        assert isinstance(raised.value, UnknownProjectionError)
        assert sorted(raised.value.known) == ["current_state", "performance", "suppression"]
        assert str(raised.value).startswith("there is no projection 'nothing'; the projections are ")
    with pytest.raises(ValueError, match="version: 0 or more is needed, not -1") as wrong:
        service.history(customer_id="visitor-1", action_map_id=MAP, version=-1)
    assert isinstance(wrong.value, ArgumentError)
    assert wrong.value.argument == "version"
    with pytest.raises(ArgumentError, match="as_of: a time with an offset is needed"):
        service.history(customer_id="visitor-1", action_map_id=MAP, as_of=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake
    with pytest.raises(TypeError, match="signals are given as a list") as one:
        service.record(cast("Any", b"{}"))
    assert isinstance(one.value, ArgumentTypeError)
    with pytest.raises(RuntimeError, match="not given a folder") as without:
        service.local_suppressions("visitor-1")
    assert isinstance(without.value, NoReplicaError)
    assert service.dead_letters() == []
    assert service.retry_dead_letters() == 0


def test_positions_grow_and_what_changed_is_known(service: Offerlog) -> None:
    """What a receipt tells is what the projections reach."""
    receipts = [service.record([signal("offered", visitor=n)]) for n in range(3)]
    positions = [number_of(receipt.position) for receipt in receipts]
    assert positions == sorted(set(positions))
    service.wait(positions[-1])
    assert service.position() >= positions[-1]
    assert {status.name for status in service.projections()} == {
        "current_state",
        "performance",
        "suppression",
    }
    assert service.freshness().short_by == 0
    assert service.changes.changed_maps(positions[0], positions[-1]) == {"default": {MAP}}
    asked = [ActionMapId(MAP), ActionMapId(an_id("unknown"))]
    assert service.changes.known_maps("default", asked) == {MAP}
    assert receipts[0].outcomes[0].kind is OutcomeKind.RECORDED
