"""Webhooks over several servers: each event once, a visitor's in order, wherever its slice has moved."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from offerlog.testing import SettableClock
from offerlog_application.ports.positions import by_shard
from offerlog_application.ports.shards import HOME, EndUnknownError, ShardUnavailableError
from offerlog_application.ports.webhooks import WebhookEndpoint
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_application.webhooks import delivering
from offerlog_application.webhooks.courier import Courier
from offerlog_infrastructure.postgres.shards.handover import Handover
from offerlog_infrastructure.postgres.shards.move_ends import MoveEnds
from offerlog_infrastructure.postgres.shards.moving import SliceMover
from support.http_site import serving
from support.installations import Stores, make_stores, move_slice, undo_move, visitors_of_slice
from support.journeys import DAY, signal
from support.receiver import Answer, Receiver, receiving
from support.recount import until

_NUMBER = 3
"""A slice that the home has, until a test moves it."""

_LAST = 5
"""The last slice of the home, which one test moves."""

_STAYING = 12
"""A slice that no test moves."""


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f."""
    with make_stores(make_module_dsn, "6-a", "b-f") as stores:
        yield stores


@pytest.fixture
def clock() -> SettableClock:
    """The clock of the service."""
    return SettableClock(DAY + timedelta(days=1))


@pytest.fixture
def service(stores: Stores, clock: SettableClock) -> Iterator[ShardedOfferlog]:
    """The service over all of them, which may send to this machine."""
    with stores.open(clock=clock, webhook_networks="127.0.0.1/32") as service:
        yield service
        for one in service.webhooks.all():
            service.webhooks.delete(one.endpoint.id)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on this machine."""
    with receiving() as running:
        yield running


@contextmanager
def courier_of(service: ShardedOfferlog) -> Iterator[Courier]:
    """A courier that looks when a test says so."""
    webhooks = service.webhooks
    made = Courier(webhooks._store, service.feed, webhooks._make_sender, webhooks._clock)
    try:
        yield made
    finally:
        made.close()


def deliver(courier: Courier) -> None:
    """Look until nothing more can be sent now."""
    for _ in range(3):
        while courier.look():
            pass
        until(lambda: not any(one.name.startswith("offerlog-webhook-") for one in threading.enumerate()))


def arrived(receiver: Receiver, secret: str) -> list[tuple[str, str]]:
    """The visitor-offer and the kind of each event at `/hook`, as it came, but for what is sent again."""
    found: list[tuple[str, str]] = []
    ids: set[str] = set()
    for one in [one for one in receiver.got if one.path == "/hook"]:
        event = one.verify(secret)
        if one.headers["webhook-id"] not in ids:
            ids.add(one.headers["webhook-id"])
            found.append((event["subject"], event["type"].split(".")[2]))
    return found


def record(service: ShardedOfferlog, state: str, visitor: str) -> None:
    """Record a signal of a visitor, on the server that has the slice."""
    (outcome,) = service.record([signal(state, visitor=visitor.removeprefix("visitor-"))]).outcomes
    assert outcome.kind.value == "recorded", outcome


def test_the_events_of_a_visitor_come_in_order_from_server_to_server(
    service: ShardedOfferlog,
    stores: Stores,
    receiver: Receiver,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the clocks say, with the slice back where it was, and read in pages of a few events.

    The webhook is one that the home had when it was alone: its cursor does not name the other servers.
    """
    # given
    monkeypatch.setattr(delivering, "_PAGE", 4)
    states = ["offered", "accepted", "started", "engaged"]
    made = service.webhooks.create(receiver.url, after=by_shard(service.feed.end())[HOME])
    first, second = visitors_of_slice(service, _NUMBER, 200)[:2]
    for target, state in enumerate(states, 1):
        record(service, state, first)
        record(service, state, second)
        clock.advance(timedelta(minutes=-10))
        service.catch_up()
        move_slice(stores, _NUMBER, target % 3)
    receiver.answers = [Answer(500)]
    with courier_of(service) as courier:
        # when
        deliver(courier)
        held = service.webhooks.watch(made.endpoint.id)
        clock.advance(timedelta(minutes=1))
        deliver(courier)
    # then
    assert sorted((one.name, one.attempts) for one in held.waiting) == [
        ("accepted", 0),
        ("engaged", 0),
        ("offered", 1),
        ("started", 0),
    ]
    found = arrived(receiver, made.secret)
    assert len(receiver.got) == len(found) + 1 == 9
    for offer in {subject for subject, _ in found}:
        assert [kind for subject, kind in found if subject == offer] == states
    (listed,) = service.webhooks.all()
    assert (listed.lag_events, listed.lag_seconds, listed.endpoint.pending) == (0, 0.0, 0)
    for shard in service._router.all():  # no server sends by itself, too
        assert not shard.service.webhooks._store.is_any_enabled()


def test_an_event_is_not_sent_beside_others_before_earlier_ones_of_another_server(
    service: ShardedOfferlog, stores: Stores, receiver: Receiver, clock: SettableClock
) -> None:
    """It stands right behind the event of another visitor, as the clocks have it."""
    # given
    made = service.webhooks.create(receiver.url)
    others = visitors_of_slice(service, _STAYING, 200)[:2]
    moving = visitors_of_slice(service, _LAST, 200)[0]
    clock.advance(timedelta(minutes=-30))
    for one in others:
        record(service, "offered", one)
    clock.advance(timedelta(minutes=30))
    record(service, "offered", moving)
    service.catch_up()
    move_slice(stores, _LAST, 1)
    clock.advance(timedelta(minutes=-10))
    record(service, "accepted", moving)
    # when
    with courier_of(service) as courier:
        deliver(courier)
    # then
    assert [kind for _, kind in arrived(receiver, made.secret)] == ["offered"] * 3 + ["accepted"]


def test_what_a_killed_mover_leaves_changes_nothing_of_what_is_sent(
    service: ShardedOfferlog,
    stores: Stores,
    receiver: Receiver,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With rows on both servers, and with a slice without an owner whose move is undone."""
    # given
    number = 4

    def kill_mover(target: int, step: tuple[type, str]) -> None:
        with monkeypatch.context() as killed:
            killed.setattr(*step, _die)
            killed.setattr(SliceMover, "_try_to_undo", lambda *_: None)
            with pytest.raises(KeyboardInterrupt):
                move_slice(stores, number, target)

    made = service.webhooks.create(receiver.url)
    visitor, other = visitors_of_slice(service, number, 200)[:2]
    receiver.answers = [Answer(500)]
    with courier_of(service) as courier:
        record(service, "offered", visitor)
        deliver(courier)
        record(service, "offered", other)
        service.catch_up()
        # when
        kill_mover(1, (MoveEnds, "end"))
        deliver(courier)
        record(service, "accepted", visitor)
        deliver(courier)
        move_slice(stores, number, 1)
        record(service, "accepted", other)
        service.catch_up()
        kill_mover(2, (Handover, "take"))
        clock.advance(timedelta(minutes=1))
        deliver(courier)
        before = arrived(receiver, made.secret)
        assert undo_move(stores, number) == 1
        record(service, "started", visitor)
        late = service.webhooks.create(f"{receiver.url}/late")
        deliver(courier)
        record(service, "started", other)
        deliver(courier)
    # then
    kinds = [kind for _, kind in before]
    assert kinds == ["offered", "offered", "accepted", "accepted"]
    assert before[0][0] == before[2][0] != before[1][0] == before[3][0]
    paths = [one.path for one in receiver.got]
    assert (paths.count("/hook"), paths.count("/hook/late")) == (7, 1)
    assert arrived(receiver, made.secret)[4:] == [(before[0][0], "started"), (before[1][0], "started")]
    assert service.webhooks.find(late.endpoint.id).delivered == 1


def test_a_server_that_is_down_delays_its_own_events_alone(
    service: ShardedOfferlog,
    stores: Stores,
    receiver: Receiver,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what waits for another attempt, and where the service starts meanwhile; all of it comes later."""
    # given
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    made = service.webhooks.create(receiver.url)
    there = [visitors_of_slice(service, number, 200)[0] for number in (8, 9)]
    here = visitors_of_slice(service, 0, 200)[0]
    receiver.answers = [Answer(500)]
    with courier_of(service) as courier:
        record(service, "offered", there[0])
        deliver(courier)
        some = service.webhooks.create(f"{receiver.url}/some", types=["offered"])
        record(service, "offered", there[1])
        stores.proxy.go_away()
        try:
            _check_the_end_is_not_known(service, made.endpoint)
            # when
            until(lambda: service.webhooks.all()[0].lag_seconds is None, 60)
            clock.advance(timedelta(minutes=1))
            record(service, "offered", here)
            record(service, "accepted", here)
            deliver(courier)
            read = {one.endpoint.id: one.lag_events for one in service.webhooks.all()}
            courier.close()
            with courier_of(service) as started_meanwhile:
                record(service, "started", here)
                deliver(started_meanwhile)
            first = arrived(receiver, made.secret)
            with serving(service) as site, site.client() as client:
                answer = client.get("/v1/webhooks")
                begun = {"url": receiver.url, "types": ["qualified"], "after": str(made.endpoint.position)}
                second = client.post("/v1/webhooks", json=begun).json()
                wrong = client.post("/v1/webhooks", json={**begun, "after": "1.2"})
                deleted = client.delete(f"/v1/webhooks/{second['id']}")
        finally:
            stores.proxy.come_back()
        until(lambda: _is_up(service), 90)
        clock.advance(timedelta(minutes=1))
    with courier_of(service) as courier:
        deliver(courier)
    # then
    assert (second["cursor"], deleted.status_code) == (begun["after"], 200)
    assert (wrong.status_code, wrong.json()["field"]) == (400, "after")
    shown = next(one for one in answer.json()["webhooks"] if one["id"] == made.endpoint.id)
    assert read == {made.endpoint.id: 0, some.endpoint.id: 0}  # of those that answer
    assert (shown["id"], shown["pending"], shown["lag_seconds"]) == (made.endpoint.id, 1, None)
    assert [kind for _, kind in first] == ["offered", "offered", "accepted", "started"]
    found = arrived(receiver, made.secret)
    assert (len(found), found[:4], found[4][1]) == (5, first, "offered")
    for listed in service.webhooks.all():
        assert (listed.endpoint.pending, listed.endpoint.dead_letters, listed.lag_events) == (0, 0, 0)
    assert len(receiver.got) == 6 + 2


def _check_the_end_is_not_known(service: ShardedOfferlog, endpoint: WebhookEndpoint) -> None:
    """Check that a present end is wanted of no server that is down, and that a known position is enough."""
    wanted: tuple[Callable[[], object], ...] = (
        lambda: service.webhooks.create(endpoint.url),
        lambda: service.webhooks.enable(endpoint.id, skip=True),
    )
    for begin in wanted:
        with pytest.raises(EndUnknownError, match=r"^shard 1 .* nothing was changed, .* try again .* or "):
            begin()
    other = service.webhooks.create(endpoint.url, types=["qualified"], after=endpoint.position)
    service.webhooks.delete(other.endpoint.id)


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _is_up(service: ShardedOfferlog) -> bool:
    try:
        return service.feed.page(service.feed.end()).is_end
    except ShardUnavailableError:
        return False
