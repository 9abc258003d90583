"""The delivery of events to one endpoint: several at once, each visitor's in the order of the log.

The next events of the log, or the next ones that are due again, are sent as a group whose results are noted
together. Of new events, the cursor goes behind the whole group, and those that were not sent wait as
deliveries (docs/decisions/0084).

Over several servers, the cursor of an endpoint has a part for each log, and an event keeps its place in the
log of the server that has recorded it, wherever its slice moves. So a move changes nothing of what was sent.
The order of a visitor goes from log to log with the slice: an event is left where it is until the endpoint is
past all that other servers had recorded of its slice before (`Tenure.earlier`, docs/decisions/0075).
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from offerlog_application.feed.feed_event import FeedEvent
from offerlog_application.feed.filters import FeedFilter
from offerlog_application.feed.reading_feed import EventFeed
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_source import FIRST_TENURE, PositionAheadError, Tenure
from offerlog_application.ports.positions import (
    LogPosition,
    PositionVector,
    begin_of_shard,
    by_shard,
    is_up_to,
    latest_position,
    shard_of_position,
)
from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_application.ports.webhooks import (
    DisableReason,
    WebhookAttempts,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookResult,
    WebhookSender,
    WebhookStore,
)
from offerlog_application.webhooks.messages import encode_event, make_message_id
from offerlog_application.webhooks.retrying import GIVE_UP_AFTER, next_attempt_at, resting_until
from offerlog_application.webhooks.sending_at_once import MOST_IN_GROUP, Message, SendersOfEndpoint

MOST_PENDING: Final = 1_000
"""Deliveries that may wait for one endpoint. With more, the log is not read further for it."""

_PAGE: Final = 8 * MOST_IN_GROUP
"""Events that are read at once: the last group of a page may be a small one."""

_GONE: Final = 410
_ASKS_FOR_REST: Final = frozenset({429, 502, 503, 504})
"""Statuses of a receiver that is overloaded: nothing at all is sent to it for a while."""

_REST_SECONDS: Final = 5.0
"""Seconds of rest if such an answer does not say how long."""

_UNREACHED: Final = timedelta(seconds=15)
"""Time for which a delivery is put off while the server that has its event cannot be reached."""

_log: Final = logging.getLogger(__name__)


class EndpointDelivery:
    """Delivers the events of one endpoint, step by step, in one thread.

    All that must survive a crash is in the store. A crash between some attempts and their note repeats these
    attempts, at most `MOST_IN_GROUP`, with the same message ids.

    Args:
        endpoint: The id of the endpoint.
        store: Endpoints and deliveries.
        feed: The feed of events.
        make_sender: Makes a sender, for this endpoint alone.
        clock: The service's clock.
        chance: Returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        endpoint: str,
        store: WebhookStore,
        feed: EventFeed,
        make_sender: Callable[[], WebhookSender],
        clock: Clock,
        *,
        chance: Callable[[], float],
    ) -> None:
        self._id = endpoint
        self._store = store
        self._feed = feed
        self._senders = SendersOfEndpoint(make_sender)
        self._clock = clock
        self._chance = chance
        self._ahead: deque[FeedEvent] = deque()
        """Events that were read and not dealt with, in the order of the feed."""
        self._tenures: Mapping[int, Tenure] = {}
        """The tenures of these events, by position."""
        self._barred: dict[int, Tenure] = {}
        """The servers whose next event has to wait for earlier ones of other servers, with its tenure."""
        self._read_to: LogPosition = 0
        """The log was read up to this position for them."""
        self._expected: LogPosition | None = None
        """The position of the endpoint, unless somebody has set it anew."""

    def step(self) -> bool:
        """Do one thing that can be done now, such as some attempts; returns False if there is none.

        Raises:
            UnreadableEventError: The next event is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The secret cannot be decrypted.
            ClosedError: The service or the sender has been closed.
        """
        now, endpoint = self._clock.now(), self._store.find(self._id)
        if endpoint is None or endpoint.disabled_at is not None:
            return False
        if endpoint.resting_until is not None and endpoint.resting_until > now:
            return False
        due = self._store.next_due(self._id, now, self._senders.most) if endpoint.pending else ()
        if due:
            self._try_again(endpoint, due)
            return True
        if endpoint.pending >= MOST_PENDING:
            return False
        try:
            return self._go_on(endpoint, now)
        except PositionAheadError:
            _log.warning("the webhook %s is disabled: its cursor is beyond the end of the log", self._id)
            self._store.disable(self._id, DisableReason.LOG_RESTORED, now)
            return False

    def release(self) -> None:
        """Close the connections that single events do not need, while nothing is under way."""
        self._senders.release()

    def close(self) -> None:
        """End the attempts under way."""
        self._senders.close()

    def _go_on(self, endpoint: WebhookEndpoint, now: datetime) -> bool:
        """Deal with the next events of the log, or note how far the log was read."""
        if endpoint.position != self._expected:  # the first time, or somebody has set it
            self._ahead.clear()
            self._barred.clear()
            self._expected = self._read_to = endpoint.position
        if not self._ahead:
            return self._read_on(endpoint)
        together = self._choose(endpoint)
        if together:
            self._deal_with(endpoint, together, now)
            for _ in together:
                self._ahead.popleft()
            self._expected = latest_position([self._expected, *(one.position for one in together)])
        else:
            self._bar(self._ahead[0].position, self._tenure_of(self._ahead[0]), self._expected)
        return True

    def _choose(self, endpoint: WebhookEndpoint) -> Sequence[FeedEvent]:
        """Choose the next events to deal with; none if the first one has to wait for another server.

        They follow each other, as the cursor goes behind all of them.
        """
        most = min(self._senders.most, MOST_PENDING - endpoint.pending)
        dealt_with = self._expected or 0
        return list(
            takewhile(lambda one: _is_open(self._tenure_of(one), dealt_with), islice(self._ahead, most))
        )

    def _deal_with(self, endpoint: WebhookEndpoint, events: Sequence[FeedEvent], now: datetime) -> None:
        """Send some new events, but those that have to wait behind another one of their visitor."""
        visitors = {one.visitor for one in events}
        waiting = self._store.held_visitors(self._id, visitors) if endpoint.pending else ()
        made = [(one, self._make_delivery(one, now)) for one in events]
        held = [delivery for event, delivery in made if event.visitor in waiting]
        self._attempt(endpoint, [one for one in made if one[0].visitor not in waiting], held)

    def _tenure_of(self, event: FeedEvent) -> Tenure:
        return self._tenures.get(event.position, FIRST_TENURE)

    def _make_delivery(self, event: FeedEvent, now: datetime) -> WebhookDelivery:
        """Make the delivery of an event that was not sent yet."""
        tenure = self._tenure_of(event).epoch
        return WebhookDelivery(self._id, event.position, event.name, event.visitor, 0, now, tenure=tenure)

    def _bar(self, position: int, tenure: Tenure, dealt_with: LogPosition) -> None:
        """Leave out the server of an event, from this event on, until its tenure is open."""
        shard = shard_of_position(position)
        self._barred[shard] = tenure
        self._ahead = deque(one for one in self._ahead if shard_of_position(one.position) != shard)
        others = [one for number, one in by_shard(self._read_to).items() if number != shard]
        here = by_shard(dealt_with).get(shard, begin_of_shard(position))
        self._read_to = latest_position([*others, here]) or 0

    def _read_on(self, endpoint: WebhookEndpoint) -> bool:
        """Read the next page of the log; returns False if that was all for now."""
        self._barred = {
            shard: tenure for shard, tenure in self._barred.items() if not _is_open(tenure, endpoint.position)
        }
        start = self._read_to
        try:
            page = self._feed.page(
                start,
                wanted=FeedFilter.parse(endpoint.types, endpoint.action_maps),
                limit=_PAGE,
                organization=endpoint.organization,
                settling_seconds=0.0,
                leaving_out=self._barred.keys(),
            )
            if isinstance(page.position, PositionVector):
                self._tenures = self._feed.tenures(page.events)
        except ShardUnavailableError:  # the others have nothing more
            return self._note_read(endpoint)
        self._ahead.extend(page.events)
        self._read_to = page.position
        may_open = not page.events and self._note_read(endpoint) and bool(self._barred)
        return bool(page.events) or may_open or (not page.is_end and page.position != start)

    def _note_read(self, endpoint: WebhookEndpoint) -> bool:
        """Note how far the log was read, where nothing is ahead; returns False if that was noted before."""
        if is_up_to(self._read_to, endpoint.position):
            return False
        self._store.note_read(self._id, self._read_to)
        self._expected = latest_position([endpoint.position, self._read_to])
        return True

    def _try_again(self, endpoint: WebhookEndpoint, due: Sequence[WebhookDelivery]) -> None:
        """Send events again, each of another visitor."""
        tried: list[tuple[FeedEvent, WebhookDelivery]] = []
        lost: list[WebhookDelivery] = []
        now = self._clock.now()
        for one in due:
            try:
                found = self._feed.find(one.position, organization=endpoint.organization)
            except ShardUnavailableError:  # later; what other servers have goes on
                self._store.postpone(self._id, one.position, now + _UNREACHED)
                continue
            if found is None:  # the log was restored without it
                lost.append(replace(one, dead_at=now, last_error="the event is not in the log any more"))
            else:
                tried.append((found, one))
        if lost:
            self._store.note_attempts(WebhookAttempts(self._id, now, failed=lost, are_resent=True))
        if tried:
            self._attempt(endpoint, tried, are_resent=True)

    def _attempt(
        self,
        endpoint: WebhookEndpoint,
        tried: Sequence[tuple[FeedEvent, WebhookDelivery]],
        held: Sequence[WebhookDelivery] = (),
        *,
        are_resent: bool = False,
    ) -> None:
        """Send some events, and note what became of it. Those that were not sent wait as deliveries.

        Args:
            endpoint: The endpoint.
            tried: The events, those of a visitor in their order.
            held: Deliveries of new events that are not to be sent now.
            are_resent: True if there are deliveries of these events.
        """
        results = self._send(endpoint, [event for event, _ in tried]) if tried else ()
        now = self._clock.now()
        answered = [(delivery, result) for (_, delivery), result in zip(tried, results, strict=True)]
        refused = [(one, result) for one, result in answered if result and not result.is_delivered]
        delivered = [one.position for one, result in answered if result and result.is_delivered]
        failed = [self._fail(one, result, now) for one, result in refused]
        unsent = [] if are_resent else [one for one, result in answered if result is None]
        failures = 1 if delivered else endpoint.failures + 1
        asked = [_asked_rest(result) or 0.0 for _, result in refused if result.status in _ASKS_FOR_REST]
        rest = resting_until(failures, now, max(asked, default=None)) if failed else None
        self._store.note_attempts(
            WebhookAttempts(self._id, now, delivered, failed, [*held, *unsent], rest, are_resent=are_resent)
        )
        if any(result.status == _GONE for _, result in refused):
            self._disable(DisableReason.GONE, now)
        elif (
            failed
            and not delivered
            and endpoint.failing_since is not None
            and now - endpoint.failing_since >= GIVE_UP_AFTER
        ):
            self._disable(DisableReason.FAILING, now)

    def _send(self, endpoint: WebhookEndpoint, events: Sequence[FeedEvent]) -> Sequence[WebhookResult | None]:
        secrets = self._store.secrets(self._id, self._clock.now())
        messages = [Message(make_message_id(self._id, one), encode_event(one), one.visitor) for one in events]
        return self._senders.send(endpoint.url, messages, secrets)

    def _fail(self, delivery: WebhookDelivery, result: WebhookResult, now: datetime) -> WebhookDelivery:
        """Return a delivery behind an attempt that failed."""
        attempts = delivery.attempts + 1
        next_at = next_attempt_at(attempts, now, _asked_rest(result), self._chance())
        return replace(
            delivery,
            attempts=attempts,
            next_attempt_at=next_at or now,
            last_attempt_at=now,
            last_status=result.status,
            last_error=result.error,
            dead_at=now if next_at is None else None,
        )

    def _disable(self, because: DisableReason, now: datetime) -> None:
        _log.warning("the webhook %s is disabled: %s", self._id, because)
        self._store.disable(self._id, because, now)


def _asked_rest(result: WebhookResult) -> float | None:
    """Return the seconds for which a receiver asks to wait; None if it does not."""
    if result.retry_after is None and result.status in _ASKS_FOR_REST:
        return _REST_SECONDS
    return result.retry_after


def _is_open(tenure: Tenure, dealt_with: LogPosition) -> bool:
    """Return True if all events of earlier tenures that other servers have recorded were dealt with."""
    if not tenure.earlier:
        return True
    parts = by_shard(dealt_with)
    return all(parts.get(shard_of_position(one), 0) >= one for one in tenure.earlier)
