"""The service as it is served, for tests: a plug-in that they name.

Uvicorn runs in a thread, on a port of its own, over an empty store.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import Role
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.http.app import create_app
from offerlog_infrastructure.http.server.server import listen, run
from offerlog_infrastructure.settings import Settings


@dataclass(frozen=True)
class Site:
    """A running service, and clients of it."""

    url: str
    service: Offerlog

    def key(
        self, role: Role = Role.ADMIN, organization: str = "default", origins: tuple[str, ...] = ()
    ) -> str:
        """A new key's text."""
        return self.service.keys.create(organization, role, "a test's", origins)[1]

    def client(self, role: Role = Role.ADMIN, organization: str = "default") -> httpx.Client:
        """A client with a new key of that role."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key(role, organization)}"}, timeout=30
        )


@contextmanager
def served(
    dsn: str,
    trace: Trace = UNTRACED,
    prepare: Callable[[FastAPI], object] = lambda _: None,
    clock: Clock | None = None,
) -> Iterator[Site]:
    """The service, its application prepared for a test; stopped at the end as SIGTERM stops it."""
    with (
        open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False, trace=trace) as service,
        serving(service, prepare) as site,
    ):
        yield site


@contextmanager
def serving(service: Offerlog, prepare: Callable[[FastAPI], object] = lambda _: None) -> Iterator[Site]:
    """An open service, served as `served` does it."""
    app = create_app(service, service.keys, Settings())
    prepare(app)
    listening = listen("127.0.0.1", 0)
    ready = threading.Event()

    def serve() -> None:
        run(app, listening, ready.set, stop_when=stopped)

    stopped = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(10)
    try:
        yield Site(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
    finally:
        stopped.set()
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def site(dsn: str) -> Iterator[Site]:
    """The service as it is."""
    with served(dsn) as site:
        yield site


@pytest.fixture
def admin(site: Site) -> Iterator[httpx.Client]:
    """A client that may do everything in the default organization."""
    with site.client() as client:
        yield client
