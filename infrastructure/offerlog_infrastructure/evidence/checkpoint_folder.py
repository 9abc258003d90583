"""A folder of checkpoints and tiles outside of the store, in the layout of C2SP tlog-tiles.

::

    checkpoint                    the newest checkpoint
    checkpoints/000000000001234   every checkpoint, by its size
    tile/0/000, tile/0/001.p/17   the tiles
    erasures                      the visitors whom no restored backup may bring back (`erasure_file`)

Nothing is ever changed but `checkpoint`, which is replaced. A checkpoint may get further signatures. Partial
tiles go when the full one is there.

Auditors keep copies as they like. So checkpoints are read from files of any name, in any folder below, and
from a single file.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.sealed_tree import (
    CheckpointFolderError,
    ForkError,
    KeptCheckpoint,
    KeptTile,
)
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.tiles import TILE_BYTES, Tile, read_tile_path
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.evidence.durable_files import replace_files
from offerlog_infrastructure.evidence.erasure_file import ErasureFile

_NEWEST: Final = "checkpoint"
_ALL: Final = "checkpoints"
_TILES: Final = "tile"
_DIGITS: Final = 15
_BATCH: Final = 256
"""Tiles that are flushed to the disk together; 2 MiB."""

_LARGEST: Final = 512 << 10
"""Bytes of the largest file that is read as a checkpoint: 64 of the longest signatures take less."""


class CheckpointFolder:
    """The application's `CheckpointArchive` in a folder; thread-safe.

    Args:
        path: The folder; it is made when something is written. To read checkpoints, it may be a single file.

    Attributes:
        path: The folder, absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def checkpoints(self) -> Iterator[KeptCheckpoint]:
        """Return all checkpoints in the folder, each text once, whatever the files are called.

        A file that is a checkpoint by its place or name is returned whatever it holds; others if they hold
        one.
        """
        with self._used():
            if self.path.is_file():
                yield _kept(self.path)
                return
            seen = set[str]()
            for place in self._files_beside_tiles():
                kept = _kept(place)
                if kept.text not in seen and (
                    self._is_checkpoint_by_name(place) or _is_checkpoint(kept.text)
                ):
                    seen.add(kept.text)
                    yield kept

    def _files_beside_tiles(self) -> Iterator[Path]:
        """Return the files that may be checkpoints: those in `checkpoints` first, then the others."""
        found = []
        walk = os.walk(self.path, onerror=_raise) if self.path.exists() else ()
        for folder, folders, names in walk:
            here = Path(folder)
            folders[:] = [
                one for one in folders if not one.startswith(".") and (here != self.path or one != _TILES)
            ]
            found += [here / name for name in names if not name.startswith(".")]
        places = [one for one in found if one.is_file() and one.stat().st_size <= _LARGEST]
        yield from sorted(places, key=lambda one: (one.parent != self.path / _ALL, one))

    def _is_checkpoint_by_name(self, place: Path) -> bool:
        return place.name == _NEWEST or (place.parent == self.path / _ALL and place.name.isdecimal())

    def newest(self) -> KeptCheckpoint | None:
        """Return the checkpoint that was written last."""
        with self._used():
            try:
                return _kept(self.path / _NEWEST)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def add_erasures(self, erased: Sequence[Tombstone]) -> None:
        """Add the erasures that the list in the folder does not have yet; make it if there is none."""
        ErasureFile(self.path).add(erased)

    def tiles(self) -> Iterator[KeptTile]:
        """Return all tiles that are there, also partial ones."""
        with self._used():
            for place in sorted((self.path / _TILES).rglob("*")):
                if not place.is_file():
                    continue
                try:
                    tile = read_tile_path(place.relative_to(self.path).as_posix())
                    with place.open("rb") as file:
                        hashes = file.read(TILE_BYTES + 1)
                except (
                    NoteError,
                    FileNotFoundError,
                ):  # a file of somebody else; or a service has filled the tile
                    continue
                yield KeptTile(str(place), tile, hashes)

    def tile(self, tile: Tile) -> bytes | None:
        """Return the hashes of a tile; of a partial one those of the full one if only that is there."""
        with self._used():
            for one in (tile, Tile(tile.level, tile.n)):
                try:
                    return (self.path / one.path).read_bytes()
                except (FileNotFoundError, NotADirectoryError):
                    continue
            return None

    def write(self, size: int, text: str, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Write tiles, then a checkpoint.

        Raises:
            ForkError: A full tile or a checkpoint of this size is there and differs.
            CheckpointFolderError: The folder cannot be used.
        """
        with self._used():
            for batch in _batches(tiles):
                self._add(batch)
                for tile in batch:
                    if tile.is_full:
                        place = self.path / tile.path
                        shutil.rmtree(place.with_name(place.name + ".p"), ignore_errors=True)
            place = self.path / _ALL / f"{size:0{_DIGITS}d}"
            self._add_note(place, text)
            newest = self.newest()
            if newest is None or _size_of(newest.text) <= size:
                replace_files({self.path / _NEWEST: place.read_bytes()}, self.path)

    def _add_note(self, place: Path, text: str) -> None:
        """Write a checkpoint; one of the same tree stays, unless the new one has more signatures."""
        try:
            before = place.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            before = ""
        if before and _tree_of(before) != _tree_of(text):
            raise _differs(place)
        if len(before) < len(text):
            replace_files({place: text.encode()}, self.path)

    def _add(self, tiles: Mapping[Tile, bytes]) -> None:
        """Write tiles that do not exist yet, durably; one that is the same stays."""
        new: dict[Path, bytes] = {}
        for tile, hashes in tiles.items():
            place = self.path / tile.path
            try:
                if place.read_bytes() != hashes:
                    raise _differs(place)
            except FileNotFoundError:
                new[place] = hashes
        if new:
            replace_files(new, self.path)

    @contextmanager
    def _used(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = full_disk_hint(self.path)
            raise CheckpointFolderError(
                f"the folder of checkpoints {self.path} cannot be used:"
                f" {error.filename or ''} {error.strerror}{hint}; name another one with --to or"
                " OFFERLOG_CHECKPOINTS"
            ) from error


def _differs(place: Path) -> ForkError:
    return ForkError(
        f"{place} is there and differs, so the log is not the one that was signed before: nothing was"
        " changed in the folder. `offerlog audit verify` says what differs"
    )


def _batches(tiles: Iterable[tuple[Tile, bytes]]) -> Iterator[dict[Tile, bytes]]:
    """Return the tiles in batches that are flushed together."""
    remaining = iter(tiles)
    while batch := dict(islice(remaining, _BATCH)):
        yield batch


def _size_of(note: str) -> int:
    """Return the number of events of a checkpoint; 0 of a text that is not one."""
    try:
        return SignedCheckpoint.parse(note).checkpoint.size
    except NoteError:
        return 0


def _tree_of(note: str) -> str:
    """Return the text of a note without its signatures."""
    return note.rpartition("\n\n")[0]


def _raise(error: OSError) -> None:
    raise error


def _is_checkpoint(text: str) -> bool:
    try:
        SignedCheckpoint.parse(text)
    except NoteError:
        return False
    return True


def _kept(place: Path) -> KeptCheckpoint:
    return KeptCheckpoint(str(place), place.read_bytes().decode("utf-8", "replace"))
