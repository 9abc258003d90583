"""A TCP proxy before a PostgreSQL server that can fail in the ways that networks do."""

import socket
import threading
from contextlib import suppress
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SECONDS = 300
"""Time limit of every wait here; longer than any test."""


def connected_to(host: str, port: object) -> socket.socket:
    """A connection to a PostgreSQL server: by its socket where the host is a folder, else by TCP."""
    by_tcp = not host.startswith("/")
    server = socket.socket(socket.AF_INET if by_tcp else socket.AF_UNIX)
    server.settimeout(_SECONDS)
    try:
        server.connect((host, int(str(port))) if by_tcp else f"{host}/.s.PGSQL.{port}")
    except OSError:
        server.close()
        raise
    return server


class Proxy:
    """Passes bytes on, until it is told to cut connections, to stay away, or to swallow what it gets.

    Attributes:
        dsn: The address of the database through the proxy.
    """

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._host, self._to_port = str(parts["host"]), parts["port"]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._passing = threading.Event()
        self._passing.set()
        self._away = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_SECONDS)
        self._port = self._listener.getsockname()[1]
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._port)
        self._closed = False
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection, as a proxy does with idle ones; new ones are welcome."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def go_away(self) -> None:
        """End every connection and refuse new ones, as a server does that has been stopped."""
        self._away.set()
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def come_back(self) -> None:
        """Take connections again."""
        self._away.clear()
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.settimeout(_SECONDS)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def swallow(self) -> None:
        """Take every byte and pass none on, without ending anything."""
        self._passing.clear()

    def pass_on(self) -> None:
        """Pass bytes on again; those that were swallowed are lost, and so their connections end."""
        self.cut()
        self._passing.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = connected_to(self._host, self._to_port)
            except OSError:  # the server is away, and so is the proxy then
                client.close()
                continue
            for end in (client, server):
                end.settimeout(_SECONDS)
            self._pairs.append((client, server))
            if self._away.is_set():  # it has gone away since, and did not see this pair
                self.cut()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # also an end by a reset, as of a server that crashes, is passed on
            while data := source.recv(65536):
                if self._passing.is_set():
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
