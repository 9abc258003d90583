"""The files and folders that each of several servers has beside those of the home."""

from pathlib import Path


def place_of_shard(path: Path, number: int) -> Path:
    """Return the place beside a file or folder that a shard has in its stead; that itself for the home."""
    return path.with_name(f"{path.stem}-shard-{number}{path.suffix}") if number else path
