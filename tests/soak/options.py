"""What a soak can be asked for on its command line."""

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = """
Run several processes on embedded stores, let clients report to them, inject faults that the seed chooses,
and check afterwards that nothing that was acknowledged is lost, doubled or contradicted.
"""
EPILOG = """
Exit code 0: no violation. 1: violations, or the soak itself failed. docs/reliability.md explains the report.
"""


@dataclass(frozen=True)
class Options:
    """One run.

    Attributes:
        seconds: How long clients send and faults are injected; recovering and checking come on top.
        seed: All choices come from it.
        only: Parts of the names of the faults to inject; none for all.
        keep: Whether the folder of a clean run is kept, too.
        folder: Where to make it; None for the place for temporary files.
        result: A file for the result as JSON; None for none.
        clients: How many clients each service has.
        pause: The longest pause between two requests of a client, in seconds.
        target: The target of `make` that runs it.
        is_each: Whether faults go on behind the end of sending, until each has been injected once.
    """

    seconds: float = 300.0
    seed: int = 1
    only: tuple[str, ...] = ()
    keep: bool = False
    folder: Path | None = None
    result: Path | None = None
    clients: int = 3
    pause: float = 0.05
    target: str = "soak"
    is_each: bool = False

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        only = f" ONLY='{','.join(self.only)}'" if self.only else ""
        return f"make {self.target} SECONDS={self.seconds:g} SEED={self.seed}{only}"


def parse(words: Sequence[str], target: str = "soak") -> tuple[Options, bool]:
    """Read a command line; returns the options, and whether the faults are to be listed only."""
    module = target.replace("-", ".")
    parser = argparse.ArgumentParser(f"python -m {module}", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (300)")
    parser.add_argument("--seed", type=int, help="chooses everything (drawn, and printed)")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="only faults with one of these in their names, by commas"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder also of a clean run: histories, logs, the store"
    )
    parser.add_argument("--folder", type=Path, help="where to make it (the place for temporary files)")
    parser.add_argument("--result", type=Path, metavar="FILE.json", help="write the result as JSON")
    parser.add_argument("--clients", type=int, default=3, help="clients of each service (3)")
    parser.add_argument("--pause", type=float, default=0.05, help="longest pause of a client (0.05 s)")
    parser.add_argument("--each", action="store_true", help="go on until each fault was injected once")
    parser.add_argument("--list", action="store_true", help="list the faults, and do nothing")
    given = parser.parse_args(words)
    if given.seconds <= 0 or given.clients < 1 or given.pause < 0:
        parser.error("--seconds and --clients must be positive, --pause not negative")
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    only = tuple(word.strip() for word in given.only.split(",") if word.strip())
    options = Options(
        given.seconds,
        seed,
        only,
        given.keep,
        given.folder,
        given.result,
        given.clients,
        given.pause,
        target,
        given.each,
    )
    return options, given.list
