"""Answers packed with gzip, for clients that accept it."""

import gzip
from collections.abc import Mapping
from typing import Final

_SHORTEST: Final = 1_024
"""Bytes of the shortest text that is worth packing."""

_LEVEL: Final = 4

PACKED_HEADERS: Final = {"Content-Encoding": "gzip"}


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Return True if the Accept-Encoding of a request names gzip, or everything, and does not rule it out."""
    weights = {
        name.strip().lower(): weight.replace(" ", "")
        for name, _, weight in (one.partition(";") for one in headers.get("accept-encoding", "").split(","))
    }
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and weight.rstrip(".0") not in {"q=", "q"}


def pack(content: bytes, level: int = _LEVEL) -> bytes | None:
    """Return bytes packed with gzip, always alike; None if that is not worth it."""
    if len(content) < _SHORTEST:
        return None
    packed = gzip.compress(content, level, mtime=0)
    return packed if len(packed) < len(content) else None
