"""Events that are sent to a webhook together, of a service in memory and of one on PostgreSQL alike."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.webhooks import WebhookAttempts
from offerlog_application.webhooks import delivering as delivering_events
from offerlog_application.webhooks import sending_at_once
from offerlog_application.webhooks.sending_at_once import Message, SendersOfEndpoint
from support.journeys import signal
from support.receiver import Answer, Receiver
from support.webhook_delivery import deliver, delivering, go_on


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver on a busy machine counts as a quick one, too."""
    monkeypatch.setattr(sending_at_once, "_QUICK_SECONDS", 600.0)
    monkeypatch.setattr(sending_at_once, "_GROUP_SECONDS", 600.0)


def record(service: Offerlog, *states: str, visitor: int) -> None:
    """Record the signals of one action."""
    service.record([json.dumps(signal(state, visitor=visitor)) for state in states])


def crash(*_: object) -> None:
    """Fail, as a store does that has gone."""
    raise StoreUnavailableError("gone")


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of events that were sent together, in their order."""
    noted: list[int] = []
    send = SendersOfEndpoint.send

    def note(self: SendersOfEndpoint, url: str, messages: Sequence[Message], keys: Sequence[bytes]) -> Any:
        noted.append(len(messages))
        return send(self, url, messages, keys)

    monkeypatch.setattr(SendersOfEndpoint, "send", note)
    return noted


def test_events_of_several_visitors_are_sent_together(
    service: Offerlog,
    receiver: Receiver,
    clock: SettableClock,
    groups: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as the receiver takes: one at first and behind a failure, then more each time.

    A receiver that asks for a rest gets it. A crash before the note repeats all that were sent together,
    with the same ids.
    """
    # given
    made = service.webhooks.create(receiver.url)
    for visitor in range(1, 6):
        record(service, "offered", visitor=visitor)
    record(service, "accepted", visitor=5)
    for visitor in range(6, 10):
        record(service, "offered", visitor=visitor)
    receiver.answers = [Answer()] * 9 + [Answer(503, {"retry-after": "30"})]
    note = service.webhooks._store.note_attempts

    def note_or_crash(attempts: WebhookAttempts) -> None:
        if len(groups) == 5:
            crash()
        note(attempts)

    monkeypatch.setattr(service.webhooks._store, "note_attempts", note_or_crash)
    # when
    deliver(service, made)
    resting = service.webhooks.find(made.endpoint.id)
    clock.advance(timedelta(seconds=30))
    for visitor in (10, 11):
        record(service, "offered", visitor=visitor)
    with pytest.raises(StoreUnavailableError):
        deliver(service, made)
    deliver(service, made)
    # then
    assert groups == [1, 8, 1, 1, 2, 1, 1]
    assert resting.resting_until == clock.now()
    assert (resting.delivered, resting.failed, resting.failures, resting.pending) == (9, 1, 1, 1)
    ids = [one.headers["webhook-id"] for one in receiver.got]
    assert len({*ids}) == 12
    assert {*ids[11:13]} == {*ids[13:]}
    events = [one.verify(made.secret) for one in receiver.got]
    (twice,) = (one["subject"] for one in events if ".accepted." in one["type"])
    kinds = [one["type"].split(".")[2] for one in events if one["subject"] == twice]
    assert kinds == ["offered", "accepted"]
    ends = [lag.endpoint for lag in service.webhooks.all() if lag.lag_events == 0]
    assert [(one.delivered, one.failures, one.pending) for one in ends] == [(12, 0, 0)]


def test_what_was_not_sent_behind_a_failure_waits_in_its_order(
    service: Offerlog, receiver: Receiver, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that was recorded later waits, too. The failure is the first one in a row: others were taken.

    So a webhook that has failed for days is not disabled, although the first note of that was lost.
    """
    # given
    made = service.webhooks.create(receiver.url)
    receiver.answers = [Answer(500)] * 2
    record(service, "offered", visitor=1)
    deliver(service, made)
    clock.advance(timedelta(seconds=6))
    deliver(service, made)
    service.webhooks._store.skip(made.endpoint.id, service.feed.end())
    clock.advance(timedelta(days=5))
    record(service, "offered", "accepted", "started", visitor=2)
    receiver.answers = [Answer(), Answer(), Answer(500)]
    # when
    with delivering(service, made) as delivery:
        with monkeypatch.context() as broken:
            broken.setattr(service.webhooks._store, "note_attempts", crash)
            with pytest.raises(StoreUnavailableError):
                go_on(delivery)
        assert delivery.step()
    between = service.webhooks.find(made.endpoint.id)
    record(service, "offered", visitor=3)
    record(service, "engaged", visitor=2)
    deliver(service, made)
    before = receiver.types(made.secret)
    clock.advance(timedelta(seconds=6))
    deliver(service, made)
    # then
    assert (between.delivered, between.failures, between.pending) == (1, 1, 2)
    assert (between.resting_until, between.disabled_at) == (None, None)
    assert before[2:] == ["offered", "offered", "accepted", "offered"]
    assert receiver.types(made.secret)[6:] == ["accepted", "started", "engaged"]
    assert service.webhooks.find(made.endpoint.id).pending == 0


def test_events_of_several_visitors_are_sent_again_together(
    service: Offerlog, receiver: Receiver, clock: SettableClock, groups: list[int]
) -> None:
    """The one that is due longest first, alone; then as many as the receiver takes."""
    # given
    made = service.webhooks.create(receiver.url)
    receiver.answers = [Answer(500)] * 3
    for visitor in (1, 2, 3):
        record(service, "offered", visitor=visitor)
        deliver(service, made)
        clock.advance(timedelta(seconds=0.1))
    record(service, "accepted", visitor=2)
    # when
    clock.advance(timedelta(seconds=6))
    deliver(service, made)
    # then
    assert groups == [1, 1, 1, 1, 2, 1]
    ids = [one.headers["webhook-id"] for one in receiver.got]
    assert (ids[0], {*ids[1:3]}) == (ids[3], {*ids[4:6]})
    found = service.webhooks.find(made.endpoint.id)
    assert (found.delivered, found.failed, found.pending) == (4, 3, 0)


def test_no_more_events_wait_than_may(
    service: Offerlog, receiver: Receiver, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest stays in the log, also if the failure of a group makes many wait at once."""
    # given
    monkeypatch.setattr(delivering_events, "MOST_PENDING", 3)
    made = service.webhooks.create(receiver.url)
    receiver.answers = [Answer(), Answer(500)]
    record(service, "offered", visitor=1)
    record(service, "offered", "accepted", "started", "engaged", visitor=2)
    # when
    deliver(service, made)
    (between,) = service.webhooks.all()
    clock.advance(timedelta(seconds=6))
    deliver(service, made)
    # then
    assert (between.endpoint.pending, between.lag_events) == (3, 1)
    assert receiver.types(made.secret)[2:] == ["offered", "accepted", "started", "engaged"]


def test_what_another_process_has_dealt_with_does_not_wait(
    service: Offerlog, receiver: Receiver, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lost its turn while it sent notes a failure behind the one that has delivered all."""
    # given
    made = service.webhooks.create(receiver.url)
    record(service, "offered", visitor=1)
    record(service, "offered", "accepted", visitor=2)
    receiver.answers = [Answer()] * 3 + [Answer(500)]
    send = SendersOfEndpoint.send
    # when
    with delivering(service, made) as late:
        assert late.step()
        assert late.step()

        def send_late(*given: Any) -> Any:
            monkeypatch.undo()
            monkeypatch.setattr(sending_at_once, "_GROUP_SECONDS", 600.0)
            deliver(service, made)
            return send(*given)

        monkeypatch.setattr(SendersOfEndpoint, "send", send_late)
        go_on(late)
    clock.advance(timedelta(seconds=6))
    deliver(service, made)
    # then
    assert receiver.types(made.secret) == ["offered"] * 2 + ["accepted", "offered"]
    assert service.webhooks.find(made.endpoint.id).pending == 0
