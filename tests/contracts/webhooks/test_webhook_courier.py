"""One look for all webhooks: those without an event cost no thread, those with one get it in any case."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.event_log import StoreUnavailableError, UnreadableEventError
from offerlog_application.ports.positions import only_position
from offerlog_application.webhooks import delivery_threads
from offerlog_application.webhooks.courier import Courier
from support.journeys import an_id, signal
from support.receiver import Answer, Receiver
from support.recount import until


@pytest.fixture
def courier(service: Offerlog) -> Iterator[Courier]:
    """A courier that looks when a test says so."""
    webhooks = service.webhooks
    made = Courier(webhooks._store, service.feed, webhooks._make_sender, webhooks._clock)
    yield made
    made.close()


def record(service: Offerlog, *states: str, visitor: int, **more: Any) -> None:
    """Record the signals of one action."""
    service.record([json.dumps(signal(state, visitor=visitor, **more)) for state in states])


def delivering() -> list[str]:
    """The names of the threads that deliver."""
    return [one.name for one in threading.enumerate() if one.name.startswith("offerlog-webhook-")]


def look(courier: Courier) -> None:
    """Look to the end of the log, and wait for what was started."""
    while courier.look():
        pass
    until(lambda: not delivering())


def lags(service: Offerlog) -> dict[str, int]:
    """The lag of each webhook in events, by its id."""
    return {one.endpoint.id: one.lag_events for one in service.webhooks.of_all_organizations()}


def test_only_a_webhook_with_something_to_send_has_a_thread_and_all_are_level_afterwards(
    service: Offerlog, courier: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read once for the others: of another map, another type, another organization."""
    # given
    engaged = service.webhooks.create(receiver.url, types=["engaged"])
    offered = service.webhooks.create(receiver.url, types=["offered"])
    elsewhere = service.webhooks.create(receiver.url, action_maps=[an_id("another map")])
    others = service.webhooks.create(receiver.url, organization="another")
    look(courier)
    started: list[str] = []
    start = threading.Thread.start

    def note_start(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note_start)
    # when
    record(service, "offered", "accepted", visitor=1)
    look(courier)
    look(courier)
    # then
    assert [one for one in started if "webhook" in one] == [f"offerlog-webhook-{offered.endpoint.id}"]
    assert receiver.types(offered.secret) == ["offered"]
    assert lags(service) == dict.fromkeys(
        [one.endpoint.id for one in (engaged, offered, elsewhere, others)], 0
    )


def test_connections_are_closed_once_nothing_is_sent_for_a_while(
    service: Offerlog, courier: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one of each webhook: many webhooks must not take all files that a process may open."""
    made: list[Any] = []
    make = service.webhooks._make_sender

    def make_noted() -> Any:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(courier, "_make_sender", make_noted)
    monkeypatch.setattr(delivery_threads, "_IDLE_SECONDS", 600.0)
    service.webhooks.create(receiver.url)
    for visitor in (1, 2, 3):
        record(service, "offered", visitor=visitor)
    # when
    look(courier)
    courier.look()
    assert [one._cutter.is_closed for one in made] == [False, False]
    monkeypatch.setattr(delivery_threads, "_IDLE_SECONDS", 0.0)
    courier.look()
    # then
    assert [one._cutter.is_closed for one in made] == [False, True]


def test_what_could_not_be_sent_is_sent_when_it_is_due(
    service: Offerlog, courier: Courier, receiver: Receiver, clock: SettableClock
) -> None:
    """Also if nothing else is recorded meanwhile; what is recorded waits as long as the receiver asks for."""
    # given
    made = service.webhooks.create(receiver.url)
    look(courier)
    receiver.answers = [Answer(500), Answer(503, {"retry-after": "60"})]
    record(service, "offered", visitor=1)
    look(courier)
    # when
    for seconds in (1, 6):
        clock.advance(timedelta(seconds=seconds))
        look(courier)
    assert len(receiver.got) == 2
    record(service, "accepted", visitor=1)
    look(courier)
    before = receiver.types(made.secret)
    clock.advance(timedelta(minutes=6))
    look(courier)
    # then
    assert before == ["offered"] * 2
    assert receiver.types(made.secret) == ["offered"] * 3 + ["accepted"]
    assert set(lags(service).values()) == {0}


def test_a_webhook_that_was_behind_catches_up(
    service: Offerlog, courier: Courier, receiver: Receiver
) -> None:
    """After a start of the service, after it was disabled, and with a cursor of the past."""
    # given
    record(service, "offered", visitor=1)
    early = service.webhooks.create(receiver.url, types=["offered"], after=0)
    idle = service.webhooks.create(receiver.url, types=["engaged"], after=0)
    # when
    look(courier)
    service.webhooks.disable(early.endpoint.id)
    record(service, "offered", visitor=2)
    look(courier)
    service.webhooks.enable(early.endpoint.id)
    look(courier)
    # then
    assert receiver.types(early.secret) == ["offered", "offered"]
    assert set(lags(service).values()) == {0}
    assert service.webhooks.find(idle.endpoint.id).delivered == 0


def test_the_cursor_of_a_webhook_that_was_set_back_meanwhile_stays(
    service: Offerlog, receiver: Receiver
) -> None:
    """Else events between would be skipped."""
    # given
    record(service, "offered", "accepted", visitor=1)
    back = service.webhooks.create(receiver.url, after=0).endpoint.id
    level = service.webhooks.create(receiver.url).endpoint.id
    end = only_position(service.webhooks.find(level).position)
    # when
    service.webhooks._store.note_all_read([back, level, "gone"], end, end + 5)
    # then
    assert service.webhooks.find(back).position == 0
    assert service.webhooks.find(level).position == end + 5


def test_the_store_and_an_event_of_a_newer_version_stop_only_what_they_must(
    service: Offerlog, courier: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due is sent before an event that this build does not know; without a store nothing is."""
    # given
    made = service.webhooks.create(receiver.url)
    look(courier)
    record(service, "offered", visitor=1)

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("gone")

    def refuse(*_: object, **__: object) -> None:
        raise UnreadableEventError("newer", "", 1, "unknown")

    # when
    with monkeypatch.context() as broken:
        broken.setattr(service.webhooks._store, "enabled", fail)
        assert courier.look() is False
    with monkeypatch.context() as broken:
        broken.setattr(service.feed, "news_for", refuse)
        with pytest.raises(UnreadableEventError):
            courier.look()
    until(lambda: not delivering())
    look(courier)
    # then
    assert receiver.types(made.secret) == ["offered"]
