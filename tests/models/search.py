"""A search by spin: it makes a C program of a model, which visits every state that the bounds allow."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.checks import Check

_DEPTH: Final = 1_000_000
"""The most steps of one order of events; a model that goes deeper is an error."""

_MEMORY_MEGABYTES: Final = 8_000
"""The most memory that a search takes; one that needs more is an error."""

_ERRORS: Final = re.compile(r"errors: (\d+)")
_STATES: Final = re.compile(r"^\s*(\d+) states, stored", re.MULTILINE)
_VIOLATION: Final = re.compile(r"^pan:1: (.*) \(at depth", re.MULTILINE)
_INCOMPLETE: Final = re.compile(
    r"max search depth too small|out of memory|MEMLIM|VECTORSZ|interrupted|Search not completed"
)


class SearchError(Exception):
    """A model could not be searched to its end."""


@dataclass(frozen=True)
class Search:
    """The result of a search.

    Attributes:
        states: How many states were visited; with a violation, up to the first one.
        violation: The assertion that does not hold, or a state in which nothing can go on; None without any.
        steps: The steps that lead to the violation, as spin prints them.
    """

    states: int
    violation: str | None
    steps: str


def missing_program() -> str | None:
    """Return the name of a program that a search needs and this machine lacks; None if it has all."""
    return next((name for name in ("spin", "cc") if shutil.which(name) is None), None)


def search(check: Check, *, optimize: bool = False, seconds: float = 600) -> Search:
    """Search a model.

    Args:
        check: The model, its bounds and its fault.
        optimize: True for a large search: a slower compilation pays, and states are stored compressed.
        seconds: Time limit of each of the programs: spin, the compiler and the search.

    Raises:
        SearchError: The search did not come to its end.
        subprocess.TimeoutExpired: A program took longer than `seconds`.
    """
    model = Path(__file__).with_name(f"{check.model}.pml")
    macros = [f"-D{name}={value}" for name, value in check.bounds.items()]
    if check.fault is not None:
        macros.append(f"-D{check.fault}")
    with tempfile.TemporaryDirectory(prefix="offerlog-model-") as folder:

        def run(*words: str) -> str:
            done = subprocess.run(
                words, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
            )
            if done.returncode:
                raise SearchError(f"{words[0]} failed for {check}: {done.stdout}{done.stderr}")
            return done.stdout

        shutil.copy(model, folder)
        run("spin", "-a", *macros, model.name)
        # SAFETY: assertions and states without a way on. COLLAPSE: a third of the memory, in more time.
        # -w: spin's code is not ours, so its warnings do not matter.
        options = ["-O2", "-DCOLLAPSE"] if optimize else ["-O0"]
        options += ["-w", "-DSAFETY", f"-DMEMLIM={_MEMORY_MEGABYTES}"]
        run("cc", *options, "-o", "pan", "pan.c")
        printed = run("./pan", f"-m{_DEPTH}")
        errors, states = _ERRORS.search(printed), _STATES.search(printed)
        if errors is None or states is None:
            raise SearchError(f"the search of {check} printed: {printed}")
        if errors[1] == "0":
            if _INCOMPLETE.search(printed):
                raise SearchError(f"the search of {check} was not complete: {printed}")
            return Search(int(states[1]), None, "")
        violation = _VIOLATION.search(printed)
        if violation is None:
            raise SearchError(f"the search of {check} printed: {printed}")
        return Search(int(states[1]), violation[1], run("spin", "-t", "-p", *macros, model.name))
