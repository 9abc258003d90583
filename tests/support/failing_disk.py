"""A disk that fails under the embedded PostgreSQL, and under nothing else.

`failing_disk.c` is compiled and preloaded into the server by a stand-in for its program, which `PG_BINDIR`
names. The disk works until `inject` and works again after `heal`.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.embedded.server_user import ServerUser
from offerlog_infrastructure.embedded.staging import executable_bindir

_SOURCE = Path(__file__).with_name("failing_disk.c")


class DiskError(StrEnum):
    """What fails; the value is what `failing_disk.c` reads in the file."""

    SYNC = "s"
    """fsync and its like: EIO. PostgreSQL ends at once by design, and recovers what it had synced."""
    WRITE_AND_SYNC = "w"
    """Those, and writes: EIO."""
    FULL = "n"
    """Writes: ENOSPC."""


class CompilerMissingError(Exception):
    """There is no C compiler here to make the preloaded library with."""


class FailingDisk:
    """A folder of PostgreSQL's programs whose server meets errors on demand.

    Args:
        folder: An existing folder of the fault's own, that the server's user can reach.

    Raises:
        CompilerMissingError: There is no `cc`.

    Attributes:
        folder: The folder.
        bindir: What `PG_BINDIR` must be where the server is started.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise CompilerMissingError("install a C compiler (Debian: the package gcc) to try a failing disk")
        binaries = find_binaries()
        real = executable_bindir(binaries, ServerUser.of(folder / "none"))
        self.folder = folder
        self.bindir = folder / "bin"
        self._flag = folder / "failing"
        library = folder / "failing_disk.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, _SOURCE, "-ldl"],
            check=True,
            timeout=60,
        )
        self.bindir.mkdir()
        for program in real.iterdir():
            (self.bindir / program.name).symlink_to(program)
        stand_in = self.bindir / "postgres"
        stand_in.unlink()
        stand_in.write_text(
            "#!/bin/sh\n"
            f"LD_PRELOAD={shlex.quote(str(library))} OFFERLOG_FAILING_DISK={shlex.quote(str(self._flag))} "
            f'exec {shlex.quote(str(real / "postgres"))} "$@"\n'
        )
        for made in (self.bindir, stand_in, library):
            made.chmod(0o755)

    def inject(self, error: DiskError = DiskError.SYNC) -> None:
        """Have every such call of the server fail from now on."""
        written = self._flag.with_suffix(".new")
        written.write_text(error)
        written.chmod(0o644)
        written.rename(self._flag)  # the server never reads an empty file

    def heal(self) -> None:
        """Have them succeed again; again is no harm."""
        self._flag.unlink(missing_ok=True)

    @contextmanager
    def failing(self, error: DiskError = DiskError.SYNC) -> Iterator[None]:
        """A block in which they fail."""
        self.inject(error)
        try:
            yield
        finally:
            self.heal()

    @contextmanager
    def used(self) -> Iterator[None]:
        """A block in which servers that this process starts are under it."""
        before = os.environ.get("PG_BINDIR")
        os.environ["PG_BINDIR"] = str(self.bindir)
        try:
            yield
        finally:
            if before is None:
                del os.environ["PG_BINDIR"]
            else:
                os.environ["PG_BINDIR"] = before
