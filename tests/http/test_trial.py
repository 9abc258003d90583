"""Whether a service that was just started becomes ready: `offerlog serve --check`."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from offerlog_infrastructure.cli.trial import NotReadyError, Trial
from support.processes import finish

BEHIND = b'{"status":"behind"}'


class Answering(BaseHTTPRequestHandler):
    """Ready at /readyz, never ready elsewhere."""

    def do_GET(self) -> None:
        """Answer."""
        ready = self.path == "/readyz"
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b"" if ready else BEHIND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where it answers."""
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        finish(serving)


def test_a_proxy_in_the_environment_is_passed_by(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is on this machine, whatever else goes through a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    trial, stop = Trial(f"{url}/readyz", patience=5), threading.Event()
    trial.run(stop)
    assert stop.is_set()
    trial.prove()


def test_what_was_said_last_is_told(url: str) -> None:
    """An answer, or why there is none."""
    for asked, answer in (
        (f"{url}/never", "503 " + BEHIND.decode()),
        ("http://127.0.0.1:9/readyz", "refused"),
    ):
        trial, stop = Trial(asked, patience=0.3), threading.Event()
        trial.run(stop)
        assert stop.is_set()
        with pytest.raises(NotReadyError, match=asked) as raised:
            trial.prove()
        assert answer in str(raised.value)
