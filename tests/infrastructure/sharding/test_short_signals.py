"""Signals that name their action alone, over several servers: each finds its visitor-offer."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import pytest

from offerlog import Outcome, OutcomeKind, Reason, ShardUnavailableError
from offerlog.testing import SettableClock
from offerlog_application.ports.short_signals import NamedAction
from offerlog_application.sharding.action_search import ActionSearch, FoundActions
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_application.sharding.short_signal_release import ReleaseOverShards
from offerlog_infrastructure.installation import Installation
from support.http_site import serving
from support.installations import (
    Stores,
    make_stores,
    move_slice,
    owners_of,
    shard_of,
    visitors_of_slice,
    without_password,
)
from support.journeys import DAY, an_id, signal
from support.keyrings import run_keyring
from support.recount import until

_NOW: Final = DAY + timedelta(minutes=1)


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f; the first is behind a proxy."""
    with make_stores(make_module_dsn, "6-a", "b-f") as stores:
        yield stores


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock(_NOW)


@pytest.fixture
def service(stores: Stores, clock: SettableClock) -> Iterator[ShardedOfferlog]:
    """The service over all of them."""
    with stores.open(clock=clock) as service:
        yield service


def _short(state: str, visitor: object, action: int = 1) -> dict[str, object]:
    return {
        "actionId": an_id("action", visitor, action),
        "actionState": state,
        "sessionId": an_id("session", visitor),
    }


def _visitor_of(service: ShardedOfferlog, shard: int, name: str) -> str:
    return next(f"{name}-{n}" for n in range(1_000) if shard_of(service, f"{name}-{n}") == shard)


def _visitors(service: ShardedOfferlog, name: str) -> list[str]:
    """One visitor on each shard."""
    return [_visitor_of(service, number, name) for number in range(3)]


def _kinds(outcomes: tuple[Outcome, ...] | Any) -> list[OutcomeKind]:
    return [one.kind for one in outcomes]


def _record(service: ShardedOfferlog, *signals: dict[str, object]) -> list[OutcomeKind]:
    return _kinds(service.record(signals).outcomes)


def _states(service: ShardedOfferlog, visitor: str) -> list[str]:
    found = service.history(customer_id=f"visitor-{visitor}", action_map_id=an_id("map"))
    return [one.state for one in found.events]


def _count_refusals(service: ShardedOfferlog, reason: Reason) -> int:
    return dict(service.refusal_counts().counts).get(reason, 0)


def test_each_finds_its_action_and_what_finds_none_waits_once(service: ShardedOfferlog) -> None:
    """In batches with whole signals, too: order stays as it came."""
    visitors = _visitors(service, "known")
    # when each action is offered and answered in one batch
    batch = [one for v in visitors for one in (signal("offered", visitor=v), _short("accepted", v))]
    assert _record(service, *batch) == [OutcomeKind.RECORDED] * 6
    # then later signals are recorded, and repeats are duplicates
    started = [_short("started", one) for one in visitors]
    assert _record(service, *started) == [OutcomeKind.RECORDED] * 3
    assert _record(service, *started, *started) == [OutcomeKind.DUPLICATE] * 6
    assert [_states(service, one) for one in visitors] == [["offered", "accepted", "started"]] * 3
    # and one of an action that is not known waits, once
    unknown = _visitor_of(service, 1, "unknown")
    assert _record(service, _short("accepted", unknown), _short("accepted", unknown)) == [
        OutcomeKind.PARKED,
        OutcomeKind.DUPLICATE,
    ]
    assert _record(service, _short("accepted", unknown)) == [OutcomeKind.DUPLICATE]
    assert len(list(service.parked())) == 1
    # and a batch whose offer comes behind it: the offer is decided as it came
    (late,) = [_visitor_of(service, 2, "late")]
    mixed = [_short("ignored", visitors[0]), signal("offered", visitor=late), _short("rejected", late)]
    assert _kinds(service.record(mixed).outcomes)[1:] == [OutcomeKind.RECORDED] * 2


def test_it_is_released_wherever_its_offer_comes_also_if_the_slice_moves(
    service: ShardedOfferlog, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, although several processes look, or one is interrupted; a refusal is kept once, too."""
    visitors = _visitors(service, "early")
    moving, over = (one.removeprefix("visitor-") for one in visitors_of_slice(service, 12, 600)[5:7])
    waiting = [*visitors, over, moving]
    parked = len(list(service.parked()))
    assert _record(service, *(_short("accepted", one) for one in waiting)) == [OutcomeKind.PARKED] * 5
    # when the offers come, one is over before its signal is looked at, and a slice moves
    assert set(_record(service, *(signal("offered", visitor=one) for one in waiting))) == {
        OutcomeKind.RECORDED
    }
    assert _record(service, signal("rejected", visitor=over)) == [OutcomeKind.RECORDED]
    move_slice(stores, 12, 0)
    # and a process is killed between the two stores
    with monkeypatch.context() as killed:
        killed.setattr(ReleaseOverShards, "_end", _kill)
        service._short_signals.release()
    assert len(list(service.parked())) == parked + 5
    move_slice(stores, 12, 2)
    with stores.open(clock=SettableClock(_NOW)) as other, ThreadPoolExecutor(4) as threads:
        looks = [threads.submit(one._short_signals.release) for one in (service, other, service, other)]
        assert sum(one.result(60)[0] for one in looks) == 0
    # then each was recorded once
    assert [_states(service, one) for one in (*visitors, moving)] == [["offered", "accepted"]] * 4
    # and the refusal is its visitor's, whose slice has moved since the first look
    assert _states(service, over) == ["offered", "rejected"]
    assert [one.reason for one in service.refusals(customer_id=f"visitor-{over}")] == [Reason.ACTION_OVER]
    assert _count_refusals(service, Reason.ACTION_OVER) == 1
    assert len(list(service.parked())) == parked
    # and behind the move an action is found where it is
    assert _record(service, _short("started", moving)) == [OutcomeKind.RECORDED]
    # and a refusal whose reason may pass is kept at the home, which ends the wait with it
    full = _visitor_of(service, 1, "full")
    crowd = [signal("accepted", visitor=full, action=n) for n in range(10, 74)]
    assert _record(service, _short("started", full)) == [OutcomeKind.PARKED]
    _record(service, signal("offered", visitor=full), *crowd)
    service._short_signals.release()
    assert _count_refusals(service, Reason.CROWDED) == 1
    assert list(service.refusals(customer_id=f"visitor-{full}")) == []


def _kill(*_: object) -> bool:
    raise RuntimeError("killed here")


def test_nothing_is_guessed_while_a_server_is_down(
    service: ShardedOfferlog, stores: Stores, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the others know is recorded; the rest is an error, and what waits is not given up."""
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    up, down = _visitor_of(service, 2, "up"), _visitor_of(service, 1, "down")
    lost = _visitor_of(service, 0, "lost")
    _record(service, signal("offered", visitor=up), signal("offered", visitor=down), _short("accepted", lost))
    refused = _count_refusals(service, Reason.NEVER_REACHABLE)
    with serving(service) as site, site.client() as client:
        stores.proxy.go_away()
        try:
            # when
            assert _record(service, _short("accepted", up)) == [OutcomeKind.RECORDED]
            with pytest.raises(ShardUnavailableError, match="shard 1"):
                _record(service, _short("accepted", down))
            answer = client.post("/v1/signals", json=_short("accepted", down))
            # then
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
            assert "shard 1 (slices: 6-a)" in answer.json()["detail"]
            # and what waits is not given up, as that server may know the action
            clock.advance(timedelta(minutes=20))
            assert service._short_signals.release() == (0, None)
        finally:
            stores.proxy.come_back()
        until(lambda: client.post("/v1/signals", json=_short("accepted", down)).status_code == 200, 60)
    service.expire()
    assert list(service.parked()) == []
    assert _count_refusals(service, Reason.NEVER_REACHABLE) > refused
    assert _states(service, down) == ["offered", "accepted"]


def test_nothing_is_given_up_that_a_moved_slice_or_a_new_server_knows(
    service: ShardedOfferlog,
    stores: Stores,
    clock: SettableClock,
    make_module_dsn: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server was added while the processes were open, and one of them has not asked for the new map."""
    visitor = visitors_of_slice(service, 2, 900)[7].removeprefix("visitor-")
    assert _record(service, _short("accepted", visitor)) == [OutcomeKind.PARKED]
    with stores.open(clock=clock) as quiet:
        stores.dsns.append(make_module_dsn())
        with Installation(None, stores.dsns[0], run_keyring()) as installation:
            assert installation.add(without_password(stores.dsns[3]), ()) == 3
        with stores.open(clock=SettableClock(_NOW)) as other:
            assert _record(other, signal("offered", visitor=visitor)) == [OutcomeKind.RECORDED]
            other.catch_up()
        clock.advance(timedelta(minutes=20))
        # when its slice moves just while its action is looked for
        with monkeypatch.context() as patch:
            patch.setattr(ActionSearch, "find", lambda _, actions: _find_too_late(stores, actions))
            assert service._short_signals.release() == (0, None)
        assert owners_of(stores, 2) == [3]
        # and somebody looks who does not know of the new server
        assert 3 not in quiet.servers()
        assert quiet._short_signals.release()[0] == 0
        # then
        assert _states(quiet, visitor) == ["offered", "accepted"]


def _find_too_late(stores: Stores, actions: Collection[NamedAction]) -> FoundActions:
    move_slice(stores, 2, 3)
    return FoundActions({one: [] for one in actions}, None)
