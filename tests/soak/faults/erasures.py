"""Visitors who are erased by the command, while everything else goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from subprocess import TimeoutExpired
from typing import Final
from uuid import UUID

from soak.erased import ERASED, ORGANIZATION
from soak.faults import CannotInjectError, fault
from soak.system import System

_SECONDS: Final = 60.0
_TRIES: Final = 5
"""Another fault may be active when the erasure is asked for; the same call again goes on."""


@fault("erase visitors", weight=2, seconds=(0.0, 3.0))
def erase_visitor(system: System, chance: Random) -> Iterator[str]:
    """A visitor of a separate organization, whom no client knows, so that nobody misses the events."""
    customer = f"erased-{chance.getrandbits(64):016x}"
    file = system.folder / f"{customer}.ndjson"
    _write_signals(file, customer, chance)
    run = _run(system, "record", str(file))
    if run != 0:
        raise CannotInjectError("the signals of a visitor to erase could not be recorded now")
    code = _run(system, "erase", "--customer", customer)
    yield customer
    for _ in range(_TRIES):
        if code == 0:
            break
        code = _run(system, "erase", "--customer", customer)
    if code == 0:
        system.history.write(ERASED, customer=customer)


def _write_signals(file: Path, customer: str, chance: Random) -> None:
    """An invitation that was rejected, and a signal that waits for its offer."""
    ids = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(4)]
    signals = [
        {
            "actionId": action,
            "actionState": state,
            "actionMapId": ids[0],
            "customerId": customer,
            "sessionId": ids[1],
        }
        for action, state in ((ids[2], "offered"), (ids[2], "rejected"), (ids[3], "accepted"))
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in signals), encoding="utf-8")


def _run(system: System, *words: str) -> int:
    try:
        return system.command(*words, "--organization", ORGANIZATION, seconds=_SECONDS).returncode
    except TimeoutExpired:
        return 1
