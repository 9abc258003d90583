"""What webhooks promise, of a service in memory and of one on PostgreSQL alike, to a real receiver."""

import json
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from offerlog import (
    ArgumentError,
    DisableReason,
    Offerlog,
    UnknownWebhookError,
    WebhookLimitError,
)
from offerlog.testing import SettableClock
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.webhooks import MOST_ENDPOINTS, MOST_SECRETS
from offerlog_application.webhooks.retrying import MOST_ATTEMPTS, RETRY_SECONDS
from offerlog_infrastructure.http.webhook_metrics import describe_webhooks
from support.journeys import an_id, signal
from support.receiver import Answer, Receiver
from support.webhook_delivery import deliver


def record(service: Offerlog, *states: str, visitor: int, **more: Any) -> None:
    """Record the signals of one action."""
    service.record([json.dumps(signal(state, visitor=visitor, **more)) for state in states])


def test_events_of_a_visitor_wait_behind_a_failure_and_those_of_others_go_on(
    service: Offerlog, receiver: Receiver, clock: SettableClock
) -> None:
    """Each comes signed and thin, with the same id at each attempt; the erasure comes behind what waits."""
    # given
    made = service.webhooks.create(receiver.url)
    receiver.answers = [Answer(500, body=b"no <b>room</b>\n")]
    record(service, "offered", "accepted", visitor=1)
    record(service, "offered", "rejected", visitor=2)
    # when
    deliver(service, made)
    service.erase(customer_id="visitor-1")
    deliver(service, made)
    before = service.webhooks.find(made.endpoint.id)
    clock.advance(timedelta(seconds=5.4))
    deliver(service, made)
    assert len(receiver.got) == 3
    clock.advance(timedelta(seconds=0.1))
    deliver(service, made)
    # then
    kinds = ["offered", "offered", "rejected", "offered", "accepted", "visitor-erased"]
    assert receiver.types(made.secret) == kinds
    ids = [one.headers["webhook-id"] for one in receiver.got]
    assert ids[0] == ids[3]
    assert len({*ids}) == 5
    events = [one.verify(made.secret) for one in receiver.got]
    assert events[0] == events[3]
    assert events[0]["data"]["visitor"] == events[5]["data"]["visitor"]
    assert "visitor-1" not in "".join(one.body for one in receiver.got)
    assert receiver.got[0].headers["content-type"] == "application/cloudevents+json"
    assert (before.pending, before.failures, before.delivered) == (3, 0, 2)
    (lag,) = service.webhooks.all()
    after = lag.endpoint
    assert (after.pending, after.failed, after.delivered, lag.lag_events) == (0, 1, 5, 0)
    metrics = describe_webhooks([lag])
    values = {
        one.name + one.labels.get("result", one.labels.get("reason", "")): one.value
        for two in metrics
        for one in two.samples
    }
    prefix = "offerlog_webhook_"
    counts = {"delivered": 5, "failed": 1, "given-up": 0}
    assert values == {
        **{f"{prefix}deliveries_total{result}": count for result, count in counts.items()},
        **dict.fromkeys([f"{prefix}{name}" for name in ("pending_events", "dead_letters", "lag_events")], 0),
        f"{prefix}lag_seconds": 0,
        f"{prefix}enabled": 1,
        **{f"{prefix}disabled{reason}": 0 for reason in DisableReason},
    }


def test_a_crash_between_an_attempt_and_its_note_repeats_the_attempt_with_the_same_id(
    service: Offerlog, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else: the events before it are not sent again, those behind it come once."""
    # given
    made = service.webhooks.create(receiver.url, types=["started", "engaged"], action_maps=[an_id("map")])
    record(service, "offered", "accepted", "started", "engaged", visitor=1)
    record(service, "offered", "accepted", "started", visitor=2, actionMapId=an_id("another map"))

    def crash(*_: object) -> None:
        raise StoreUnavailableError("gone")

    # when
    with monkeypatch.context() as broken:
        broken.setattr(service.webhooks._store, "note_attempts", crash)
        with pytest.raises(StoreUnavailableError):
            deliver(service, made)
    deliver(service, made)
    deliver(service, made)
    # then
    assert receiver.types(made.secret) == ["started", "started", "engaged"]
    ids = [one.headers["webhook-id"] for one in receiver.got]
    assert ids[0] == ids[1] != ids[2]
    assert service.webhooks.all()[0].lag_events == 0


def test_an_event_is_given_up_after_the_schedule_then_others_go_on_and_it_can_be_sent_again(
    service: Offerlog, receiver: Receiver, clock: SettableClock
) -> None:
    """The receiver rests between; what was given up is listed with the last answer."""
    # given
    made = service.webhooks.create(receiver.url)
    record(service, "offered", "accepted", visitor=1)
    receiver.answers = [Answer(500, body=b"broken")] * MOST_ATTEMPTS
    # when
    for seconds in (*RETRY_SECONDS, 0):
        deliver(service, made)
        clock.advance(timedelta(seconds=seconds * 1.2))
    # then
    assert receiver.types(made.secret) == ["offered"] * MOST_ATTEMPTS
    clock.advance(timedelta(minutes=5))
    deliver(service, made)
    assert receiver.types(made.secret)[MOST_ATTEMPTS:] == ["accepted"]
    clock.advance(timedelta(days=30) - timedelta(minutes=5, seconds=2))
    assert service.webhooks.prune() == 0
    (dead,) = service.webhooks.dead_letters(made.endpoint.id)
    assert (dead.name, dead.attempts, dead.last_status) == ("offered", MOST_ATTEMPTS, 500)
    assert dead.last_error == "the receiver answered 500: broken"
    for wrong in (999, -1, 2**63):
        with pytest.raises(ArgumentError, match=f"has no dead letter {wrong}"):
            service.webhooks.send_again(made.endpoint.id, wrong)
    assert service.webhooks.send_again(made.endpoint.id, dead.position) == 1
    deliver(service, made)
    found = service.webhooks.find(made.endpoint.id)
    assert receiver.types(made.secret)[-1] == "offered"
    assert (found.given_up, found.dead_letters, found.pending, found.delivered) == (1, 0, 0, 2)


def test_dead_letters_are_deleted_after_a_number_of_days(
    service: Offerlog, receiver: Receiver, clock: SettableClock
) -> None:
    """Those of disabled webhooks too. What waits stays, and so do the counts."""
    # given
    old, new = (service.webhooks.create(receiver.url) for _ in range(2))
    record(service, "offered", visitor=1)
    for made in (old, new):
        receiver.answers = [Answer(500)] * MOST_ATTEMPTS
        for seconds in (*RETRY_SECONDS, 0):
            deliver(service, made)
            clock.advance(timedelta(seconds=seconds * 1.2))
        clock.advance(timedelta(days=10))
    service.webhooks.disable(old.endpoint.id)
    receiver.answers = [Answer(500)]
    record(service, "offered", visitor=2)
    deliver(service, new)
    # when
    clock.advance(timedelta(days=9))
    pruned = service.webhooks.prune(), service.webhooks.prune()
    # then
    assert pruned == (1, 0)
    found = [service.webhooks.find(one.endpoint.id) for one in (old, new)]
    assert [(one.given_up, one.dead_letters, one.pending) for one in found] == [(1, 0, 0), (1, 1, 1)]


def test_a_receiver_says_with_its_status_when_it_wants_no_more(
    service: Offerlog, receiver: Receiver, clock: SettableClock
) -> None:
    """429 and 503 make it rest, a redirect is a failure, 410 disables it, and so does a week of failures."""
    # given
    made = service.webhooks.create(receiver.url)
    elsewhere = receiver.url.replace("hook", "elsewhere")
    receiver.answers = [
        Answer(429, {"retry-after": "90"}),
        Answer(307, {"location": elsewhere}),
        Answer(503),
        Answer(410),
    ]
    for visitor in range(1, 5):
        record(service, "offered", visitor=visitor)
    # when, then
    deliver(service, made)
    clock.advance(timedelta(seconds=89))
    deliver(service, made)
    assert len(receiver.got) == 1
    clock.advance(timedelta(seconds=1))
    deliver(service, made)
    assert [one.path for one in receiver.got] == ["/hook"] * 3
    clock.advance(timedelta(seconds=5))
    deliver(service, made)
    assert len(receiver.got) == 4
    found = service.webhooks.find(made.endpoint.id)
    assert (found.disabled_because, found.failures) == (DisableReason.GONE, 4)
    clock.advance(timedelta(days=3))
    deliver(service, made)
    assert len(receiver.got) == 4
    # when it is enabled, and fails for days
    service.webhooks.enable(made.endpoint.id)
    receiver.answers = [Answer(500)] * 100
    deliver(service, made)
    clock.advance(timedelta(days=5))
    deliver(service, made)
    assert service.webhooks.find(made.endpoint.id).disabled_because is DisableReason.FAILING
    # when what was missed is left out
    receiver.answers, sent = [], len(receiver.got)
    service.webhooks.enable(made.endpoint.id, skip=True)
    record(service, "offered", visitor=9)
    deliver(service, made)
    assert len(receiver.got) == sent + 1


def test_a_rotated_secret_signs_beside_the_former_one_for_a_while(
    service: Offerlog, receiver: Receiver, clock: SettableClock
) -> None:
    """A receiver can change over at any moment in that time. A test message is signed alike."""
    # given
    made = service.webhooks.create(receiver.url)
    new = service.webhooks.rotate(made.endpoint.id, keep=timedelta(hours=1))
    # when
    receiver.answers = [Answer(500)]
    assert not service.webhooks.test(made.endpoint.id).is_delivered
    assert service.webhooks.test(made.endpoint.id).status == 204
    clock.advance(timedelta(hours=2))
    service.webhooks.test(made.endpoint.id)
    # then
    both, alone = receiver.got[1:]
    assert both.verify(made.secret) == both.verify(new.secret)
    assert both.verify(new.secret)["type"] == "io.offerlog.webhook-test.v1"
    assert len(both.headers["webhook-signature"].split()) == 2
    assert len(alone.headers["webhook-signature"].split()) == 1
    alone.verify(new.secret)
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(service.webhooks.all())
    # and however often it is rotated, few secrets sign
    for _ in range(MOST_SECRETS):
        newest = service.webhooks.rotate(made.endpoint.id)
    service.webhooks.test(made.endpoint.id)
    assert len(receiver.got[-1].headers["webhook-signature"].split()) == MOST_SECRETS
    receiver.got[-1].verify(newest.secret)
    with pytest.raises(WebhookVerificationError):
        receiver.got[-1].verify(new.secret)


def test_webhooks_are_of_one_organization_and_their_number_is_limited(
    service: Offerlog, receiver: Receiver
) -> None:
    """A wrong address, type or position makes none; a deleted one gets nothing more."""
    # given
    webhooks = service.webhooks
    made = webhooks.create(receiver.url, after=0)
    for wrong in ({"url": "http://8.8.8.8/"}, {"types": ["clicked"]}, {"after": 9}, {"after": -1}):
        with pytest.raises(ArgumentError):
            webhooks.create(**{"url": receiver.url, **wrong})  # type: ignore[arg-type] # wrong on purpose
    # when, then
    for call in (webhooks.find, webhooks.delete, webhooks.enable, webhooks.rotate, webhooks.dead_letters):
        with pytest.raises(UnknownWebhookError):
            call(made.endpoint.id, organization="another")
    for _ in range(1, MOST_ENDPOINTS):
        webhooks.create(receiver.url, after=0)
    with pytest.raises(WebhookLimitError):
        webhooks.create(receiver.url, after=0)
    webhooks.create(receiver.url, after=0, organization="another")
    webhooks.delete(made.endpoint.id)
    record(service, "offered", visitor=1)
    deliver(service, made)
    assert receiver.got == []
    assert len(webhooks.all()) == MOST_ENDPOINTS - 1
    assert len(webhooks.of_all_organizations()) == MOST_ENDPOINTS
