"""The thread of one endpoint, which lives while there is something to deliver."""

import logging
import threading
import time
from typing import Final

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.webhooks.delivering import EndpointDelivery

_TROUBLE_SECONDS: Final = 5.0
"""Seconds after which a delivery that failed by a fault of this side is tried again."""

_IDLE_SECONDS: Final = 2.0
"""Seconds without delivery after which connections are closed. They are not used again then anyway, and each
takes one of the files that the process may open."""

_log: Final = logging.getLogger(__name__)


class DeliveryThread:
    """Delivers to one endpoint in a thread, until nothing is left that can be done now.

    One thread at a time: `start` does nothing while it runs. The methods are for the courier's thread alone.

    Args:
        endpoint: The id of the endpoint.
        delivery: What it has to deliver.
    """

    def __init__(self, endpoint: str, delivery: EndpointDelivery) -> None:
        self._endpoint = endpoint
        self._delivery = delivery
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._not_before = 0.0
        self._ended_at = 0.0

    @property
    def is_running(self) -> bool:
        """True while events are delivered."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Deliver, unless that is under way, or failed a moment ago."""
        if self._is_closing or self.is_running or time.monotonic() < self._not_before:
            return
        self._thread = threading.Thread(
            target=self._run, name=f"offerlog-webhook-{self._endpoint}", daemon=True
        )
        self._thread.start()

    def release(self) -> None:
        """Close the connections that single events do not need, if nothing was delivered for a while."""
        if not self.is_running and time.monotonic() - self._ended_at >= _IDLE_SECONDS:
            self._delivery.release()

    def cut(self) -> None:
        """End for good, with the attempt under way."""
        self._is_closing = True
        self._delivery.close()

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._is_closing and self._delivery.step():
                pass
        except ClosedError:  # the service closes: what is due stays due, for the next process
            return
        except Exception as error:  # noqa: BLE001 - what is due stays due; the next time is soon
            self._not_before = time.monotonic() + _TROUBLE_SECONDS
            if not self._is_closing:
                _log.warning("the webhook %s cannot be served: %s", self._endpoint, error)
        finally:
            self._ended_at = time.monotonic()
