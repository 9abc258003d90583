"""Three embedded servers, each behind a proxy, that share the visitors of one installation."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_infrastructure.embedded import EmbeddedServer
from soak.history import VIOLATION
from soak.server import CannotInjectError, Server
from soak.system import System
from support.embedded_place import until
from support.proxy import Proxy

SLICES: Final = ("0-4", "5-9", "a-f")
"""What each server has of the visitors; the first one is the home."""

HOME: Final = 0
"""The number of the home."""

HURT: Final = "hurt"
MENDED: Final = "mended"
STOPPED: Final = "stopped"
WENT_ON: Final = "went on"
"""Kinds of lines of the history: the server `shard` does not answer from here on, and answers again."""

SENDING: Final = "sending"
"""Clients send from here on, up to the time `until`."""

_ADDRESS: Final = ("host", "port", "dbname", "user")
_ANSWER_SECONDS: Final = 120.0


class ShardedSystem(System):
    """The servers and the processes over them; the home is the store of the system itself.

    Attributes:
        servers: All servers, by number of the shard.
        hurt_now: The numbers of the shards whose servers are hurt now.
        archive: The place of the archive of the home, in which the other servers have theirs.
        kill_archiver: Kills the process that archives the servers, at its work; returns its number.
        signal_mover: Sends a signal to the command that moves a slice now; returns its process number, or
            None without one.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder, seconds)
        others = [Server(folder / f"shard-{number}") for number in range(1, len(SLICES))]
        self.servers: Sequence[Server] = [self, *others]
        self.hurt_now = Counter[int]()
        self.archive = folder / "archive"
        self.kill_archiver: Callable[[], int] = _find_no_archiver
        self.signal_mover: Callable[[signal.Signals], int | None] = lambda _: None
        self._hurt = set[int]()

    def start_servers(self, held: ExitStack) -> None:
        """Start all servers, with proxies before them; `held` stops them."""
        with ThreadPoolExecutor() as starting:
            started = list(starting.map(lambda one: EmbeddedServer.acquire(one.data), self.servers))
        stopping = held.enter_context(ThreadPoolExecutor())  # waits until all have stopped
        for server, embedded in zip(self.servers, started, strict=True):
            held.callback(stopping.submit, embedded.close)
            server.dsn = embedded.dsn
            server.proxy = held.enter_context(Proxy(embedded.dsn))
        passwords = self.folder / "private" / "passwords"
        passwords.touch(mode=0o600)
        passwords.write_text("".join(map(_line, self.proxies)), encoding="utf-8")
        del self.environment["OFFERLOG_DATA"]
        self.environment |= {
            "OFFERLOG_DATABASE_URL": self.addresses[0],
            "PGPASSFILE": str(passwords),
        }

    @property
    def proxies(self) -> list[Proxy]:
        """The proxy before each server, by number of the shard."""
        return [one.proxy for one in self.servers if one.proxy is not None]

    @property
    def addresses(self) -> list[str]:
        """The address of each server, by number of the shard: through its proxy, without the password."""
        parts = [conninfo_to_dict(one.dsn) for one in self.proxies]
        return [make_conninfo(**{name: str(one[name]) for name in _ADDRESS}) for one in parts]

    @contextmanager
    def hurt(self, number: int) -> Iterator[None]:
        """Note that a server does not answer inside of this, and wait behind it until it does.

        Of a server that two faults hurt at once, the fault that began first, and so ends last, does that.
        """
        if number in self._hurt:
            yield
            return
        self._hurt.add(number)
        self.history.write(HURT, shard=number)
        self.hurt_now[number] += 1
        try:
            yield
        finally:
            try:
                until(lambda: _does_answer(self.servers[number]), _ANSWER_SECONDS)
            except AssertionError:
                what = f"the server of shard {number} does not answer again"
                self.history.write(VIOLATION, check="recovery", what=what)
            self.hurt_now[number] -= 1
            self.history.write(MENDED, shard=number)
            self._hurt.discard(number)

    @contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        """Let a service stand still inside of this."""
        self.history.write(STOPPED, service=service)
        self.fleet.signal(service, signal.SIGSTOP)
        try:
            yield
        finally:
            self.fleet.signal(service, signal.SIGCONT)
            self.history.write(WENT_ON, service=service)


def _find_no_archiver() -> int:
    raise CannotInjectError("nobody archives")


def kill_server(system: ShardedSystem, number: int) -> Iterator[str]:
    """`kill -9` of the postmaster; its guard stands still, so that nobody starts it again before the end."""
    server = system.servers[number]
    guard, postmaster = server.guard(), server.postmaster()
    server.kill(guard, signal.SIGSTOP)
    try:
        server.kill(postmaster, signal.SIGKILL)
        yield f"postmaster {postmaster}"
    finally:
        server.kill(guard, signal.SIGCONT)


def _line(proxy: Proxy) -> str:
    parts = conninfo_to_dict(proxy.dsn)
    return "{host}:{port}:{dbname}:{user}:{password}\n".format(**parts)


def _does_answer(server: Server) -> bool:
    try:
        return server.sql("SELECT 1", seconds=5.0) == [(1,)]
    except psycopg.Error:
        return False
