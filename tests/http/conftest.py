"""The service as it is served: uvicorn in a thread, on a port of its own, over an empty store."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from http_site import Site
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.http.app import create_app
from offerlog_infrastructure.http.server import listen, run
from offerlog_infrastructure.settings import Settings


@pytest.fixture
def site(dsn: str) -> Iterator[Site]:
    """The service, stopped at the end as SIGTERM stops it."""
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        app = create_app(service, service.keys, Settings())
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
def admin(site: Site) -> Iterator[httpx.Client]:
    """A client that may do everything in the default organization."""
    with site.client() as client:
        yield client
