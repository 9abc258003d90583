"""A disk that fills up."""

import os
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from soak.faults import fault
from soak.small_disk import mount
from soak.system import System


@fault("disk full", seconds=(1.0, 10.0), prepare=mount)
def fill(system: System, _: Random) -> Iterator[str]:
    """The file system of the store has no byte left."""
    filler = system.data / "filler"
    file = os.open(filler, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        size, piece = 0, 1 << 30
        while piece >= 4096:
            try:
                os.posix_fallocate(file, size, piece)
                size += piece
            except OSError:
                piece //= 2
        yield f"{size >> 20} MiB filled"
    finally:
        os.close(file)
        with suppress(FileNotFoundError):
            filler.unlink()
