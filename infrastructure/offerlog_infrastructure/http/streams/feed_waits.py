"""Waits for new events of the feed: one poller for the service, shared by all clients that wait.

The poller reads the log from where it has read before, and notes for each organization the position of its
newest event. A client that waits asks that note, so it holds no thread, and its page is read only once there
may be something for it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.keys import Key
from offerlog_application.ports.positions import LogPosition, by_shard, latest_position
from offerlog_infrastructure.http.shared.counts import LocalCounts, OpenCounts
from offerlog_infrastructure.http.streams.client_counts import ClientCounts
from offerlog_infrastructure.http.streams.live_report import PASSING_ERRORS
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble

WAITS_OF_A_KEY: Final = 20
WAITS_OF_AN_ORGANIZATION: Final = 100
WAITS_IN_ALL: Final = 500
"""Most clients that wait for events: with one key, of one organization, of the service."""

_WORDS: Final = "{most} clients {whose} wait for events, and no more can"

_POLL_SECONDS: Final = 0.2
"""Seconds between two looks for new events."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class FeedWaits:
    """The clients that wait for events, of all organizations.

    Args:
        service: The service with the feed.
        stopping: Set when the service begins to stop: all waits end at once.
        counts: Counts the clients.

    Attributes:
        most: Most clients; less than `WAITS_IN_ALL` where the server allows few connections.
    """

    def __init__(self, service: Offerlog, stopping: asyncio.Event, counts: OpenCounts | None = None) -> None:
        self._service = service
        self._stopping = stopping
        self.most = WAITS_IN_ALL
        self._limiter = CapacityLimiter(1)
        self._clients = ClientCounts(counts or LocalCounts(), _WORDS)
        self._began: LogPosition | None = None
        self._seen: LogPosition = 0
        self._newest: dict[str, dict[int, int]] = {}
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._stop: asyncio.Task[None] | None = None
        self._trouble = RepeatedTrouble(_log, "new events cannot be looked for and will be again")

    def enter(self, key: Key) -> None:
        """Count a client that is about to wait; `leave` must follow.

        Raises:
            ProblemError: 429, too many clients wait.
        """
        self._clients.enter(key, WAITS_OF_A_KEY, WAITS_OF_AN_ORGANIZATION, WAITS_IN_ALL, self.most)
        if self._following is None or self._following.done():
            self._began = None
            self._following = asyncio.create_task(self._follow(), context=Context())
        if self._stop is None:
            self._stop = asyncio.create_task(self._await_stop(), context=Context())

    def leave(self, key: Key) -> None:
        """Count a client that does not wait any more."""
        self._clients.leave(key)

    @contextmanager
    def waiting(self, key: Key) -> Iterator[None]:
        """Count a client as waiting for the block.

        Raises:
            ProblemError: 429, too many clients wait.
        """
        self.enter(key)
        try:
            yield
        finally:
            self.leave(key)

    def find_quiet(self, organization: str, position: LogPosition) -> LogPosition | None:
        """Return the position up to which the log has nothing for an organization behind a position.

        None means that there may be something: the feed has to be read.
        """
        if self._began is None:
            return None
        read_to = by_shard(position)
        for least in (by_shard(self._began), self._newest.get(organization, {})):
            if any(read_to.get(shard, 0) < one for shard, one in least.items()):
                return None
        return latest_position([position, self._seen])

    async def pause(self, seconds: float) -> None:
        """Wait until the poller has found events of anybody, at most so many seconds."""
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _await_stop(self) -> None:
        """Wake all clients when the service stops."""
        await self._stopping.wait()
        self._wake()

    async def _follow(self) -> None:
        """Look for new events while a client waits."""
        try:
            while self._clients.here and not self._stopping.is_set():
                try:
                    is_end = await self._look()
                except (*PASSING_ERRORS, UnreadableEventError) as error:
                    self._began, is_end = None, True  # each client reads, and meets the error itself
                    self._trouble.note(error)
                else:
                    self._trouble.over()
                if is_end:
                    await asyncio.sleep(_POLL_SECONDS)
        except Exception:  # noqa: BLE001 - logged; the clients read by themselves, and the next one begins anew
            _log.exception("the poller of the feed ends; the next client begins it anew")
        finally:
            self._began = None
            self._newest.clear()
            self._wake()

    async def _look(self) -> bool:
        """Read the log on, and note whose events there are; returns True at its end."""
        if self._began is None:
            self._newest.clear()
            self._seen = self._began = await self._in_thread(self._service.feed.end)
        news = await self._in_thread(lambda: self._service.feed.news(self._seen))
        for organization, newest in news.newest.items():
            self._newest.setdefault(organization, {}).update(newest)
        if news.position != self._seen:
            self._seen = news.position
            self._wake()
        return news.is_end

    async def _in_thread(self, read: Callable[[], T]) -> T:
        return await to_thread.run_sync(read, limiter=self._limiter)
