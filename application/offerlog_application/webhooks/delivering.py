"""The delivery of events to one endpoint: one at a time, each visitor's in the order of the log.

Over several servers, the cursor of an endpoint has a part for each log, and an event keeps its place in the
log of the server that has recorded it, wherever its slice moves. So a move changes nothing of what was sent.
The order of a visitor goes from log to log with the slice: an event is left where it is until the endpoint is
past all that other servers had recorded of its slice before (`Tenure.earlier`, docs/decisions/0075).
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
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
    WebhookDelivery,
    WebhookEndpoint,
    WebhookResult,
    WebhookSender,
    WebhookStore,
)
from offerlog_application.webhooks.messages import encode_event, make_message_id
from offerlog_application.webhooks.retrying import GIVE_UP_AFTER, next_attempt_at, resting_until

MOST_PENDING: Final = 1_000
"""Deliveries that may wait for one endpoint. With more, the log is not read further for it."""

_PAGE: Final = 100
"""Events that are read at once."""

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

    All that must survive a crash is in the store. A crash between an attempt and its note repeats the
    attempt, with the same message id.

    Args:
        endpoint: The id of the endpoint.
        store: Endpoints and deliveries.
        feed: The feed of events.
        sender: Sends; used by this endpoint alone.
        clock: The service's clock.
        chance: Returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        endpoint: str,
        store: WebhookStore,
        feed: EventFeed,
        sender: WebhookSender,
        clock: Clock,
        *,
        chance: Callable[[], float],
    ) -> None:
        self._id = endpoint
        self._store = store
        self._feed = feed
        self._sender = sender
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
        """Do one thing that can be done now, such as one attempt; returns False if there is none.

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
        due = self._store.next_due(self._id, now) if endpoint.pending else None
        if due is not None:
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

    def close(self) -> None:
        """End the attempt under way."""
        self._sender.close()

    def _go_on(self, endpoint: WebhookEndpoint, now: datetime) -> bool:
        """Deal with the next event of the log, or note how far the log was read."""
        if endpoint.position != self._expected:  # the first time, or somebody has set it
            self._ahead.clear()
            self._barred.clear()
            self._expected = self._read_to = endpoint.position
        if not self._ahead:
            return self._read_on(endpoint)
        event = self._ahead[0]
        tenure = self._tenures.get(event.position, FIRST_TENURE)
        if not _is_open(tenure, self._expected):
            self._bar(event.position, tenure, self._expected)
            return True
        fresh = WebhookDelivery(
            self._id, event.position, event.name, event.visitor, 0, now, tenure=tenure.epoch
        )
        if endpoint.pending and self._store.is_held(self._id, event.visitor):
            self._store.note_held(fresh)
        else:
            self._attempt(endpoint, event, fresh, is_resent=False)
        self._ahead.popleft()
        self._expected = latest_position([self._expected, event.position])
        return True

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

    def _try_again(self, endpoint: WebhookEndpoint, due: WebhookDelivery) -> None:
        try:
            found = self._feed.find(due.position, organization=endpoint.organization)
        except ShardUnavailableError:  # later; what other servers have goes on
            self._store.postpone(self._id, due.position, self._clock.now() + _UNREACHED)
            return
        if found is not None:
            self._attempt(endpoint, found, due, is_resent=True)
            return
        now = self._clock.now()  # the log was restored without it
        lost = replace(due, dead_at=now, last_error="the event is not in the log any more")
        self._store.note_failed(lost, now, None, is_resent=True)

    def _attempt(
        self, endpoint: WebhookEndpoint, event: FeedEvent, delivery: WebhookDelivery, *, is_resent: bool
    ) -> None:
        secrets = self._store.secrets(self._id, self._clock.now())
        result = self._sender.send(
            endpoint.url, make_message_id(self._id, event), encode_event(event), secrets
        )
        if result.is_delivered:
            self._store.note_delivered(self._id, delivery.position)
        else:
            self._note_failure(endpoint, delivery, result, is_resent=is_resent)

    def _note_failure(
        self, endpoint: WebhookEndpoint, delivery: WebhookDelivery, result: WebhookResult, *, is_resent: bool
    ) -> None:
        now, attempts = self._clock.now(), delivery.attempts + 1
        asked = result.retry_after
        if asked is None and result.status in _ASKS_FOR_REST:
            asked = _REST_SECONDS
        next_at = next_attempt_at(attempts, now, asked, self._chance())
        failed = replace(
            delivery,
            attempts=attempts,
            next_attempt_at=next_at or now,
            last_attempt_at=now,
            last_status=result.status,
            last_error=result.error,
            dead_at=now if next_at is None else None,
        )
        rest = resting_until(endpoint.failures + 1, now, asked if result.status in _ASKS_FOR_REST else None)
        self._store.note_failed(failed, now, rest, is_resent=is_resent)
        if result.status == _GONE:
            self._disable(DisableReason.GONE, now)
        elif endpoint.failing_since is not None and now - endpoint.failing_since >= GIVE_UP_AFTER:
            self._disable(DisableReason.FAILING, now)

    def _disable(self, because: DisableReason, now: datetime) -> None:
        _log.warning("the webhook %s is disabled: %s", self._id, because)
        self._store.disable(self._id, because, now)


def _is_open(tenure: Tenure, dealt_with: LogPosition) -> bool:
    """Return True if all events of earlier tenures that other servers have recorded were dealt with."""
    if not tenure.earlier:
        return True
    parts = by_shard(dealt_with)
    return all(parts.get(shard_of_position(one), 0) >= one for one in tenure.earlier)
