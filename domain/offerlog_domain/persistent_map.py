"""An immutable map: a change makes a new map in O(log n) and leaves the old one as it was.

The aggregate needs one for two reasons. A decision may be thrown away because another writer was first, so
the state before it must stay valid. And a visitor-offer may hold very many actions, so a plain dictionary
would cost a copy of all of them at every event.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_REMOVED: Final = object()


class PersistentMap(Generic[K, V]):
    """Keys to values, in dictionaries that are never changed once they are made.

    The segments get shorter from first to last, each at most half as long as the one before. A new entry is a
    new segment that takes in the segments that are not at least twice as long. So an entry is copied
    O(log n) times in all, and a look-up asks O(log n) dictionaries.
    """

    __slots__ = ("_length", "_segments")

    def __init__(self) -> None:
        self._segments: tuple[dict[K, Any], ...] = ()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PersistentMap) and dict(self.items()) == dict(other.items())

    def __hash__(self) -> int:
        return hash(frozenset(key for key, _ in self.items()))

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self.items())!r})"

    def get(self, key: K) -> V | None:
        """The value under the key, None where there is none."""
        for segment in reversed(self._segments):
            found = segment.get(key)
            if found is not None:
                return None if found is _REMOVED else cast("V", found)
        return None

    def items(self) -> Iterator[tuple[K, V]]:
        """Every key with its value, in no particular order."""
        merged: dict[K, Any] = {}
        for segment in self._segments:
            merged |= segment
        return ((key, value) for key, value in merged.items() if value is not _REMOVED)

    def values(self) -> Iterator[V]:
        """Every value, in no particular order."""
        return (value for _, value in self.items())

    def with_entries(self, entries: Mapping[K, V]) -> "PersistentMap[K, V]":
        """The map with these entries too; the new value wins where a key is there already."""
        if not entries:
            return self
        added = sum(self.get(key) is None for key in entries)
        return self._on_top(dict(entries), self._length + added)

    def with_entry(self, key: K, value: V) -> "PersistentMap[K, V]":
        """The map with this entry too."""
        return self._on_top({key: value}, self._length + (self.get(key) is None))

    def without(self, key: K) -> "PersistentMap[K, V]":
        """The map without this key; the same map where it is not there."""
        if self.get(key) is None:
            return self
        if self._length == 1:
            return PersistentMap()
        return self._on_top({key: _REMOVED}, self._length - 1)

    def _on_top(self, newest: dict[K, Any], length: int) -> "PersistentMap[K, V]":
        segments = list(self._segments)
        while segments and len(segments[-1]) < 2 * len(newest):
            newest = {**segments.pop(), **newest}
        if not segments:  # nothing older is left that a removal could hide
            newest = {key: value for key, value in newest.items() if value is not _REMOVED}
        changed: PersistentMap[K, V] = PersistentMap()
        changed._segments = (*segments, newest)
        changed._length = length
        return changed
