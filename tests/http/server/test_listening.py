"""Where the service listens."""

import socket

import pytest

from offerlog_infrastructure.http.server.server import listen


def test_a_busy_port_means_the_next_free_one() -> None:
    """As the command's help says."""
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port) as second:
            assert second.getsockname()[1] > port


def test_there_is_no_port_behind_the_last() -> None:
    """It says which were tried."""
    with socket.socket() as last:
        last.settimeout(10)
        last.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        last.bind(("127.0.0.1", 65_535))
        last.listen()
        with pytest.raises(OSError, match="no port from 65535 to 65535 on"):
            listen("127.0.0.1", 65_535)


def test_an_address_of_somebody_else_is_not_tried_fifty_times() -> None:
    """It says that it is the address."""
    with pytest.raises(OSError, match="cannot listen on 203"):
        listen("203.0.113.1", 8000)


def test_no_address_is_not_every_address() -> None:
    """As a shell gives it where a variable is not set."""
    with pytest.raises(OSError, match="an address to listen on is needed"):
        listen("", 0)
