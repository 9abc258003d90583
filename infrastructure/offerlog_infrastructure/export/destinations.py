"""The places of an export: a file that appears as a whole or not at all, or a pipe."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.durable_folders import flush_folder


class ExportPlaceError(OfferlogError):
    """An export cannot be written there; the message says why. A file that was there stays as it was."""


@contextmanager
def open_file(place: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Write a file beside its place, and rename it when the block ends without an error.

    A pipe or a device is written to directly.

    Args:
        place: The file. An older one is replaced.
        mode: The rights of the new file, less the umask.

    Raises:
        ExportPlaceError: It cannot be written.
    """
    place = place.absolute()
    if place.exists() and not place.is_file():
        if place.is_dir():
            raise ExportPlaceError(f"{place} is a folder: name a file")
        with _blaming(place), place.open("wb") as pipe:
            yield pipe
        return
    target = place.resolve()  # a link stays a link
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with _blaming(place):
        file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb")
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        flush_folder(target.parent)


@contextmanager
def _blaming(place: Path) -> Iterator[None]:
    """Turn an error of the file system into one that names the place."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OfferlogError | BrokenPipeError):
            raise
        reason = error.strerror or str(error)
        raise ExportPlaceError(
            f"the export cannot be written to {place}: {reason}{full_disk_hint(place.parent)}"
        ) from error
