"""Short signals, in memory and on PostgreSQL: found by their action alone, parked, released, erased."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports import short_signals as port
from support.either_service import EITHER_STORE, open_either
from support.journeys import an_id
from support.model import MINUTE
from support.model_answers import outcomes_of
from support.model_short import ShortModel
from support.model_signals import WIRE
from support.scenario import START

MAP = an_id("map")
SESSION = an_id("session")


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock(START)


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], clock: SettableClock
) -> Iterator[Offerlog]:
    """An empty service on either store."""
    with open_either(request.param, make_dsn, clock) as one:
        yield one


def whole(state: str, action: str, *, customer: str = "anna", **more: object) -> dict[str, object]:
    """A signal in the browser's form."""
    return {
        "actionId": an_id(action),
        "actionState": state,
        "actionMapId": MAP,
        "customerId": customer,
        "sessionId": SESSION,
        **more,
    }


def short(state: str, action: str, **more: object) -> dict[str, object]:
    """A short signal."""
    return {"actionId": an_id(action), "actionState": state, "sessionId": SESSION, **more}


def outcome(service: Offerlog, signal: Mapping[str, object]) -> str:
    """The outcome of one signal."""
    (one,) = outcomes_of(service.record([signal]))
    return one


def reached(service: Offerlog, customer: str = "anna") -> list[str]:
    """The states of the visitor's events, in order."""
    history = service.history(customer_id=customer, action_map_id=MAP)
    return [event.state.value for event in history.events]


def kept(service: Offerlog) -> list[str]:
    """The reasons of all refusals."""
    return [one.reason or "" for one in service.refusals()]


def test_a_short_signal_is_decided_as_the_whole_one_that_its_action_makes_of_it(service: Offerlog) -> None:
    """Recorded, repeated, parked in its visitor-offer, released, and refused once the action is over."""
    assert outcome(service, whole("offered", "a", actionMapVersion=3)) == "recorded"
    assert outcome(service, short("accepted", "a", id=an_id("event"))) == "recorded"
    assert outcome(service, short("accepted", "a", id=an_id("event"))) == "duplicate"
    assert outcome(service, short("started", "a", id=an_id("event"))) == "refused: conflicting_duplicate"
    assert outcome(service, short("engaged", "a")) == "parked"
    assert outcome(service, whole("started", "a")) == "recorded"
    assert outcome(service, short("engaged", "a")) == "duplicate"
    assert outcome(service, short("abandoned", "a")) == "refused: action_over"
    assert outcome(service, short("offered", "a")) == "duplicate"
    assert outcome(service, short("completed", "a")) == "refused: not_tracked"
    assert reached(service) == ["offered", "accepted", "started", "engaged"]
    event = service.history(customer_id="anna", action_map_id=MAP).events[1]
    assert (event.event_id, event.action_map_version, event.dated) == (an_id("event"), 3, False)
    assert len(list(service.refusals())) == 3


def test_the_media_type_is_that_of_the_action(service: Offerlog) -> None:
    """A content offer ends with its acceptance, and never starts a chat."""
    service.record([whole("offered", "a", actionMediaType="contentOffer")])
    assert outcome(service, short("started", "a")) == "refused: not_tracked"
    assert outcome(service, short("accepted", "a")) == "recorded"
    assert service.eligibility(customer_id="anna", action_map_id=MAP) is not None


def test_it_waits_beside_the_log_until_its_action_is_offered(service: Offerlog, clock: SettableClock) -> None:
    """It counts at the time at which it came; a repeat meanwhile is one, also in the same batch."""
    # given
    assert outcomes_of(service.record([short("accepted", "a"), short("accepted", "a")])) == [
        "parked",
        "duplicate",
    ]
    assert outcome(service, short("accepted", "a")) == "duplicate"
    clock.advance(MINUTE)
    assert outcome(service, short("started", "a")) == "parked"
    service.expire()
    assert reached(service) == []
    # when
    clock.advance(MINUTE)
    assert [json.loads(one.raw) for one in service.parked()] == [
        short("accepted", "a"),
        short("started", "a"),
    ]
    assert service.operations.figures().parked.count == 2
    service.record([whole("offered", "a")])
    service.expire()
    # then
    assert list(service.parked()) == []
    history = service.history(customer_id="anna", action_map_id=MAP)
    assert [(one.state.value, one.occurred_at, one.recorded_at) for one in history.events] == [
        ("offered", START + 2 * MINUTE, START + 2 * MINUTE),
        ("accepted", START, START + 2 * MINUTE),
        ("started", START + MINUTE, START + 2 * MINUTE),
    ]
    assert service.expire().position is None
    assert outcome(service, short("started", "a")) == "duplicate"
    assert kept(service) == []


@pytest.mark.parametrize("minutes", [14, 15])
def test_the_wait_ends_with_the_parking_time(service: Offerlog, clock: SettableClock, minutes: int) -> None:
    """Whether the action was offered in time counts, not when somebody looks."""
    # given
    service.record([short("accepted", "a")])
    clock.advance(minutes * MINUTE)
    service.record([whole("offered", "a")])
    clock.advance(60 * MINUTE)
    # when
    expired = service.expire()
    # then
    if minutes == 15:
        assert (expired.never_reachable, reached(service)) == (1, ["offered"])
        assert kept(service) == ["never_reachable"]
    else:
        assert (expired.never_reachable, reached(service)) == (0, ["offered", "accepted"])
    assert service.expire().never_reachable == 0


def test_of_two_visitor_offers_with_an_action_the_open_one_has_the_signal(service: Offerlog) -> None:
    """As soon as the action is open in one of them alone, whether it ended earlier or in the same batch."""
    # given
    service.record([whole("offered", "a"), whole("ignored", "a"), whole("offered", "a", customer="ben")])
    service.record([whole("offered", "b", customer="cleo"), whole("offered", "b", customer="dora")])
    # when
    outcomes = outcomes_of(service.record([short("accepted", "a"), short("accepted", "a")]))
    waiting = outcome(service, short("accepted", "b"))
    service.record([whole("rejected", "b", customer="dora")])
    service.expire()
    # then
    assert (outcomes, waiting) == (["recorded", "duplicate"], "parked")
    assert [reached(service, one) for one in ("anna", "ben", "cleo", "dora")] == [
        ["offered", "ignored"],
        ["offered", "accepted"],
        ["offered", "accepted"],
        ["offered", "rejected"],
    ]
    assert list(service.parked()) == []


def test_an_id_of_many_visitor_offers_is_nobodys(service: Offerlog) -> None:
    """Their states are not looked at: one id for all visitors must not make each signal load them all."""
    many = [f"visitor-{n}" for n in range(port.MOST_OFFERS_OF_ACTION + 1)]
    service.record([whole("offered", "a", customer=one) for one in many])
    service.record([whole("ignored", "a", customer=one) for one in many[2:]])
    assert outcome(service, short("accepted", "a")) == "parked"
    service.record([whole("ignored", "a", customer=many[1])])
    service.expire()
    assert len(list(service.parked())) == 1
    assert reached(service, many[0]) == ["offered"]


def test_an_action_that_is_open_in_two_visitor_offers_is_nobodys(
    service: Offerlog, clock: SettableClock
) -> None:
    """Nobody can tell whose signal it is: it waits, and is refused."""
    service.record([whole("offered", "a"), whole("offered", "a", customer="ben")])
    assert outcome(service, short("accepted", "a")) == "parked"
    service.expire()
    clock.advance(15 * MINUTE)
    assert service.expire().never_reachable == 1
    assert (reached(service), reached(service, "ben")) == (["offered"], ["offered"])
    assert [(one.reason, json.loads(one.raw)) for one in service.refusals()] == [
        ("never_reachable", short("accepted", "a"))
    ]


def test_one_batch_is_put_in_order_with_its_short_signals(service: Offerlog) -> None:
    """The action is found among the signals of the same batch, whatever their order."""
    batch = [short("engaged", "a"), short("accepted", "a"), whole("offered", "a"), whole("started", "a")]
    assert outcomes_of(service.record(batch)) == ["recorded"] * 4
    assert reached(service) == ["offered", "accepted", "started", "engaged"]


def test_an_old_offer_is_not_found(service: Offerlog, clock: SettableClock) -> None:
    """Neither one that is dated far back nor one that was recorded long ago: an import costs nothing."""
    long_ago = (START - timedelta(hours=2)).isoformat()
    service.record([whole("offered", "a", createdDate=long_ago)])
    assert outcome(service, short("accepted", "a")) == "parked"
    service.record([whole("offered", "b", customer="ben")])
    clock.advance(timedelta(hours=2, seconds=1))
    service.expire()
    assert outcome(service, short("accepted", "b")) == "parked"


def test_too_many_that_wait_are_refused(service: Offerlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same organization; whatever finds its action is recorded all the same."""
    for module in ("memory.short_signals", "postgres.log.short_signals"):
        monkeypatch.setattr(f"offerlog_infrastructure.{module}.MAX_PARKED_SHORT_SIGNALS", 2)
    assert port.MAX_PARKED_SHORT_SIGNALS == 10_000
    service.record([whole("offered", "a"), short("accepted", "b"), short("accepted", "c")])
    assert outcome(service, short("accepted", "d")) == "refused: crowded"
    assert outcome(service, short("accepted", "b")) == "duplicate"
    assert outcome(service, short("accepted", "a")) == "recorded"
    service.record([whole("offered", "e", customer=one) for one in ("ben", "cleo")])
    assert outcome(service, short("accepted", "e")) == "refused: crowded"
    assert outcomes_of(service.record([short("accepted", "d")], organization="other")) == ["parked"]


def test_an_erasure_takes_the_look_up_and_what_waits_for_the_visitor(service: Offerlog) -> None:
    """A late signal finds nobody; the action may be offered again, in a new life."""
    # given
    service.record([whole("offered", "a"), whole("offered", "b", customer="ben")])
    service.record([whole("offered", "a", customer="carl"), short("accepted", "a")])
    held = [row for row in service.visitor_data(customer_id="anna") if row.place == "named_actions"]
    assert [row.fields["action_map_id"] for row in held] == [UUID(MAP)]
    # when
    service.erase(customer_id="anna")
    service.expire()
    # then
    assert reached(service, "carl") == ["offered"]
    assert outcome(service, short("accepted", "b")) == "recorded"
    service.erase(customer_id="carl")
    assert outcome(service, short("accepted", "a")) == "parked"
    service.record([whole("offered", "a")])
    service.expire()
    assert reached(service) == ["offered", "accepted"]


def test_a_deleted_organization_leaves_nothing_that_waits(service: Offerlog, clock: SettableClock) -> None:
    """Nor anything that can be found."""
    service.record([whole("offered", "a"), short("accepted", "b")])
    service.organization_deletion.delete("default")
    clock.advance(15 * MINUTE)
    assert service.expire().never_reachable == 0
    assert outcome(service, short("accepted", "a")) == "parked"


def drawn(chance: random.Random, now_and_then: int) -> dict[str, Any]:
    """A signal as the model hears it, whole or short, of few actions and visitors."""
    return {
        "action": an_id("action", chance.randrange(4)),
        "state": chance.choice(
            ["offered"] * 3
            + ["accepted", "started", "engaged", "rejected", "errored", "abandoned"]
            + ["qualified", "completed"] * (chance.randrange(now_and_then) == 0)
        ),
        "session": SESSION,
        "id": chance.choice([None, None, an_id("event", chance.randrange(3))]),
        "code": chance.choice([None, None, "00045"]),
        "message": None,
        "customer": chance.choice(["anna", "ben"]),
        "kind": "cookie",
        "map": MAP,
        "media": chance.choice(["webchat"] * 5 + ["contentOffer"]),
        "at": None,
        "version": chance.choice([3, None]),
        "timeout": chance.choice([None, None, 60]),
        "name": None,
    }


SHORT = ("action", "state", "session", "id", "code")


def test_whatever_comes_the_service_and_a_naive_model_say_the_same(
    service: Offerlog, clock: SettableClock
) -> None:
    """Outcomes, histories and refusals of random whole and short signals, one at a time."""
    for seed in range(6):
        clock.set(START)
        compare_with_the_model(service, clock, seed)


def compare_with_the_model(service: Offerlog, clock: SettableClock, seed: int) -> None:
    """An organization of its own for each seed."""
    chance, model, organization = random.Random(seed), ShortModel(), f"seed-{seed}"  # noqa: S311 - the same again
    for _ in range(60):
        signal = drawn(chance, 4)
        is_short = chance.random() < 0.55
        if chance.random() < 0.4 and not is_short:
            signal["at"] = clock.now() - chance.choice([0, 1, 40, 121]) * MINUTE
        names = SHORT if is_short else tuple(WIRE)
        wire = {WIRE[name]: signal[name] for name in names if signal[name] is not None}
        if signal["at"] is not None:
            wire["createdDate"] = signal["at"].isoformat()
        raw = json.dumps(wire).encode()
        if is_short:
            one = {name: signal[name] for name in (*SHORT, "message")} | {"raw": raw}
            expected = model.record_short(one, clock.now())
        else:
            (expected,) = model.record([signal | {"raw": raw}], clock.now())
        assert outcomes_of(service.record([raw], organization=organization)) == [expected], (seed, wire)
        if chance.random() < 0.3:
            clock.advance(chance.choice([1, 1, 5]) * MINUTE)
        if chance.random() < 0.3:
            service.expire()
            model.expire(clock.now())
    for (customer, _, _), offer in model.offers.items():
        history = service.history(customer_id=customer, action_map_id=MAP, organization=organization)
        assert [(one.state.value, one.action_id, one.occurred_at) for one in history.events] == [
            (one["state"], one["action"], one["occurred"]) for one in offer["events"]
        ]
    refusals = service.refusals(organization=organization)
    assert sorted((one.reason, one.raw) for one in refusals) == sorted(model.refusals)
