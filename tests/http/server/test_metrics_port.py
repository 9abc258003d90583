"""The metrics at a separate port, asked with real sockets."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from support.command_line import COMMAND_ENTRY
from support.preloaded import preloaded
from support.processes import LimitedProcess


def ask(port: int, path: str) -> tuple[int, str]:
    """The status and body of a GET, by bytes on a socket."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answered = b""
        while part := connection.recv(65536):
            answered += part
    head, _, body = answered.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


@contextmanager
def serving(dsn: str, *options: str) -> Iterator[tuple[LimitedProcess, list[int]]]:
    """The service, and the ports that it names."""
    with LimitedProcess(
        [*preloaded(COMMAND_ENTRY), "serve", "--port", "0", *options],
        env=os.environ | {"OFFERLOG_DATABASE_URL": dsn},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        ports: list[int] = []
        assert process.stdout is not None
        for line in process.stdout:
            ports += map(int, re.findall(r"(?:Serving|Metrics) at http://127\.0\.0\.1:(\d+)", line))
            if len(ports) == 1 + ("--metrics-port" in options):
                break
        yield process, ports
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_metrics_have_a_port_of_their_own(dsn: str) -> None:
    """There, with the sign of life, and nowhere else; nothing else is there."""
    with serving(dsn, "--metrics-port", "0") as (process, (main, metrics)):
        # then the one has everything but the metrics
        assert ask(main, "/healthz") == (200, '{"status":"ok"}')
        status, body = ask(main, "/metrics")
        assert status == 404
        assert json.loads(body)["detail"] == "the metrics are at a port of their own (--metrics-port)"
        assert ask(main, "/v1/projections")[0] == 401
        # and the other nothing but them
        status, body = ask(metrics, "/metrics")
        assert status == 200
        assert "offerlog_queue_depth 0.0" in body
        assert ask(metrics, "/healthz")[0] == 200
        for path in (
            "/",
            "/v1/projections",
            "/readyz",
            "/openapi.json",
            "/login",
            "/static/offerlog.js",
            "//metrics",
        ):
            status, body = ask(metrics, path)
            assert (status, json.loads(body)["type"]) == (404, "/problems/not-found"), path
        assert process.poll() is None


def test_without_one_they_are_at_the_main_port(dsn: str) -> None:
    """As they always were."""
    with serving(dsn) as (_, (main,)):
        assert ask(main, "/metrics")[0] == 200


def test_a_port_that_is_taken_is_an_error(dsn: str) -> None:
    """Nobody would look for the metrics at another one."""
    # given
    with socket.socket() as busy:
        busy.settimeout(10)
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        # when
        run = subprocess.run(
            [*preloaded(COMMAND_ENTRY), "serve", "--port", "0", "--metrics-port", str(port)],
            env=os.environ | {"OFFERLOG_DATABASE_URL": dsn},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    # then
    assert run.returncode == 1
    assert f"port {port}" in run.stderr
    assert "taken" in run.stderr


def test_silent_connections_there_do_not_hold_up_the_end(dsn: str) -> None:
    """The limits of the other port hold at this one."""
    # given
    silent = (b"", b"GET /metrics HTTP/1.1\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
    with ExitStack() as open_still, serving(dsn, "--metrics-port", "0") as (_, (_, metrics)):
        for sent in silent:
            connection = socket.create_connection(("127.0.0.1", metrics), timeout=30)
            open_still.enter_context(connection)
            connection.sendall(sent)
    # then it has ended in time, while they are still open
