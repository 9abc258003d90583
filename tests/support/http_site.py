"""The service as it is served, for tests: a plug-in that they name.

Uvicorn runs in a thread, on a separate port. The fixture `site` starts a service for each test. Where tests
change nothing in the service and look at one organization, a module shares one by `shared_site`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keys import Role
from offerlog_application.ports.projections import Projector
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.context import Rules
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import OpenStore, open_offerlog
from offerlog_infrastructure.http.app import create_app
from offerlog_infrastructure.http.server.server import listen, run
from offerlog_infrastructure.settings import Settings
from support.keyrings import run_keyring


@dataclass(frozen=True)
class Site:
    """A running service, and clients of it.

    Attributes:
        url: Where it is served.
        service: A service on its store, for the organization of the test.
    """

    url: str
    service: Offerlog

    @property
    def organization(self) -> str:
        """The organization of the test."""
        return self.service.organization

    def key(
        self, role: Role = Role.ADMIN, organization: str | None = None, origins: tuple[str, ...] = ()
    ) -> str:
        """A new key's text; for the organization of the test unless another is named."""
        return self.service.keys.create(organization or self.organization, role, "a test's", origins)[1]

    def client(self, role: Role = Role.ADMIN, organization: str | None = None) -> httpx.Client:
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


def open_on(store: OpenStore, organization: str, projector: Projector | None = None) -> Offerlog:
    """Open a service for an organization on a store that is open already."""
    clock, policy = SystemClock(), RefusalPolicy()
    return Offerlog(
        store.ports(clock, policy), clock=clock, rules=Rules(), organization=organization, projector=projector
    )


@pytest.fixture
def site(dsn: str) -> Iterator[Site]:
    """A service of the test's own, over an empty store."""
    with served(dsn) as site:
        yield site


@pytest.fixture
def own_site(dsn: str) -> Iterator[Site]:
    """The same under another name, for modules whose fixture `site` is shared."""
    with served(dsn) as site:
        yield site


@dataclass(frozen=True)
class SharedService:
    """A service that the tests of a module share, and the store that it stands on."""

    store: OpenStore
    site: Site


@pytest.fixture(scope="module")
def served_module(module_dsn: str) -> Iterator[SharedService]:
    """The service that the tests of a module share."""
    with (
        OpenStore(None, module_dsn, keyring=run_keyring()) as store,
        open_on(store, "default", store.projector()) as service,
        serving(service) as site,
    ):
        yield SharedService(store, site)


@pytest.fixture
def shared_site(served_module: SharedService) -> Iterator[Site]:
    """The service of the module, for an organization in which nothing has happened."""
    with open_on(served_module.store, f"test-{uuid4().hex}") as service:
        yield replace(served_module.site, service=service)


@pytest.fixture
def admin(site: Site) -> Iterator[httpx.Client]:
    """A client that may do everything in the organization of the test."""
    with site.client() as client:
        yield client


@pytest.fixture
def own_admin(own_site: Site) -> Iterator[httpx.Client]:
    """The same of the test's own service."""
    with own_site.client() as client:
        yield client
