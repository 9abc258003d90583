"""One soak of several servers from beginning to end."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
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
from soak.evidence import Evidence, Violation
from soak.faults import Fault
from soak.gathering import VERIFY_SECONDS
from soak.history import OVER, Entry, read
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
from soak.shards.archives import ARCHIVE_FAULTS, Archiver, archive_lines
from soak.shards.elsewhere import look_elsewhere
from soak.shards.judge import (
    Copies,
    Places,
    changed_positions,
    copy_shards,
    evidence_of,
    misplaced,
    read_places,
)
from soak.shards.move_faults import MOVE_FAULTS
from soak.shards.moves import Mover, Whereabouts, figures_of
from soak.shards.system import SENDING, SLICES, ShardedSystem
from soak.soak_parts import SoakParts
from soak.system import COMMAND
from soak.traffic import ORGANIZATIONS
from soak.ways import HttpWay

_LAST: Final = "SELECT max(notification_id) FROM offerlog_events"
_PART_SECONDS: Final = 100.0
"""A run in which slices move is cut into parts of at least so long, with a settled moment after each."""
_MOST_PARTS: Final = 5
"""Each takes minutes more: until nothing is due any more, and the judge has looked."""
_NEXT_SEED: Final = 1_000_000
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

    def clients(self, part: int, seconds: float, owners: Mapping[int, int]) -> list[Client]:
        """Make the clients: of each service some for all visitors, and one for those of each server.

        Args:
            part: The part of the run, from 0.
            seconds: How long they send.
            owners: The server that has each slice, also while slices move.
        """
        seed = self._options.seed
        soaking = Soaking(
            seed,
            time.time(),
            self.system.folder / "history",
            time.monotonic() + seconds,
            self._options.pause,
            self.progress,
        )
        places = self.places()
        made: list[Client] = []
        for service, port in self.ports.items():
            name = service if part == 0 else f"{service}-part-{part}"
            some: list[tuple[str, dict[str, Callable[[str, str], bool]]]] = [
                (f"{name}-{n}", {}) for n in range(self._options.clients)
            ]
            some += [
                (f"{name}-shard-{number}", {"accepts": _lies_on(number, places, owners)})
                for number in range(len(SLICES))
            ]
            for client, more in some:
                chance = Random(f"bodies {seed} {client}")  # noqa: S311 - repeatable, no secret
                way = HttpWay(service, port, self.keys[Role.SERVICE], chance)
                made.append(Client(client, way, soaking, 0.2, **more))
        return made

    def places(self) -> Places:
        """Read where visitors belong now."""
        return read_places(self.system, self.system.keyring)

    def send(
        self,
        part: int,
        seconds: float,
        faults: Sequence[Fault],
        mover: Mover | None,
        archiver: Archiver | None,
    ) -> None:
        """Let clients send, faults come and slices move for so long; all have ended when it returns.

        In a run with an archiver, events go into files meanwhile.
        """
        system = self.system
        owners = self.places().directory if mover is None else mover.owners
        clients = self.clients(part, seconds, owners)
        system.history.write(SENDING, until=time.monotonic() + seconds)
        for client in clients:
            client.start()
        if mover is not None:
            system.signal_mover = mover.send
            mover.start()
        if archiver is not None:
            system.kill_archiver = archiver.kill
            archiver.start()
        nemesis = Nemesis(
            system,
            faults,
            self._options.seed + part * _NEXT_SEED,
            lambda: self.progress.last,
            is_each=self._options.is_each,
        )
        follow(self.progress, nemesis, seconds)
        system.history.write(OVER)
        if archiver is not None:
            archiver.finish()
        if mover is not None:
            mover.finish()
        if archiver is not None:
            archiver.finish_rest()
        for client in clients:
            client.join(DRAIN_SECONDS + 60)

    def gather(self) -> tuple[Copies, Evidence]:
        """Copy everything; again, if something was recorded meanwhile.

        Raises:
            TimeoutError: Events are still being recorded.
        """
        system = self.system
        for _ in range(_ROUNDS):
            before = [one.sql(_LAST) for one in system.servers]
            copies = copy_shards(system.servers, system.keyring, system.archive)
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
        TimeoutError: The system did not come up, or did not come to rest.
    """
    parts = ShardsSoak(options, folder)
    system = parts.system
    moves = any(one in MOVE_FAULTS for one in faults)
    number = min(max(1, int(options.seconds // _PART_SECONDS)), _MOST_PARTS) if moves else 1
    found: list[Violation] = []
    before: Copies | None = None
    with system.held, ExitStack() as held:
        possible = possible_of(system, faults)
        archives = any(one in ARCHIVE_FAULTS for one in possible)
        parts.start(held)
        owners: Mapping[int, int] = parts.places().directory
        for part in range(number):
            mover = Mover(system, options.seed + part * _NEXT_SEED, owners) if moves else None
            archiver = Archiver(system, options.seed + part * _NEXT_SEED) if archives else None
            parts.send(part, options.seconds / number, possible, mover, archiver)
            if mover is not None:
                owners = mover.owners
            await_quiet(system, system.servers, parts.home, parts.rules)
            copies, evidence = parts.gather()
            evidence.open_action_ttl = timedelta(seconds=parts.rules["OPEN_ACTION_TTL"])
            evidence.deadline_grace = timedelta(seconds=parts.rules["DEADLINE_GRACE"])
            entries = list(read(folder / "history"))
            found = _find_violations(copies, evidence, entries)
            if before is not None:
                found += changed_positions(before, copies)
            if found:
                break
            before = copies
        archived = archive_lines(entries, system.servers) if archives else []
    looks = [
        look_elsewhere(entries, evidence.attempts, copies.places, of_home=of_home)
        for of_home in (True, False)
    ]
    found += [one for look in looks for one in look.forgotten]
    result = result_of(options.command, options.seconds, entries, evidence, found)
    events = ", ".join(f"{len(one.copy.events):,}" for one in copies.shards)
    result.readers = [f"events of the servers: {events}", *(line for look in looks for line in look.lines())]
    result.readers += archived
    if moves:
        result.readers += [f"settled moments that were judged: {part + 1}", *figures_of(entries).lines()]
    return result


def _find_violations(copies: Copies, evidence: Evidence, entries: Sequence[Entry]) -> list[Violation]:
    whereabouts = Whereabouts(entries, copies.places.directory)
    been = {one: whereabouts.shards(one) for one in copies.places.directory}
    return [*misplaced(copies, been), *check(evidence)]


def _lies_on(number: int, places: Places, owners: Mapping[int, int]) -> Callable[[str, str], bool]:
    return lambda organization, who: owners[places.slice_of(organization, "cookie", who)] == number
