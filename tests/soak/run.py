"""One soak from beginning to end."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from random import Random

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from soak.checker import check
from soak.clients import DRAIN_SECONDS, Client, Soaking
from soak.faults import Fault
from soak.gathering import Gathering
from soak.history import OVER, read
from soak.listener import Listener
from soak.nemesis import Nemesis, follow, possible_of
from soak.options import Options
from soak.result import Result, result_of
from soak.services import (
    LIMIT_SECONDS,
    UP_SECONDS,
    answers,
    await_quiet,
    register,
)
from soak.soak_parts import SoakParts
from soak.system import COMMAND, System
from soak.traffic import ORGANIZATIONS
from soak.upkeep import Upkeep
from soak.ways import CommandWay, HttpWay
from support.proxy import Proxy


class Soak(SoakParts[System]):
    """The parts of one run.

    Args:
        options: What was asked for.
        folder: Empty; the server's user can pass through it.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        system = System(folder, options.seconds + LIMIT_SECONDS)
        super().__init__(options, folder, system, (Role.SERVICE, Role.WIDGET, Role.REPORTER))
        self.files = {
            name: str(self.private / f"{name}.txt")
            for name in ("tail", "question", "answer", "begin", "done")
        }
        self.soaking: Soaking | None = None

    def start(self, held: ExitStack) -> None:
        """Make the store and start all processes; `held` stops them."""
        system = self.system
        # The processes keep the store running; this one only until they do.
        programs = system.environment.get("PG_BINDIR")  # a fault may have put its own there
        with EmbeddedServer.acquire(system.data, Path(programs) if programs else None) as server:
            system.dsn = server.dsn
            with open_offerlog(
                database_url=server.dsn, keyring=system.keyring, keep_deadlines=False
            ) as service:
                register(service, self.keys)
            system.proxy = held.enter_context(Proxy(system.dsn))
            held.callback(system.fleet.close)
            self._start_services(system.proxy.dsn)
            self._start_process("writer", {"pause": self._options.pause, "seed": self._options.seed})
            self._start_process("follower", {"replica": str(self.private / "replica"), "dsn": system.dsn})
            system.fleet.await_up(UP_SECONDS)
        system.fleet.keep()

    def begin(self) -> None:
        """Begin now: from here on the seconds count, and the writer's clients send."""
        self.soaking = Soaking(
            self._options.seed,
            time.time(),
            self.system.folder / "history",
            time.monotonic() + self._options.seconds,
            self._options.pause,
            self.progress,
        )
        begin = Path(self.files["begin"])
        document = {"began": self.soaking.began, "until": self.soaking.until}
        begin.with_suffix(".new").write_text(json.dumps(document), encoding="utf-8")
        begin.with_suffix(".new").replace(begin)

    def await_writer(self) -> None:
        """Wait until the writer's clients know what became of their last requests.

        Raises:
            TimeoutError: They still wait.
        """
        deadline = time.monotonic() + DRAIN_SECONDS + UP_SECONDS
        while not Path(self.files["done"]).exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the writer's clients wait for their last answers")
            time.sleep(0.1)

    def clients(self) -> list[Client]:
        """Make the clients of the services, and the one that runs commands."""
        assert self.soaking is not None
        made: list[Client] = []
        seed, share_of_offers = self._options.seed, 0.2
        for name, port in self.ports.items():
            for n in range(self._options.clients):
                chance = Random(f"bodies {seed} {name} {n}")  # noqa: S311 - repeatable, no secret
                way = HttpWay(name, port, self.keys[Role.SERVICE], chance)
                made.append(Client(f"{name}-{n}", way, self.soaking, share_of_offers))
            chance = Random(f"bodies {seed} {name} widget")  # noqa: S311 - repeatable, no secret
            widget = HttpWay(name, port, self.keys[Role.WIDGET], chance, is_widget=True)
            made.append(Client(f"{name}-widget", widget, self.soaking, 0.0))
        command = CommandWay(self.system, self.private / "command")
        return [*made, Client("command", command, self.soaking, 0.0)]

    def await_quiet(self) -> None:
        """Wait until all processes work, nothing will be due soon, and the projections show the whole log.

        Raises:
            TimeoutError: They do not.
        """
        await_quiet(self.system, [self.system], self.system.dsn, self.rules)

    def _start_services(self, through_proxy: str) -> None:
        for name, port in self.ports.items():
            environment = dict(self.system.environment)
            if name == "service-2":
                environment.pop("OFFERLOG_DATA")
                environment["OFFERLOG_DATABASE_URL"] = through_proxy
            words = (COMMAND, "serve", "--port", str(port))
            log = self.system.folder / "logs" / f"{name}.log"
            self.system.fleet.add(name, words, environment, log, answers(port))

    def _start_process(self, name: str, more: dict[str, object]) -> None:
        plan = self.private / f"{name}.json"
        up = self.private / f"{name}.up"
        document = {
            "histories": str(self.system.folder / "history"),
            "data": str(self.system.data),
            "up": str(up),
            **self.files,
            **more,
        }
        plan.write_text(json.dumps(document), encoding="utf-8")
        log = self.system.folder / "logs" / f"{name}.log"
        words = self.system.module(name, str(plan))
        self.system.fleet.add(name, words, self.system.environment, log, _newer(up, name, self.system))


def soak(options: Options, faults: Sequence[Fault], folder: Path) -> Result:
    """Run a soak; everything has been stopped when it returns.

    Raises:
        TimeoutError: The system did not come up, or did not come to rest in the end.
    """
    parts = Soak(options, folder)
    system = parts.system
    with system.held, ExitStack() as held:
        possible = possible_of(system, faults)
        parts.start(held)
        parts.begin()
        clients = parts.clients()
        listeners = {
            organization: Listener(
                organization,
                parts.ports["service-1"],
                parts.keys[Role.REPORTER][organization],
                system.history,
            )
            for organization in ORGANIZATIONS
        }
        upkeep = Upkeep(system, options.seed, _upkeep_interval(options))
        for thread in (*clients, *listeners.values(), upkeep):
            thread.start()
        nemesis = Nemesis(
            system, possible, options.seed, lambda: parts.progress.last, is_each=options.is_each
        )
        follow(parts.progress, nemesis, options.seconds)
        system.history.write(OVER)
        upkeep.stop()
        for thread in (*clients, upkeep):
            thread.join(DRAIN_SECONDS + 420)
        parts.await_writer()
        parts.await_quiet()
        keys = parts.keys[Role.REPORTER]
        evidence = Gathering(system, parts.ports["service-1"], keys, listeners, parts.files).evidence()
        for listener in listeners.values():
            listener.stop()
    evidence.open_action_ttl = timedelta(seconds=parts.rules["OPEN_ACTION_TTL"])
    evidence.deadline_grace = timedelta(seconds=parts.rules["DEADLINE_GRACE"])
    entries = list(read(folder / "history"))
    result = result_of(options.command, options.seconds, entries, evidence, check(evidence))
    changes = sum(one.events for one in listeners.values())
    connects = sum(one.connects for one in listeners.values())
    commands = ", ".join(f"{n} x {name} ({code})" for (name, code), n in sorted(upkeep.commands.items()))
    result.readers = [
        f"{changes:,} changes streamed over {connects:,} connections",
        f"commands beside (exit codes): {commands or 'none'}",
    ]
    return result


def _upkeep_interval(options: Options) -> tuple[float, float]:
    longest = min(30.0, options.seconds / 4)
    return longest / 3, longest


def _newer(up: Path, name: str, system: System) -> Callable[[], bool]:
    """Say that a process works once it has touched its file."""

    def is_up() -> bool:
        try:
            started = Path(f"/proc/{system.fleet.pid(name)}").stat().st_mtime
            return up.stat().st_mtime >= started
        except OSError:
            return False

    return is_up
