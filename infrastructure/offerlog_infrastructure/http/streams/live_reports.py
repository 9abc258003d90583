"""Live reports: one poller for the service, and one report for each organization, shared by all its streams.

The poller asks for the position of the counts. When the position has changed, it reads which organizations
and maps the new events belong to. Over several servers, each has a position, and a slice that moves means
that any map may have changed. Only their reports are read again, and only where a stream is open. A
stream keeps nothing but the number of the last change it has sent, so a slow stream skips rows that are
outdated.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import Key
from offerlog_application.projections.counted import Counted
from offerlog_domain.identity import ActionMapId
from offerlog_infrastructure.http.shared.counts import LocalCounts, OpenCounts
from offerlog_infrastructure.http.streams.client_counts import ClientCounts
from offerlog_infrastructure.http.streams.live_report import PASSING_ERRORS, LiveReport
from offerlog_infrastructure.http.threads.fair_threads import FairThreads
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble

STREAMS_OF_A_KEY: Final = 20
STREAMS_OF_AN_ORGANIZATION: Final = 100
STREAMS_IN_ALL: Final = 500
"""Most open streams: of one key, of one organization, of the service."""

_WORDS: Final = "{most} streams are open {whose}, and no more can be"

_POLL_SECONDS: Final = 0.5
"""Seconds between two looks at the position of the counts."""

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class LiveReports:
    """The live reports of all organizations that have open streams.

    Args:
        service: The service that reads reports.
        threads: The threads for reports; a live report counts as one of its organization's.
        counts: Counts the streams.

    Attributes:
        most: Most open streams; less than `STREAMS_IN_ALL` where the server allows few connections.
    """

    def __init__(self, service: Offerlog, threads: FairThreads, counts: OpenCounts | None = None) -> None:
        self._service = service
        self._threads = threads
        self.most = STREAMS_IN_ALL
        self._limiter = CapacityLimiter(1)
        self._live: dict[str, LiveReport] = {}
        self._clients = ClientCounts(counts or LocalCounts(), _WORDS)
        self._counted: Counted | None = None
        self._following: asyncio.Task[None] | None = None
        self._trouble = RepeatedTrouble(_log, "changes cannot be looked for and will be again")

    def listen(self, key: Key) -> LiveReport:
        """Begin a stream; the caller must call `leave` at its end.

        Raises:
            ProblemError: 429, too many streams are open.
        """
        self._clients.enter(key, STREAMS_OF_A_KEY, STREAMS_OF_AN_ORGANIZATION, STREAMS_IN_ALL, self.most)
        live = self._live.get(key.organization)
        if live is None or live.is_over:
            live = self._live[key.organization] = LiveReport(key.organization)
        live.streams += 1
        if self._following is None or self._following.done():
            self._counted = None
            self._following = asyncio.create_task(self._follow(), context=Context())
        elif self._counted is not None:
            live.refresh(self._service, self._threads, self._counted)
        return live

    def leave(self, key: Key, live: LiveReport) -> None:
        """End a stream."""
        live.streams -= 1
        if not live.streams and self._live.get(key.organization) is live:
            del self._live[key.organization]
        self._clients.leave(key)

    async def _follow(self) -> None:
        """Poll for changes while a stream is open."""
        try:
            while self._live:
                try:
                    await self._poll()
                except PASSING_ERRORS as error:
                    self._trouble.note(error)
                    for live in self._live.values():
                        live.note_trouble(error)
                else:
                    self._trouble.over()
                await asyncio.sleep(_POLL_SECONDS)
        except Exception:  # noqa: BLE001 - logged; the streams end, and clients reconnect
            _log.exception("live reports end; the next stream begins them anew")
        finally:
            for live in self._live.values():
                live.is_over = True
                live.wake()

    async def _poll(self) -> None:
        before, counted = self._counted, await self._in_thread(self._service.counts.read)
        changed: Mapping[str, set[ActionMapId]] | None = None
        if before is not None:
            changed = await self._in_thread(self._service.counts.changed_maps, before, counted)
        self._counted = counted
        for live in self._live.values():
            maps = None if changed is None else changed.get(live.organization)
            if changed is None or maps:
                live.mark_outdated(maps)
            live.refresh(self._service, self._threads, counted)
            live.recover()

    async def _in_thread(self, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        return await to_thread.run_sync(lambda: read(*args, **named), limiter=self._limiter)
