"""Running services are asked where they said that they are."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from offerlog_application.ports.store_figures import StoreClient
from offerlog_application.status.observation import ObservedService, ObservedWorkers
from offerlog_infrastructure.observing.services import ask_services, name_service

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
ANSWERS: dict[str, tuple[int, bytes]] = {}


class _Service(BaseHTTPRequestHandler):
    """Answers as a test says."""

    def do_GET(self) -> None:
        status, body = ANSWERS.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a service on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(5)


def client(name: str, host: str | None = None) -> StoreClient:
    """Its connections to the store."""
    return StoreClient(name, host, 3, NOW)


@pytest.mark.parametrize(
    ("readiness", "metrics", "found"),
    [
        ((200, b"{}"), (200, b"offerlog_writer_incidents 2.0\n"), (None, True, 2)),
        ((503, b'{"detail":"the writer has ended"}'), (404, b""), ("the writer has ended", True, None)),
        ((500, b"oops"), (200, b"offerlog_writer_incidents x\n"), ("it answers 500", True, None)),
        ((503, b'["x"]'), (200, b""), ("it answers 503", True, None)),
    ],
)
def test_a_service_says_itself_how_it_is(
    port: int,
    readiness: tuple[int, bytes],
    metrics: tuple[int, bytes],
    found: tuple[str | None, bool, int | None],
) -> None:
    """Ready or not, in its own words; and what its metrics count."""
    ANSWERS.update({"/readyz": readiness, "/metrics": metrics})
    for address in (f"http://127.0.0.1:{port}", f"http://0.0.0.0:{port}"):
        asked = ask_services([client(name_service(address, None))])
        assert asked == [ObservedService(address, *found)]
    # and the metrics may have a separate port
    assert ask_services([client(name_service(f"http://127.0.0.1:{port}", port))])[0].incidents == found[2]


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("offerlog serve http://127.0.0.1:1", None),
        ("offerlog serve http://127.0.0.1:8000", "192.0.2.7"),
        ("offerlog serve http://[::1]:8000", "192.0.2.7"),
        ("offerlog serve nonsense", None),
        ("offerlog serve http://127.0.0.1:port", None),
        ("offerlog serve ", None),
    ],
)
def test_one_that_cannot_be_asked_is_named_all_the_same(name: str, host: str | None) -> None:
    """It is silent, listens on another machine alone, or states nonsense."""
    (asked,) = ask_services([client(name, host)])
    assert (asked.is_reached, asked.trouble, asked.incidents) == (False, None, None)
    assert asked.address == (name.split()[2:] or ["?"])[0]


def test_the_processes_of_a_service_are_one_service() -> None:
    """It names the workers without a connection, and the background; a process alone has none."""
    # given
    address = "http://127.0.0.1:1"
    names = [f"offerlog serve 0/3 {address}", f"offerlog serve 2/3 {address}", f"offerlog serve {address}/x"]
    # when
    of_workers, alone = ask_services([client(name) for name in names])
    (without,) = ask_services([client(f"offerlog serve 1/1 {address} metrics 9000")])
    # then
    assert of_workers.address == without.address == address
    assert of_workers.workers == ObservedWorkers(3, [1, 3], has_background=True)
    assert without.workers == ObservedWorkers(1, [], has_background=False)
    assert alone.workers is None


def test_of_many_only_some_are_asked() -> None:
    """So that a thousand silent ones cost no more than a few."""
    silent = [client(f"offerlog serve http://127.0.0.1:1/{number}") for number in range(9)]
    assert [one.is_reached for one in ask_services(silent)] == [False] * 9
    assert ask_services([]) == []
