"""The manifest of a replay: what was planned, what is written, and the result of each slice.

It is one JSON file beside the files of the slices. It is replaced after each step, so a replay that was
killed resumes where it was.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from offerlog_application.ports.slices import LiveProjections, ProjectionDigest, TableDigest
from offerlog_infrastructure.durable_folders import flush_folder
from offerlog_infrastructure.replaying.errors import ManifestError
from offerlog_infrastructure.replaying.slice_files import SliceTask, WrittenSlice
from offerlog_infrastructure.replaying.slice_replay import SliceReplay

NAME: Final = "manifest.json"
SHARDS_NAME: Final = "shards.json"
FORMAT: Final = 1


class StoredDigest(msgspec.Struct, frozen=True):
    """A `ProjectionDigest` in JSON; large numbers are texts."""

    events: int
    digest: str
    tables: Mapping[str, tuple[int, str]]


class StoredResult(msgspec.Struct, frozen=True):
    """A `SliceReplay` in JSON."""

    events: int
    counts: Mapping[str, int]
    projections: Mapping[str, StoredDigest]
    unreadable: list[int]
    files: Mapping[str, str]


class PlannedSlice(msgspec.Struct):
    """A slice of the replay.

    Attributes:
        low: The lowest stream id.
        high: The highest one.
        file: The name of its file in the folder.
        written: The file, once it is written.
        result: The result, once there is one.
    """

    low: str
    high: str
    file: str
    written: WrittenSlice | None = None
    result: StoredResult | None = None


class ReplayManifest(msgspec.Struct):
    """The plan and the progress of a replay.

    Attributes:
        format: The version of this form.
        store: The store, as `LiveProjections` names it.
        task: What every file brings along.
        live: The contents of the live projections at the beginning.
        slices: The slices.
    """

    format: int
    store: str
    task: SliceTask
    live: Mapping[str, StoredDigest]
    slices: list[PlannedSlice]


class ShardsManifest(msgspec.Struct):
    """The servers of a replay over several; each has a folder with a manifest of its own.

    Attributes:
        format: The version of this form.
        placement: What changes whenever a slice moves, by number of the server, when the replay began.
        is_written: True once all files are written, so that later moves do not matter.
    """

    format: int
    placement: Mapping[int, Sequence[int]]
    is_written: bool = False


_Manifest = TypeVar("_Manifest", ReplayManifest, ShardsManifest)


def load_manifest(folder: Path) -> ReplayManifest | None:
    """Read the manifest of a folder; None if there is none.

    Raises:
        ManifestError: It cannot be read, or has another form.
    """
    return _load(folder, NAME, ReplayManifest)


def load_shards(folder: Path) -> ShardsManifest | None:
    """Read the servers of a replay over several; None if it is not one, or has not begun to write files.

    Raises:
        ManifestError: It cannot be read, or has another form.
    """
    return _load(folder, SHARDS_NAME, ShardsManifest)


def _load(folder: Path, name: str, kind: type[_Manifest]) -> _Manifest | None:
    try:
        text = (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise ManifestError(folder, f"its manifest cannot be read: {error}") from error
    if found.format != FORMAT:
        raise ManifestError(folder, f"its manifest has the form {found.format}")
    return found


def save_manifest(folder: Path, manifest: ReplayManifest | ShardsManifest) -> None:
    """Replace the manifest; it is on the disk when this returns.

    Raises:
        OSError: It cannot be written.
    """
    name = NAME if isinstance(manifest, ReplayManifest) else SHARDS_NAME
    part = folder / f"{name}.part"
    with part.open("wb") as file:
        part.chmod(0o600)
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / name)
    flush_folder(folder)


def new_manifest(live: LiveProjections, code: str, slices: list[PlannedSlice]) -> ReplayManifest:
    """Return the manifest of a replay that begins."""
    waiting = {
        name: {str(stream): version for stream, version in streams.items()}
        for name, streams in live.waiting.items()
    }
    task = SliceTask(live.positions, waiting, code, live.shard)
    contents = {name: _store_digest(one) for name, one in live.contents.items()}
    return ReplayManifest(FORMAT, live.store, task, contents, slices)


def store_result(result: SliceReplay) -> StoredResult:
    """Return a result in the form of the manifest."""
    projections = {name: _store_digest(one) for name, one in result.projections.items()}
    return StoredResult(result.events, result.counts, projections, list(result.unreadable), result.files)


def read_result(stored: StoredResult) -> SliceReplay:
    """Return a result of the manifest."""
    projections = {name: read_digest(one) for name, one in stored.projections.items()}
    return SliceReplay(stored.events, stored.counts, projections, stored.unreadable, stored.files)


def read_digest(stored: StoredDigest) -> ProjectionDigest:
    """Return the digest of a projection in the manifest."""
    tables = {name: TableDigest(total, int(digest)) for name, (total, digest) in stored.tables.items()}
    return ProjectionDigest(stored.events, int(stored.digest), tables)


def _store_digest(one: ProjectionDigest) -> StoredDigest:
    tables: dict[str, Any] = {name: (table.total, str(table.digest)) for name, table in one.tables.items()}
    return StoredDigest(one.events, str(one.digest), tables)
