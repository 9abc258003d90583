"""The mover of a soak, and what its moves mean for the judge: where each slice was, and when."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Final

import psycopg

from soak.history import VIOLATION, Entry
from soak.shards.commands import COMMAND_SECONDS, Commands
from soak.shards.system import ShardedSystem
from soak.system import COMMAND

MOVING: Final = "moving"
"""A slice is about to be moved: `slice`, `source`, `target`."""
TRIED: Final = "tried"
"""A command that moves a slice has ended without success: `slice`, `code`, `why`."""
LEFT: Final = "left to services"
"""A command was killed, and nothing is left of its move: a service has ended it, unless the command just had.
`slice`, and `seconds` since the kill."""
MOVED: Final = "moved"
"""The move has ended: `slice`, `source`, `target`, `events`, and `seconds` without an owner."""

END_SECONDS: Final = 300.0
"""For so long at most the last move may last, once nothing is hurt any more. Whatever a killed mover has left
may wait a minute for projections, and ten seconds each for locks and writers."""

SERVICES_SECONDS: Final = 60.0
"""For so long at most the services may take to end a move, once no server has been hurt for as long."""

_SELECT_LEFT: Final = """
    SELECT 1 FROM leaving_slices WHERE slice = %s
    UNION ALL SELECT 1 FROM arriving_slices WHERE slice = %s AND label > 0
"""

_AGAIN_SECONDS: Final = 0.2
_LEFT_SHARE: Final = 0.5
"""The share of killed commands that are not run again until the services have ended the move."""
_WHY: Final = 160
_SLICES: Final = 16


class Mover(threading.Thread):
    """Moves every slice from server to server, by one command after the other, until it is told to stop.

    Args:
        system: The system.
        seed: The order of the slices, and their targets, come from it.
        owners: The number of the shard that has each slice.
    """

    def __init__(self, system: ShardedSystem, seed: int, owners: Mapping[int, int]) -> None:
        super().__init__(name="soak-mover", daemon=True)
        self._system = system
        self._owners = dict(owners)
        self._chance = Random(f"moves {seed}")  # noqa: S311 - repeatable choices, no secret
        self._patience = Random(f"killed {seed}")  # noqa: S311 - as above
        self._stopping = threading.Event()
        self._commands = Commands(system, "mover")
        self._give_up_at = float("inf")

    @property
    def owners(self) -> Mapping[int, int]:
        """The number of the shard that has each slice, as the moves have ended."""
        return self._owners

    def finish(self) -> None:
        """Begin no further move, and wait for the end of the last one. Nothing is hurt any more."""
        self._give_up_at = time.monotonic() + END_SECONDS
        self._stopping.set()
        self.join(END_SECONDS + COMMAND_SECONDS)
        if self.is_alive():
            self._system.history.write(VIOLATION, check="moves", what="the last move does not end")

    def send(self, number: signal.Signals) -> int | None:
        """Send a signal to the command that is at work; returns its process number, None without one."""
        return self._commands.send(number)

    def run(self) -> None:
        """Move slices; each of them once in every round."""
        while True:
            slices = list(range(_SLICES))
            self._chance.shuffle(slices)
            for number in slices:
                target = (self._owners[number] + self._chance.choice((1, 2))) % len(self._system.servers)
                if self._stopping.is_set():
                    return
                self._move(number, target)

    def _move(self, number: int, target: int) -> None:
        """Move a slice: the same command again, until it succeeds.

        Behind a command that was killed, by a draw: at once, or when the services have ended its move.
        """
        history, source = self._system.history, self._owners[number]
        history.write(MOVING, slice=number, source=source, target=target)
        while True:
            code, output, errors = self._commands.run(
                (COMMAND, "shards", "move", f"{number:x}", "--to", str(target))
            )
            if "Traceback" in errors:
                what = f"moving slice {number:x} to shard {target}: {errors[-1_000:]}"
                history.write(VIOLATION, check="moves", what=what)
            if code == 0:
                self._owners[number] = target
                moved = json.loads(output)
                seconds, events = moved["seconds_without_owner"], moved["events"]
                history.write(
                    MOVED, slice=number, source=source, target=target, events=events, seconds=seconds
                )
                return
            history.write(TRIED, slice=number, code=code, why=" ".join(errors.split())[-_WHY:])
            if time.monotonic() > self._give_up_at:
                what = f"slice {number:x} could not be moved to shard {target}: {errors[-1_000:]}"
                history.write(VIOLATION, check="moves", what=what)
                return
            if code == -signal.SIGKILL and self._patience.random() < _LEFT_SHARE:
                self._await_services(number)
            time.sleep(_AGAIN_SECONDS)

    def _await_services(self, number: int) -> None:
        """Wait until nothing is left of the move of a slice whose command was killed."""
        killed = healthy = time.monotonic()
        while self._is_left(number):
            if any(self._system.hurt_now.values()):
                healthy = time.monotonic()
            if time.monotonic() - healthy > SERVICES_SECONDS:
                what = f"no service has ended the move of slice {number:x} in {SERVICES_SECONDS:g} s"
                self._system.history.write(VIOLATION, check="moves", what=what)
                return
            time.sleep(_AGAIN_SECONDS)
        seconds = time.monotonic() - killed
        self._system.history.write(LEFT, slice=number, seconds=seconds)

    def _is_left(self, number: int) -> bool:
        try:
            return any(one.sql(_SELECT_LEFT, number, number) for one in self._system.servers)
        except psycopg.OperationalError:
            return True


class Whereabouts:
    """Where each slice was, and when.

    Args:
        entries: The histories; without moves in them, slices stay where they are.
        directory: The shard of each slice that was not moved.
    """

    def __init__(self, entries: Iterable[Entry], directory: Mapping[int, int]) -> None:
        self._stays: dict[int, list[tuple[float, Collection[int]]]] = {}
        moves = [one for one in entries if one["kind"] in {MOVING, MOVED}]
        for one in sorted(moves, key=lambda each: each["at"]):
            stays = self._stays.setdefault(one["slice"], [(float("-inf"), {one["source"]})])
            shards = {one["target"]} if one["kind"] == MOVED else {one["source"], one["target"]}
            stays.append((one["at"], shards))
        for number in set(range(_SLICES)) - self._stays.keys():
            self._stays[number] = [(float("-inf"), {directory[number]})]

    def shards(self, number: int, since: float = float("-inf"), until: float = float("inf")) -> set[int]:
        """Return the shards where a slice was in a period; of a slice on its way, both."""
        stays = self._stays[number]
        ends = [at for at, _ in stays[1:]] + [float("inf")]
        return {
            shard
            for (at, shards), end in zip(stays, ends, strict=True)
            if at <= until and end >= since
            for shard in shards
        }


@dataclass
class MoveFigures:
    """What the mover has done.

    Attributes:
        events: The number of events of each move that went through in one command.
        seconds: For how long the slice had no owner in each of them.
        moved: The number of moves that have ended.
        slices: The slices that were moved.
        killed: The number of commands that were killed; `failed`: that ended with an error.
        left: Seconds after which the services had ended the moves that were left to them.
    """

    events: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    moved: int = 0
    slices: set[int] = field(default_factory=set)
    killed: int = 0
    failed: int = 0
    left: list[float] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it for people."""
        words = (
            f"{self.moved:,} moves of {len(self.slices)} slices ended; of their commands, {self.killed:,}"
            f" were killed and {self.failed:,} ended with an error"
        )
        found = [words]
        if self.seconds:
            found.append(
                f"the slice had no owner for {median(self.seconds) * 1_000:,.0f} ms (median),"
                f" {max(self.seconds) * 1_000:,.0f} ms (longest); {median(self.events):,.0f} events (median),"
                f" {max(self.events):,} (most); {len(self.seconds):,} moves in one command"
            )
        if self.left:
            found.append(
                f"{len(self.left):,} killed moves were left to the services, and had ended after"
                f" {median(self.left):.1f} s (median), {max(self.left):.1f} s (longest)"
            )
        return found


def figures_of(entries: Sequence[Entry]) -> MoveFigures:
    """Count the moves of a history."""
    found, kinds = MoveFigures(), Counter[bool]()
    for one in entries:
        if one["kind"] == MOVED:
            found.moved += 1
            found.slices.add(one["slice"])
            if one["seconds"]:  # none: it ended what a killed one had left
                found.events.append(one["events"])
                found.seconds.append(one["seconds"])
        elif one["kind"] == LEFT:
            found.left.append(one["seconds"])
        elif one["kind"] == TRIED:
            kinds[one["code"] == -signal.SIGKILL] += 1
    found.killed, found.failed = kinds[True], kinds[False]
    return found
