"""A new epoch of the log: what writers have decided and not committed is decided again."""

from collections.abc import Iterator
from random import Random
from typing import Final

from soak.faults import fault
from soak.system import System

_RAISE_EPOCH: Final = "UPDATE log_epoch SET epoch = epoch + 1 RETURNING epoch"


@fault("raise the epoch", weight=2)
def raise_epoch(system: System, _: Random) -> Iterator[str]:
    """As the fence does before it waits for the writers of the epoch before."""
    ((epoch,),) = system.sql(_RAISE_EPOCH)
    yield f"epoch {epoch}"
