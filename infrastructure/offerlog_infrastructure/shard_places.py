"""The files and folders that each of several servers has beside those of the home."""

from collections.abc import Sequence
from pathlib import Path


def place_of_shard(path: Path, number: int) -> Path:
    """Return the place beside a file or folder that a shard has in its stead; that itself for the home."""
    return path.with_name(f"{path.stem}-shard-{number}{path.suffix}") if number else path


def places_of_shards(path: Path) -> Sequence[Path]:
    """Return the places beside that of the home which some shard has, as far as they are there."""
    return sorted(path.parent.glob(f"{path.stem}-shard-*{path.suffix}"))
