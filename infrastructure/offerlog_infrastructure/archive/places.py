"""The places where files of archived events lie."""

import errno
import os
from pathlib import Path
from typing import Protocol

from offerlog_infrastructure.archive.object_places import ArchiveObjects
from offerlog_infrastructure.durable_folders import flush_folder


class ArchivePlace(Protocol):
    """A place for files. A file is written once, and never changed.

    Attributes:
        address: Its address, for people and as `open_place` takes it.
    """

    address: str

    def write(self, name: str, data: bytes) -> None:
        """Write a file under a name that nothing has had before; it is durable when this returns.

        Raises:
            OSError: It cannot be written.
        """

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            FileNotFoundError: There is no such file.
            OSError: It cannot be read.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            OSError: It cannot be removed.
        """

    def names(self, beginning: str) -> list[str]:
        """Return the names of the files whose names begin so.

        Raises:
            OSError: They cannot be listed.
        """


class ArchiveFolder:
    """A folder of this machine, or one that all machines mount under the same path.

    A method has the errors of the method of `ArchivePlace`.

    Args:
        folder: The folder; the first write makes it.

    Attributes:
        address: Its path.
    """

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Write a file under a name that nothing has had before; it is durable when this returns."""
        path = self._path(name)
        for folder in (self._folder, path.parent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                flush_folder(folder.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        flush_folder(path.parent)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return self._path(name).read_bytes()

    def remove(self, name: str) -> None:
        """Remove a file, if it is there; the removal is durable when this returns."""
        path = self._path(name)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            flush_folder(path.parent)

    def names(self, beginning: str) -> list[str]:
        """Return the names of the files whose names begin so."""
        path = self._folder / beginning
        return [str(one.relative_to(self._folder)) for one in path.parent.glob(f"{path.name}*")]

    def _path(self, name: str) -> Path:
        """Return the path of a file. A name comes from a database, which may be a backup of anybody."""
        path = Path(name)
        if path.is_absolute() or ".." in path.parts:
            raise OSError(errno.EINVAL, "the name leads out of the folder")
        return self._folder / path


def open_place(place: str) -> ArchivePlace:
    """Return the place of an address: an absolute path, or a URL of object storage.

    Raises:
        ExtraMissingError: fsspec is not installed.
        OSError: The URL is not one that fsspec can open.
    """
    if is_url(place):
        return ArchiveObjects(place)
    return ArchiveFolder(Path(place))


def is_url(place: str) -> bool:
    """Return True for a URL, False for a path."""
    return "://" in place


def place_of_server(place: str | None, number: int) -> str | None:
    """Return the part of a place that one of several servers has: the home's is the place itself.

    Args:
        place: The place; None for the one that the server has.
        number: The number of the server.
    """
    return place if place is None or number == 0 else f"{place.rstrip('/')}{_part_of(number)}"


def home_place_of(place: str, number: int) -> str | None:
    """Return the place of the home, if the one of a server is its part of that; None if it is another one."""
    if number == 0:
        return place
    return place.removesuffix(_part_of(number)) if place.endswith(_part_of(number)) else None


def _part_of(number: int) -> str:
    return f"/shard-{number}"
