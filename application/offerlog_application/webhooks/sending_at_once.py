"""Several messages sent to one endpoint at once, each over another connection."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.webhooks import WebhookResult, WebhookSender

MOST_AT_ONCE: Final = 8
"""The most messages that are on their way to one endpoint, so the most senders of it."""

MOST_IN_GROUP: Final = 32
"""The most messages that are sent before their results are noted. After a crash, all may be sent again."""

_QUICK_SECONDS: Final = 1.0
"""A receiver that takes a group in this time gets several messages over each connection the next time."""

_GROUP_SECONDS: Final = 5.0
"""Seconds after which no other message of a group is sent: results are to be noted soon."""


class Message(NamedTuple):
    """A message for an endpoint.

    Attributes:
        id: Its id, the same at each attempt.
        body: Its text, which is signed.
        visitor: Messages of one visitor are sent one after the other.
    """

    id: str
    body: str
    visitor: str


class SendersOfEndpoint:
    """The senders of one endpoint. One thread sends; any thread may close.

    The number of senders grows with what the receiver takes: one at first and after each failure, then twice
    as many each time. After a group that was taken quickly, each sender gets several messages, one after the
    other. So a receiver that is down, or overloaded, gets one message at a time.

    Args:
        make_sender: Makes a sender, which sends one message after the other.
    """

    def __init__(self, make_sender: Callable[[], WebhookSender]) -> None:
        self._make_sender = make_sender
        self._lock = threading.Lock()
        self._senders: list[WebhookSender] = []
        self._is_closed = False
        self._at_once = 1
        self._for_each = 1

    @property
    def most(self) -> int:
        """The number of messages that may be given to `send` now."""
        return self._at_once * self._for_each

    def send(
        self, url: str, messages: Sequence[Message], secrets: Sequence[bytes]
    ) -> list[WebhookResult | None]:
        """Send messages, those of different visitors at once, and wait for all answers.

        Args:
            url: The address of the receiver.
            messages: At least one, and at most `most`.
            secrets: Each of them signs every message.

        Returns:
            The results, in the order of the messages; None for one that was not sent, or whose attempt was
            cut. No other message is sent once one has failed, or after some seconds.

        Raises:
            ClosedError: `close` was called, and no attempt has a result.
        """
        chains: dict[str, list[Message]] = {}
        for one in messages:
            chains.setdefault(one.visitor, []).append(one)
        began = time.monotonic()
        group = _Group(url, chains.values(), secrets, began + _GROUP_SECONDS)
        first, *others = self._take(min(self._at_once, len(chains)))
        threads = _start_sending(group, others)
        group.send_by(first)
        for thread in threads:
            thread.join()
        if group.trouble is not None and not group.results:  # results come first: the caller notes them
            raise group.trouble
        is_quick = time.monotonic() - began < _QUICK_SECONDS
        self._at_once = 1 if group.has_failed else min(2 * self._at_once, MOST_AT_ONCE)
        self._for_each = MOST_IN_GROUP // MOST_AT_ONCE if is_quick and not group.has_failed else 1
        return [group.results.get(one.id) for one in messages]

    def release(self) -> None:
        """Close the connections of all senders but the first one; nothing is under way.

        The first sender stays for its look-up of the host, if that is still under way: the next attempt waits
        for the same one. So there is one look-up, however long a name server does not answer.
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


def _start_sending(group: "_Group", senders: Sequence[WebhookSender]) -> Sequence[threading.Thread]:
    """Start a thread for each sender; fewer if the process may not start so many."""
    started: list[threading.Thread] = []
    for one in senders:
        # The end of the process does not wait for these: what was not noted is sent again.
        thread = threading.Thread(
            target=group.send_by, args=(one,), name="offerlog-webhook-sending", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            break
        started.append(thread)
    return started


class _Group:
    """Messages that are sent together: a chain for each visitor, one chain after the other by each sender.

    Args:
        url: The address.
        chains: The messages of each visitor, in their order.
        secrets: Each of them signs every message.
        until: No message is sent from this time of the monotonic clock on.

    Attributes:
        results: The results of the attempts that have ended, by the id of the message.
        trouble: The error, such as `ClosedError`, that has ended an attempt without a result; else None.
        has_failed: True once an attempt was not delivered, or has no result: then no other one begins.
    """

    def __init__(
        self, url: str, chains: Collection[Sequence[Message]], secrets: Sequence[bytes], until: float
    ) -> None:
        self._url = url
        self._secrets = secrets
        self._until = until
        self._lock = threading.Lock()
        self._chains = deque(chains)
        self.results: dict[str, WebhookResult] = {}
        self.trouble: Exception | None = None
        self.has_failed = False

    def send_by(self, sender: WebhookSender) -> None:
        """Send messages by a sender until there is no other one, or none is to be sent any more."""
        try:
            while (chain := self._next_chain()) is not None:
                for one in chain:
                    if self.has_failed or time.monotonic() >= self._until:
                        return
                    result = sender.send(self._url, one.id, one.body, self._secrets)
                    self.results[one.id] = result
                    if not result.is_delivered:
                        self.has_failed = True
        except Exception as error:  # noqa: BLE001 - the thread that waits for the results raises it
            self.trouble, self.has_failed = error, True

    def _next_chain(self) -> Sequence[Message] | None:
        with self._lock:
            return self._chains.popleft() if self._chains else None
