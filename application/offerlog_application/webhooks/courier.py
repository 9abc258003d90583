"""The courier of a process: looks for all endpoints at once, and delivers while the process has the turn."""

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from offerlog_application.feed.filters import FeedFilter
from offerlog_application.feed.reading_feed import EventFeed, FeedReader
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.event_source import PositionAheadError
from offerlog_application.ports.positions import LogPosition, earliest_position, is_up_to
from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_application.ports.webhooks import (
    DeliveryTurn,
    EnabledWebhook,
    WebhookEndpoint,
    WebhookSender,
    WebhookStore,
)
from offerlog_application.schedule.periodic_thread import PeriodicThread
from offerlog_application.webhooks.delivering import MOST_PENDING, EndpointDelivery
from offerlog_application.webhooks.delivery_threads import DeliveryThread

LOOK_SECONDS: Final = 0.5
"""Seconds between two looks for the turn, for new events and for what is due."""

_TROUBLE_SECONDS: Final = 5.0
"""Seconds after which a look that failed is tried again."""

_CLOSE_SECONDS: Final = 5.0
"""Seconds for which the threads may take to end; an attempt under way is cut."""


class Courier:
    """Delivers while this process has the turn, which one process of a store has.

    One thread looks for all endpoints: it reads each new event of the log once, and notes for endpoints to
    which no event is sent how far it has read. An endpoint has a thread of its own only while there is
    something to deliver, or while it is behind what this thread has read.

    Args:
        store: Endpoints and deliveries.
        feed: The feed of events.
        make_sender: Makes the senders of each endpoint.
        clock: The service's clock.
    """

    def __init__(
        self, store: WebhookStore, feed: EventFeed, make_sender: Callable[[], WebhookSender], clock: Clock
    ) -> None:
        self._store = store
        self._feed = feed
        self._make_sender = make_sender
        self._clock = clock
        self._turn: DeliveryTurn | None = None
        self._read_to: LogPosition | None = None
        """The log was read up to this position; None before the first look of a turn."""
        self._threads: dict[str, DeliveryThread] = {}
        self._filters: dict[str, FeedFilter] = {}
        self._thread: PeriodicThread | None = None
        self._is_closing = False

    def keep_looking(self) -> None:
        """Look in the background, until `close`."""
        self._thread = PeriodicThread(
            "offerlog-webhooks", LOOK_SECONDS, self._work, "webhooks could not be looked after: %s"
        )

    def look(self) -> bool:
        """Start to deliver to each endpoint that has something; returns True if the log has more to read.

        While the store cannot be reached, every thread is ended. The metrics of the service count that.

        Raises:
            UnreadableEventError: The next event is of a kind that this build does not know. What is due, or
                before that event, has been started.
            ClosedError: The service has been closed.
        """
        try:
            if not self._has_turn():
                return False
            enabled = self._store.enabled(self._clock.now())
            if not enabled:
                self._give_up_turn()
                return False
            self._end(self._threads.keys() - {one.endpoint.id for one in enabled})
            for one in self._threads.values():
                one.release()
            return self._dispatch(enabled)
        except ShardUnavailableError:  # the others have nothing more, or slices move without a pause
            return False
        except StoreUnavailableError:
            self._give_up_turn()
            return False

    def close(self) -> None:
        """End all threads, cut the attempts under way, and give the turn to another process."""
        self._is_closing = True
        if self._thread is not None:
            self._thread.close(_CLOSE_SECONDS)
        self._give_up_turn()

    def _work(self, thread: PeriodicThread) -> None:
        try:
            while self.look() and not self._is_closing:
                pass
        except ClosedError:
            raise
        except Exception:
            thread.pause(_TROUBLE_SECONDS)
            raise

    def _has_turn(self) -> bool:
        """Return True if this process delivers. Claims the turn if an endpoint is enabled."""
        if self._turn is not None and not self._turn.is_valid():
            self._give_up_turn()
        if self._turn is None and self._store.is_any_enabled():
            self._turn = self._store.claim_turn()
        return self._turn is not None

    def _dispatch(self, enabled: Sequence[EnabledWebhook]) -> bool:
        if self._read_to is None:
            self._read_to = self._find_start(enabled)
        start = self._read_to
        idle = {
            one.endpoint.id: one.endpoint
            for one in enabled
            if not (one.endpoint.id in self._threads and self._threads[one.endpoint.id].is_running)
        }
        now = self._clock.now()
        due = {one.endpoint.id for one in enabled if one.is_due}
        behind = {one for one, endpoint in idle.items() if not is_up_to(start, endpoint.position)}
        ready = {
            one
            for one, endpoint in idle.items()
            if (endpoint.resting_until is None or endpoint.resting_until <= now)
            and (one in due or endpoint.pending < MOST_PENDING)
        }
        self._start_all(ready & (due | behind))
        level = {one: endpoint for one, endpoint in idle.items() if one not in behind}
        try:
            found = self._feed.news_for(self._describe_readers(level), start)
        except PositionAheadError:  # the log was restored from a backup, while this process ran
            self._read_to = None
            raise
        self._read_to = found.position
        # A cursor beyond the end is that of a log that was restored: the endpoint's own thread finds out.
        beyond = {
            one
            for one, endpoint in level.items()
            if found.is_end and not is_up_to(endpoint.position, found.position)
        }
        self._start_all(ready & ({*found.readers} | beyond))
        unreached = level.keys() - {*found.readers} - beyond - due
        if found.position != start and unreached:
            self._store.note_all_read(unreached, start, found.position)
        return not found.is_end

    def _find_start(self, enabled: Sequence[EnabledWebhook]) -> LogPosition:
        """Return where to begin to look: at the end, as whoever is behind it has a thread.

        Of several servers, one may be down, and its end not known. Then at the least position of an endpoint.
        """
        try:
            return self._feed.end()
        except ShardUnavailableError:
            return earliest_position(one.endpoint.position for one in enabled) or 0

    def _describe_readers(self, endpoints: Mapping[str, WebhookEndpoint]) -> Mapping[str, FeedReader]:
        for one in self._filters.keys() - endpoints.keys():
            del self._filters[one]
        for one in endpoints.keys() - self._filters.keys():
            self._filters[one] = FeedFilter.parse(endpoints[one].types, endpoints[one].action_maps)
        return {
            one: (endpoint.organization, endpoint.position, self._filters[one])
            for one, endpoint in endpoints.items()
        }

    def _start_all(self, endpoints: Collection[str]) -> None:
        for one in endpoints:
            if self._is_closing:
                return
            if one not in self._threads:
                delivery = EndpointDelivery(
                    one, self._store, self._feed, self._make_sender, self._clock, chance=random.random
                )
                self._threads[one] = DeliveryThread(one, delivery)
            self._threads[one].start()

    def _end(self, endpoints: Collection[str]) -> None:
        ended = [self._threads.pop(one) for one in endpoints]
        for one in ended:
            one.cut()
        until = time.monotonic() + _CLOSE_SECONDS
        for one in ended:
            one.join(max(0.0, until - time.monotonic()))

    def _give_up_turn(self) -> None:
        self._end(list(self._threads))
        self._read_to = None
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.close()
