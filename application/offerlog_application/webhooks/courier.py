"""The courier of a process: delivers to all endpoints, each in its own thread, while it has the turn."""

import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from offerlog_application.feed.reading_feed import EventFeed
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.webhooks import DeliveryTurn, WebhookSender, WebhookStore
from offerlog_application.schedule.periodic_thread import PeriodicThread
from offerlog_application.webhooks.delivering import EndpointDelivery

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for endpoints and for the turn."""

_IDLE_SECONDS: Final = 0.5
"""Seconds after which a thread that has nothing to do looks again."""

_TROUBLE_SECONDS: Final = 5.0
"""Seconds after which a thread that failed tries again."""

_CLOSE_SECONDS: Final = 5.0
"""Seconds for which the threads may take to end; an attempt under way is cut."""


class _Running(NamedTuple):
    delivery: EndpointDelivery
    thread: PeriodicThread


class Courier:
    """Delivers while this process has the turn, which one process of a store has.

    Args:
        store: Endpoints and deliveries.
        feed: The feed of events.
        make_sender: Makes a sender for each endpoint.
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
        self._running: dict[str, _Running] = {}
        self._thread = PeriodicThread(
            "offerlog-webhooks", LOOK_SECONDS, lambda _: self.look(), "webhooks could not be looked after: %s"
        )

    def look(self) -> None:
        """Start a thread for each enabled endpoint, and end those of the others.

        While the store cannot be reached, every thread is ended. The metrics of the service count that.
        """
        try:
            ids = set(self._store.enabled_ids())
            if self._turn is not None and not (ids and self._turn.is_valid()):
                self._give_up_turn()
            if ids and self._turn is None:
                self._turn = self._store.claim_turn()
        except StoreUnavailableError:
            self._give_up_turn()
            return
        wanted = ids if self._turn is not None else set[str]()
        self._end([one for one in self._running if one not in wanted])
        for one in wanted - self._running.keys():
            if self._thread.is_closing:
                return
            self._running[one] = self._start(one)

    def close(self) -> None:
        """End all threads, cut the attempts under way, and give the turn to another process."""
        self._thread.close(_CLOSE_SECONDS)
        self._give_up_turn()

    def _start(self, endpoint: str) -> _Running:
        delivery = EndpointDelivery(
            endpoint,
            self._store,
            self._feed,
            self._make_sender(),
            self._clock,
            chance=random.random,
        )

        def work(thread: PeriodicThread) -> None:
            try:
                while not thread.is_closing and delivery.step():
                    pass
            except ClosedError:
                raise
            except Exception:
                thread.pause(_TROUBLE_SECONDS)
                raise

        trouble = f"the webhook {endpoint} cannot be served: %s"
        return _Running(
            delivery, PeriodicThread(f"offerlog-webhook-{endpoint}", _IDLE_SECONDS, work, trouble)
        )

    def _end(self, endpoints: list[str]) -> None:
        ended = [self._running.pop(one) for one in endpoints]
        for one in ended:
            one.thread.close(0)
            one.delivery.close()
        until = time.monotonic() + _CLOSE_SECONDS
        for one in ended:
            one.thread.close(max(0.0, until - time.monotonic()))

    def _give_up_turn(self) -> None:
        self._end(list(self._running))
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.close()
