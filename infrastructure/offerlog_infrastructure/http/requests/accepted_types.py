"""The media type that a client wants most, by its header `Accept` (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

_WEIGHT: Final = "q"
_FULL: Final = 1.0
_LEAST_WEIGHT: Final = 0.0


class _Range(NamedTuple):
    """A media range of the header.

    Attributes:
        name: Type and subtype, in lower case, such as `text/csv`, `text/*` or `*/*`.
        weight: From 0 to 1; 0 rules it out.
        place: Its place in the header.
    """

    name: str
    weight: float
    place: int

    def matches(self, media_type: str) -> bool:
        """Return True if a media type is in the range."""
        return self.name in {media_type, f"{media_type.partition('/')[0]}/*", "*/*"}

    @property
    def exactness(self) -> int:
        """2 for a media type, 1 for all of a type, 0 for everything."""
        return 2 - self.name.count("*")


def choose_media_type(accept: str, offered: Sequence[str]) -> str | None:
    """Return the media type that a client wants most; None if it wants none of them, or says nothing.

    Of those with the same weight, the one that is named most exactly is chosen, then the one that the client
    names first, then the first that is offered. Parameters of media types are left out of account.
    """
    ranges = [_read_range(one, place) for place, one in enumerate(accept.lower().split(","))]
    best: tuple[tuple[float, int, int, int], str] | None = None
    for number, media_type in enumerate(offered):
        base = media_type.partition(";")[0].strip()
        matching = [one for one in ranges if one.matches(base)]
        if not matching:
            continue
        closest = max(matching, key=lambda one: (one.exactness, -one.place))
        rank = closest.weight, closest.exactness, -closest.place, -number
        if closest.weight > _LEAST_WEIGHT and (best is None or rank > best[0]):
            best = rank, media_type
    return None if best is None else best[1]


def _read_range(text: str, place: int) -> _Range:
    name, *parameters = (part.strip() for part in text.split(";"))
    pairs = (one.partition("=") for one in parameters)
    weights = [value.strip() for key, _, value in pairs if key.strip() == _WEIGHT]
    return _Range(name, _read_weight(weights[0]) if weights else _FULL, place)


def _read_weight(text: str) -> float:
    """Read a weight; what is not one rules nothing out."""
    try:
        weight = float(text)
    except ValueError:
        return _FULL
    return weight if _LEAST_WEIGHT <= weight <= _FULL else _FULL
