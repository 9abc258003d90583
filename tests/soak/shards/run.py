"""One soak of several servers from beginning to end."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation, parse_slices
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from soak.checker import check
from soak.clients import DRAIN_SECONDS, Client, Soaking
from soak.evidence import Evidence
from soak.faults import Fault
from soak.gathering import VERIFY_SECONDS
from soak.history import OVER, read
from soak.nemesis import Nemesis, follow, possible_of
from soak.options import Options
from soak.policies import SOAKED_POLICIES
from soak.reported import reports_of
from soak.result import Result, result_of
from soak.services import (
    LIMIT_SECONDS,
    UP_SECONDS,
    answers,
    await_quiet,
    register,
)
from soak.shards.elsewhere import look_elsewhere
from soak.shards.judge import Copies, Places, copy_shards, evidence_of, misplaced, read_places
from soak.shards.system import SLICES, ShardedSystem
from soak.soak_parts import SoakParts
from soak.system import COMMAND
from soak.traffic import ORGANIZATIONS
from soak.ways import HttpWay

_LAST: Final = "SELECT max(notification_id) FROM offerlog_events"
_ROUNDS: Final = 5
"""Number of rounds of copying, where something was recorded meanwhile."""


class ShardsSoak(SoakParts[ShardedSystem]):
    """The parts of one run.

    Args:
        options: What was asked for.
        folder: Empty; the server's user can pass through it.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        system = ShardedSystem(folder, options.seconds + LIMIT_SECONDS)
        super().__init__(options, folder, system, (Role.SERVICE, Role.REPORTER))

    @property
    def home(self) -> str:
        """The address of the home."""
        return self.system.addresses[0]

    def start(self, held: ExitStack) -> None:
        """Make the installation and start all processes; `held` stops them."""
        system = self.system
        system.start_servers(held)
        os.environ["PGPASSFILE"] = system.environment["PGPASSFILE"]  # this process is one of them
        keyring = FileKeyring(system.keyring)
        with Installation(None, self.home, keyring, create=True) as installation:
            installation.begin()
        with Installation(None, self.home, keyring) as installation:
            for address, slices in zip(system.addresses[1:], SLICES[1:], strict=True):
                installation.add(address, parse_slices(slices))
        with open_offerlog(
            database_url=self.home, keyring=system.keyring, keep_deadlines=False, project=False
        ) as service:
            for organization in ORGANIZATIONS:
                service.organizations.register(organization)  # with a secret: clients divide visitors by it
            register(service, self.keys)
        held.callback(system.fleet.close)
        for name, port in self.ports.items():
            log = system.folder / "logs" / f"{name}.log"
            words = (COMMAND, "serve", "--port", str(port))
            system.fleet.add(name, words, system.environment, log, answers(port))
        system.fleet.await_up(UP_SECONDS)
        system.fleet.keep()

    def clients(self) -> list[Client]:
        """Make the clients: of each service some for all visitors, and one for those of each server."""
        seed = self._options.seed
        soaking = Soaking(
            seed,
            time.time(),
            self.system.folder / "history",
            time.monotonic() + self._options.seconds,
            self._options.pause,
            self.progress,
        )
        places = read_places(self.system, self.system.keyring)
        made: list[Client] = []
        for name, port in self.ports.items():
            some: list[tuple[str, dict[str, Callable[[str, str], bool]]]] = [
                (f"{name}-{n}", {}) for n in range(self._options.clients)
            ]
            some += [
                (f"{name}-shard-{number}", {"accepts": _lies_on(number, places)})
                for number in range(len(SLICES))
            ]
            for client, more in some:
                chance = Random(f"bodies {seed} {client}")  # noqa: S311 - repeatable, no secret
                way = HttpWay(name, port, self.keys[Role.SERVICE], chance)
                made.append(Client(client, way, soaking, 0.2, **more))
        return made

    def gather(self) -> tuple[Copies, Evidence]:
        """Copy everything; again, if something was recorded meanwhile.

        Raises:
            TimeoutError: Events are still being recorded.
        """
        system = self.system
        for _ in range(_ROUNDS):
            before = [one.sql(_LAST) for one in system.servers]
            copies = copy_shards(system.servers, system.keyring)
            evidence = evidence_of(copies, list(read(system.folder / "history")))
            evidence.policies = SOAKED_POLICIES
            evidence.reports = reports_of(self.ports["service-1"], self.keys[Role.REPORTER])
            for words in (("projections", "verify"), ("shards", "verify")):
                run = system.command(*words, seconds=VERIFY_SECONDS)
                if run.returncode != 0:
                    output = (run.stdout + run.stderr)[-2_000:]
                    evidence.seen.append((f"offerlog {' '.join(words)}", f"{run.returncode}: {output}"))
            if before == [one.sql(_LAST) for one in system.servers]:
                return copies, evidence
            system.history.write("recorded meanwhile", behind=before)
        raise TimeoutError("events are still being recorded")


def soak(options: Options, faults: Sequence[Fault], folder: Path) -> Result:
    """Run a soak; everything has been stopped when it returns.

    Raises:
        TimeoutError: The system did not come up, or did not come to rest in the end.
    """
    parts = ShardsSoak(options, folder)
    system = parts.system
    with system.held, ExitStack() as held:
        possible = possible_of(system, faults)
        parts.start(held)
        clients = parts.clients()
        for client in clients:
            client.start()
        nemesis = Nemesis(system, possible, options.seed, lambda: parts.progress.last)
        follow(parts.progress, nemesis, options.seconds)
        system.history.write(OVER)
        for client in clients:
            client.join(DRAIN_SECONDS + 60)
        await_quiet(system, system.servers, parts.home, parts.rules)
        copies, evidence = parts.gather()
    evidence.open_action_ttl = timedelta(seconds=parts.rules["OPEN_ACTION_TTL"])
    evidence.deadline_grace = timedelta(seconds=parts.rules["DEADLINE_GRACE"])
    entries = list(read(folder / "history"))
    looks = [
        look_elsewhere(entries, evidence.attempts, copies.places, of_home=of_home)
        for of_home in (True, False)
    ]
    forgotten = [one for look in looks for one in look.forgotten]
    found = [*misplaced(copies), *check(evidence), *forgotten]
    result = result_of(options.command, options.seconds, entries, evidence, found)
    events = ", ".join(f"{len(one.copy.events):,}" for one in copies.shards)
    result.readers = [f"events of the servers: {events}", *(line for look in looks for line in look.lines())]
    return result


def _lies_on(number: int, places: Places) -> Callable[[str, str], bool]:
    return lambda organization, who: places.shard_of(organization, "cookie", who) == number
