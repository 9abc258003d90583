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

_NAME: Final = "manifest.json"
_SHARDS_NAME: Final = "shards.json"

FORMAT: Final = 1
"""The version of the form of both manifests. A manifest of another version is refused."""


class DigestInJson(msgspec.Struct, frozen=True):
    """A `ProjectionDigest` in JSON; large numbers are texts."""

    events: int
    digest: str
    tables: Mapping[str, tuple[int, str]]


class ResultInJson(msgspec.Struct, frozen=True):
    """A `SliceReplay` in JSON."""

    events: int
    counts: Mapping[str, int]
    projections: Mapping[str, DigestInJson]
    unreadable: list[int]
    files: Mapping[str, str]


class PlannedSlice(msgspec.Struct):
    """A slice of the replay.

    Attributes:
        low: The lowest stream id of the slice.
        high: The highest one.
        file: The name of its file in the folder.
        written: The file, once it is written.
        result: The result, once there is one.
    """

    low: str
    high: str
    file: str
    written: WrittenSlice | None = None
    result: ResultInJson | None = None


class ReplayManifest(msgspec.Struct):
    """The plan and the progress of a replay.

    Attributes:
        format: `FORMAT` of the offerlog that began the replay.
        store: The name of the store, as in `LiveProjections`.
        task: The part of the task that is the same for all slices. Each file of a slice holds it.
        live: The contents of the live projections at the beginning, by name.
        slices: The slices, in the order of their stream ids.
    """

    format: int
    store: str
    task: SliceTask
    live: Mapping[str, DigestInJson]
    slices: list[PlannedSlice]


class ShardsManifest(msgspec.Struct):
    """The servers of a replay over several servers; each has a folder with a manifest.

    Attributes:
        format: `FORMAT` of the offerlog that began the replay.
        placement: The placement of the slices when the replay began, by number of the server (see
            `SliceSources.read_placement`). Another placement means that a slice has moved.
        is_written: True once all files are written. A slice that moves later does not matter.
    """

    format: int
    placement: Mapping[int, Sequence[int]]
    is_written: bool = False


_Manifest = TypeVar("_Manifest", ReplayManifest, ShardsManifest)


def load_manifest(folder: Path) -> ReplayManifest | None:
    """Read the manifest of a folder; None if there is none.

    Raises:
        ManifestError: It cannot be read, or has another `FORMAT`.
    """
    return _load(folder, _NAME, ReplayManifest)


def load_shards_manifest(folder: Path) -> ShardsManifest | None:
    """Read the manifest of a replay over several servers.

    Returns:
        None if the folder does not hold such a replay, or one that has not begun to write files.

    Raises:
        ManifestError: It cannot be read, or has another `FORMAT`.
    """
    return _load(folder, _SHARDS_NAME, ShardsManifest)


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
    name = _NAME if isinstance(manifest, ReplayManifest) else _SHARDS_NAME
    part = folder / f"{name}.part"
    with part.open("wb") as file:
        part.chmod(0o600)
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / name)
    flush_folder(folder)


def make_manifest(live: LiveProjections, code: str, slices: list[PlannedSlice]) -> ReplayManifest:
    """Make the manifest of a replay that begins.

    Args:
        live: The live projections, read now.
        code: The fingerprint of the code that computes the projections.
        slices: The slices to replay.
    """
    waiting = {
        name: {str(stream): version for stream, version in streams.items()}
        for name, streams in live.waiting.items()
    }
    task = SliceTask(live.positions, waiting, code, live.shard)
    contents = {name: _encode_digest(one) for name, one in live.contents.items()}
    return ReplayManifest(FORMAT, live.store, task, contents, slices)


def encode_result(result: SliceReplay) -> ResultInJson:
    """Convert the result of a slice into the form of the manifest."""
    projections = {name: _encode_digest(one) for name, one in result.projections.items()}
    return ResultInJson(result.events, result.counts, projections, list(result.unreadable), result.files)


def decode_result(stored: ResultInJson) -> SliceReplay:
    """Convert the result of a slice from the form of the manifest."""
    projections = {name: decode_digest(one) for name, one in stored.projections.items()}
    return SliceReplay(stored.events, stored.counts, projections, stored.unreadable, stored.files)


def decode_digest(stored: DigestInJson) -> ProjectionDigest:
    """Convert the digest of a projection from the form of the manifest."""
    tables = {name: TableDigest(total, int(digest)) for name, (total, digest) in stored.tables.items()}
    return ProjectionDigest(stored.events, int(stored.digest), tables)


def _encode_digest(one: ProjectionDigest) -> DigestInJson:
    tables: dict[str, Any] = {name: (table.total, str(table.digest)) for name, table in one.tables.items()}
    return DigestInJson(one.events, str(one.digest), tables)
