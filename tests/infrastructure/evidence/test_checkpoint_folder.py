"""The folder of checkpoints: tiles are durable before a checkpoint of them is there."""

import os
import secrets
from pathlib import Path

import pytest

from offerlog_domain.transparency.tiles import Tile
from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder


def note(size: int) -> str:
    """A checkpoint, whose signature nobody looks at."""
    root = "A" * 43
    return f"shop.example\n{size}\n{root}=\n\n\N{EM DASH} shop.example {'A' * 8}\n"


def test_every_tile_is_flushed_before_the_checkpoint_and_each_folder_once_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tile, its place in the folder, and every new folder above."""
    # given
    flushed: list[tuple[str, frozenset[str]]] = []
    flush = os.fsync

    def noting_fsync(descriptor: int) -> None:
        flush(descriptor)
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        names = frozenset(one.name for one in place.iterdir()) if place.is_dir() else frozenset[str]()
        flushed.append((place.relative_to(tmp_path).as_posix(), names))

    monkeypatch.setattr(os, "fsync", noting_fsync)
    tiles = [(Tile(0, n, 256), secrets.token_bytes(8192)) for n in range(998, 1004)]
    folder = CheckpointFolder(tmp_path / "outside")
    # when
    folder.write(1004 * 256, note(1004 * 256), tiles)
    # then
    places = [place for place, _ in flushed]
    published = next(n for n, place in enumerate(places) if place.startswith("outside/.checkpoint."))
    before = flushed[:published]
    durable = {f"{place}/{name}" for place, names in before for name in names if not name.startswith(".")}
    assert {f"outside/{tile.path}" for tile, _ in tiles} <= durable
    assert {"outside/tile", "outside/tile/0", "outside/tile/0/x001", "outside/checkpoints"} <= durable
    assert len([place for place in places if "/tile/0/" in place and "/." in place]) == len(tiles)
    assert len([place for place, _ in before if place == "outside/tile/0"]) == 1
    assert {tile for tile, _ in tiles} == {kept.tile for kept in folder.tiles()}


def test_an_earlier_checkpoint_that_comes_late_does_not_take_the_place_of_the_newest(tmp_path: Path) -> None:
    """As one that a witness has cosigned while the next one was signed."""
    folder = CheckpointFolder(tmp_path / "outside")
    for size in (5, 9):
        folder.write(size, note(size), ())
    cosigned = note(5) + "\N{EM DASH} auditor.example AAAAAAAA\n"
    folder.write(5, cosigned, ())
    newest = folder.newest()
    assert newest is not None
    assert newest.text == note(9)
    assert cosigned in {one.text for one in folder.checkpoints()}
