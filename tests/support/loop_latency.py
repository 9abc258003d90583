"""A probe for the event loop of a served application: how long it was blocked during an attack.

A heartbeat runs in the server's own event loop. The longest gap between two beats is the longest time for
which the loop served nobody: by its own work, by waiting, or because another thread kept the interpreter's
lock. Time for which the loop's thread was ready but had no processor is taken off, so that other load on the
machine does not count (Linux only; elsewhere it does count). From a long gap, the same time of all other
threads is taken off as well: one of them may have had the interpreter's lock without a processor.

    with watched(dsn) as (site, probe):
        assert probe.blocked_by(lambda: attack(site)) < TOLERABLE

This is a plug-in too. Tests of a module that look at nothing but the loop share a service by `watched_site`.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from support.http_site import Site, served

TOLERABLE: Final = 0.2
"""Seconds for which one caller may keep all others waiting."""

_BEAT: Final = 0.002

_TASKS: Final = Path("/proc/self/task")

_BEATS_OF_OTHERS: Final = 50
"""So many beats lie between two looks at the other threads, as each look is one file a thread."""


class LoopLatency:
    """Measures the event loop that serves an application."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._longest = 0.0
        self._over = True

    def attach(self, app: FastAPI) -> None:
        """Learn the application's loop from its first request; an argument `prepare` of `served`."""
        probe = self

        class Learn:
            def __init__(self, app: ASGIApp) -> None:
                self._app = app

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                probe._loop = asyncio.get_running_loop()
                await self._app(scope, receive, send)

        app.add_middleware(Learn)

    def blocked_by(self, attack: Callable[[], object], tries: int = 12) -> float:
        """Seconds for which the loop was blocked at most; the best of a few tries, as machines are busy.

        Args:
            attack: What to do meanwhile; it must be possible to do it again.
            tries: How often to try for a tolerable figure.
        """
        best = float("inf")
        for _ in range(tries):
            with self.beating():
                attack()
            best = min(best, self._longest)
            if best < TOLERABLE:
                break
        return best

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Measure while the block runs."""
        assert self._loop is not None, "ask the site for something first"
        self._longest, self._over = 0.0, False
        beating = asyncio.run_coroutine_threadsafe(self._beat(), self._loop)
        time.sleep(5 * _BEAT)
        try:
            yield
        finally:
            self._over = True  # what blocks the loop now is measured to its end
            beating.result(120)

    async def _beat(self) -> None:
        thread = threading.get_native_id()
        last, queued, others, beats = time.monotonic(), _queued(thread), _queued_others(thread), 0
        while not self._over:
            await asyncio.sleep(_BEAT)
            now, waited = time.monotonic(), _queued(thread)
            gap, beats = now - last - (waited - queued) - _BEAT, beats + 1
            if gap > TOLERABLE / 2 or beats % _BEATS_OF_OTHERS == 0:
                before, others = others, _queued_others(thread)
                gap -= max(others - before, 0) if gap > TOLERABLE / 2 else 0
                now, waited = time.monotonic(), _queued(thread)
            self._longest = max(self._longest, gap)
            last, queued = now, waited


def _queued_others(thread: int) -> float:
    """Seconds that all other threads of this process have been ready to run without a processor."""
    with suppress(OSError):  # this is not Linux
        return sum(_queued(int(one.name)) for one in _TASKS.iterdir() if int(one.name) != thread)
    return 0.0


def _queued(thread: int) -> float:
    """Seconds that a thread of this process has been ready to run without a processor."""
    try:
        text = (_TASKS / f"{thread}/schedstat").read_text("ascii")
    except OSError:  # the thread has ended, or this is not Linux
        return 0.0
    return int(text.split()[1]) / 1e9


@contextmanager
def watched(
    dsn: str, prepare: Callable[[FastAPI], object] = lambda _: None
) -> Iterator[tuple[Site, LoopLatency]]:
    """The service as it is served, its application prepared for a test, and a probe of its loop."""
    probe = LoopLatency()

    def prepared(app: FastAPI) -> None:
        prepare(app)
        probe.attach(app)

    with served(dsn, prepare=prepared) as site:
        assert httpx.get(f"{site.url}/healthz", timeout=10).status_code == 200
        yield site, probe


@pytest.fixture(scope="module")
def watched_site(module_dsn: str) -> Iterator[tuple[Site, LoopLatency]]:
    """A watched service that the tests of a module share."""
    with watched(module_dsn) as both:
        yield both
