"""Disks that fail under the embedded server, by a library that is preloaded into it alone."""

from collections.abc import Iterator
from random import Random

from soak.faults import CannotInjectError, fault
from soak.system import System
from support.failing_disk import CompilerMissingError, DiskError, FailingDisk

_disks: dict[System, FailingDisk] = {}


def prepare_disk(system: System) -> str | None:
    """Have the store served by a PostgreSQL whose disk can be made to fail; once in a run."""
    if system not in _disks:
        folder = system.folder / "failing-disk"
        folder.mkdir()
        folder.chmod(0o755)
        try:
            disk = _disks[system] = FailingDisk(folder)
        except CompilerMissingError as error:
            folder.rmdir()
            return str(error)
        system.environment["PG_BINDIR"] = str(disk.bindir)
    return None


def _failing(system: System, error: DiskError) -> Iterator[str]:
    if system not in _disks:
        raise CannotInjectError("there is no disk that can be made to fail")
    with _disks[system].failing(error):
        yield f"every {error.name.lower()} of the server"


@fault("fsync fails", weight=2, seconds=(0.05, 6), prepare=prepare_disk)
def fail_sync(system: System, _: Random) -> Iterator[str]:
    """PostgreSQL ends at once, by design; until it is healed, it cannot start again."""
    yield from _failing(system, DiskError.SYNC)


@fault("writes and fsync fail", seconds=(0.05, 6), prepare=prepare_disk)
def fail_writes(system: System, _: Random) -> Iterator[str]:
    """A device that has gone: EIO for everything that changes a file."""
    yield from _failing(system, DiskError.WRITE_AND_SYNC)


@fault("writes find no space", seconds=(0.05, 6), prepare=prepare_disk)
def fill_disk(system: System, _: Random) -> Iterator[str]:
    """ENOSPC for every write, as on a full disk, from one moment to the next."""
    yield from _failing(system, DiskError.FULL)
