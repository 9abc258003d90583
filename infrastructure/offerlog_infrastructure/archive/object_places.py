"""A place for archived events in object storage, or in whatever else fsspec can reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from offerlog_application.reading.arrow import ExtraMissingError


class ArchiveObjects:
    """A place that a URL names, such as `s3://bucket/offerlog`. Its own settings and keys are fsspec's.

    A write is durable when the storage has answered it. A method has the errors of the method of
    `ArchivePlace`.

    Args:
        address: The URL.

    Attributes:
        address: As given.

    Raises:
        ExtraMissingError: fsspec is not installed.
        OSError: The URL is not one that fsspec can open: a package for it is missing, for instance.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        with _as_os_errors():
            self._files, self._root = _load_fsspec().url_to_fs(address, use_listings_cache=False)

    def write(self, name: str, data: bytes) -> None:
        """Write a file under a name that nothing has had before; it is durable when this returns."""
        with _as_os_errors():
            self._files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(self._path(name), data)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        with _as_os_errors():
            data: bytes = self._files.cat_file(self._path(name))
            return data

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            with _as_os_errors():
                self._files.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def names(self, beginning: str) -> list[str]:
        """Return the names of the files whose names begin so."""
        folder = beginning.rpartition("/")[0]
        try:
            with _as_os_errors():
                found = self._files.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        names = [f"{folder}/{path.rpartition('/')[2]}" for path in found]
        return [name for name in names if name.startswith(beginning)]

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Turn the errors of a storage, which has classes of its own, into an OSError."""
    try:
        yield
    except (OSError, ExtraMissingError):
        raise
    except Exception as error:  # each storage has its own classes, which share no root
        raise OSError(f"{type(error).__name__}: {error}") from error


def _load_fsspec() -> Any:
    try:
        from fsspec import core  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ExtraMissingError("fsspec", "archive") from None
    return core
