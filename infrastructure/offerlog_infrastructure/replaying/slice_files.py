"""The events of one slice in a Parquet file: whole visitors, in order of stream and version, exact bytes."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Final

import msgspec

from offerlog_application.ports.slices import StoredRow
from offerlog_infrastructure.archive.event_files import read_events, read_metadata, write_events
from offerlog_infrastructure.durable_folders import flush_folder

_KEY: Final = b"offerlog"
"""The name of the task among the metadata of a file."""

_PAGE: Final = 5_000
_GROUP: Final = 50_000
"""Events of a page that is read, and of a group that is written."""


class SliceTask(msgspec.Struct, frozen=True):
    """The task that a file of a slice brings along.

    Attributes:
        positions: For each projection, the position up to which it has applied events.
        waiting: For each projection, the streams of the slice that wait as dead letters, and from which
            version on.
        code: The digest of the code that decides what a projection holds.
        shard: The number of the store among several. Events of other shards have no place in the order of its
            positions: every projection has applied them.
    """

    positions: Mapping[str, int]
    waiting: Mapping[str, Mapping[str, int]]
    code: str
    shard: int = 0


class WrittenSlice(msgspec.Struct, frozen=True):
    """A file of a slice.

    Attributes:
        events: The number of events in it.
        sha256: The digest of its bytes, in hexadecimal digits.
    """

    events: int
    sha256: str


def write_slice(path: Path, task: SliceTask, pages: Iterable[Sequence[StoredRow]]) -> WrittenSlice:
    """Write the file of a slice; it has its name once it is whole and on the disk.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        OSError: The file cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        part.chmod(0o600)
        events = write_events(file, _gather(pages), {_KEY: msgspec.json.encode(task)})
        file.flush()
        os.fsync(file.fileno())
    sha256 = hash_file(part)
    part.rename(path)
    flush_folder(path.parent)
    return WrittenSlice(events, sha256)


def read_task(path: Path) -> SliceTask:
    """Read the task of a file.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        OSError: The file cannot be read.
    """
    return msgspec.json.decode(read_metadata(path)[_KEY], type=SliceTask)


def read_slice(path: Path) -> Iterator[Sequence[StoredRow]]:
    """Read the events of a file, page by page.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        OSError: The file cannot be read.
    """
    return read_events(path, _PAGE)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _gather(pages: Iterable[Sequence[StoredRow]]) -> Iterator[list[StoredRow]]:
    """Put pages together to groups that compress well."""
    group: list[StoredRow] = []
    for page in pages:
        group += page
        if len(group) >= _GROUP:
            yield group
            group = []
    if group:
        yield group
