"""Several messages sent to one endpoint at once, each over another connection."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.webhooks import WebhookResult, WebhookSender

MOST_AT_ONCE: Final = 8
"""The most messages that are on their way to one endpoint."""


class Message(NamedTuple):
    """A message for an endpoint.

    Attributes:
        id: Its id, the same at each attempt.
        body: Its text, which is signed.
    """

    id: str
    body: str


class SendersOfEndpoint:
    """The senders of one endpoint. One thread sends; any thread may close.

    How many messages may go at once grows with what the receiver takes: one at first and after each failure,
    then twice as many each time. So a receiver that is down, or overloaded, gets one at a time.

    Args:
        make_sender: Makes a sender, which sends one message after the other.

    Attributes:
        at_once: The number of messages that may go at once now.
    """

    def __init__(self, make_sender: Callable[[], WebhookSender]) -> None:
        self._make_sender = make_sender
        self._lock = threading.Lock()
        self._senders: list[WebhookSender] = []
        self._is_closed = False
        self.at_once = 1

    def send(self, url: str, messages: Sequence[Message], secrets: Sequence[bytes]) -> list[WebhookResult]:
        """Send messages at once, and wait for all answers; returns them in that order.

        Raises:
            ClosedError: `close` was called; the receiver may have any of the messages.
        """

        def send_one(sender: WebhookSender, message: Message) -> WebhookResult:
            return sender.send(url, message.id, message.body, secrets)

        senders = self._take(len(messages))
        if len(messages) == 1:
            results = [send_one(senders[0], messages[0])]
        else:
            with ThreadPoolExecutor(len(messages), "offerlog-webhook-sending") as pool:
                results = list(pool.map(send_one, senders, messages))
        is_taken = all(one.is_delivered for one in results)
        self.at_once = min(2 * self.at_once, MOST_AT_ONCE) if is_taken else 1
        return results

    def release(self) -> None:
        """Close the connections of all senders but the first one; nothing is under way.

        The first one goes on to wait for a name server that does not answer.
        """
        with self._lock:
            idle, self._senders = self._senders[1:], self._senders[:1]
        for one in idle:
            one.close()

    def close(self) -> None:
        """End the attempts under way, and close the connections."""
        with self._lock:
            self._is_closed = True
        for one in self._senders:
            one.close()

    def _take(self, number: int) -> Sequence[WebhookSender]:
        with self._lock:
            if self._is_closed:
                raise ClosedError
            while len(self._senders) < number:
                self._senders.append(self._make_sender())
            return self._senders[:number]
