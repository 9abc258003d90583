"""The comparison of events with the leaves that were sealed: names each event that differs.

The positions in a tile say which leaf belongs to which event. So one event that is missing does not make all
later ones look wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.evidence.findings import Finding, FindingKind
from offerlog_application.ports.sealed_tree import LeafTile
from offerlog_application.wording import format_count
from offerlog_domain.transparency.leaves import StoredRow, hash_events
from offerlog_domain.transparency.tiles import TILE_WIDTH, Tile, split_hashes

_MOST_MATCHED: Final = 300
"""Most events and leaves that are tried against each other, to find moved events. A moved event beyond these
is reported twice: as a deleted one, and as an inserted or edited one."""


class SealedLeaf(NamedTuple):
    """A leaf of the tree, with the position of its event.

    Attributes:
        leaf_index: The place in the tree, from 0.
        position: The position at which the event was sealed.
        leaf: The hash of the event.
    """

    leaf_index: int
    position: int
    leaf: bytes


class StrayRow(NamedTuple):
    """An event that does not fit the leaf of its position, or has none.

    Attributes:
        row: The event as it is now.
        n: The number of the tile of level 0 in whose range it stands.
        sealed: The leaf of its position; None if no event was sealed there.
        is_second: True if another event stands at the position, which two stores hold.
    """

    row: StoredRow
    n: int
    sealed: SealedLeaf | None
    is_second: bool = False


@dataclass(slots=True)
class Differences:
    """The differences between the events of the log and the leaves.

    Attributes:
        strays: Events that do not fit the leaf of their position, or have none.
        missing: Leaves without an event at their position.
    """

    strays: list[StrayRow] = field(default_factory=list)
    missing: list[SealedLeaf] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of strays and missing leaves."""
        return len(self.strays) + len(self.missing)

    def __bool__(self) -> bool:
        return bool(self.count)


def compare(
    tile: LeafTile, positions: Sequence[int], rows: Sequence[StoredRow], leaves: Sequence[bytes]
) -> Differences:
    """Compare the events in the range of a tile with its leaves.

    Args:
        tile: The tile.
        positions: The positions of its events.
        rows: The events that stand there now.
        leaves: Their leaves.
    """
    found = Differences()
    sealed = {
        position: SealedLeaf(tile.n * TILE_WIDTH + place, position, leaf)
        for place, (position, leaf) in enumerate(zip(positions, split_hashes(tile.hashes), strict=True))
    }
    before: int | None = None
    for row, leaf in zip(rows, leaves, strict=True):
        expected = sealed.pop(row[0], None)
        if expected is None or expected.leaf != leaf:
            found.strays.append(StrayRow(row, tile.n, expected, is_second=row[0] == before))
        before = row[0]
    found.missing.extend(sealed.values())
    return found


def name_differences(
    differences: Differences, last_position: int, broken_streams: Sequence[str]
) -> list[Finding]:
    """Name what happened to each event that differs.

    Args:
        differences: The differences of the whole log.
        last_position: The position of the last event that is in the log and in the tree.
        broken_streams: Some streams that lack an event. They may be those of the deleted events.
    """
    moved, matched_leaves = _find_moved(differences)
    moved_to = {one.position for one in moved}
    replaced = [one.sealed for one in differences.strays if one.row[0] in moved_to and one.sealed is not None]
    gone = sorted(one for one in [*differences.missing, *replaced] if one.leaf_index not in matched_leaves)
    others = [_name_stray(stray) for stray in differences.strays if stray.row[0] not in moved_to]
    found = [*moved, *others, *_name_gone(gone, last_position, broken_streams)]
    return sorted(found, key=lambda one: one.position or 0)


def _name_stray(stray: StrayRow) -> Finding:
    """Name what happened to an event that was not moved."""
    if stray.sealed is not None:
        return _make_finding(stray, FindingKind.EDITED, "the event is not the one that was sealed here")
    detail = "an event that was not sealed stands here"
    if stray.is_second:
        detail = "two events stand at this position, where one was sealed"
    return _make_finding(stray, FindingKind.INSERTED, detail)


def _name_gone(
    gone: Sequence[SealedLeaf], last_position: int, broken_streams: Sequence[str]
) -> list[Finding]:
    """Name the sealed events that are gone: one finding for each, and one for all at the end of the log.

    Args:
        gone: The leaves of these events, sorted.
        last_position: The position of the last event that is in the log and in the tree.
        broken_streams: Some streams that lack an event.
    """
    deleted = [one for one in gone if one.position <= last_position]
    truncated = gone[len(deleted) :]
    stream = broken_streams[0] if len(broken_streams) == len(gone) == 1 else None
    hint = ""
    if stream is None and broken_streams:
        hint = f"; streams that lack an event: {', '.join(broken_streams)}"
    found = [
        Finding(
            FindingKind.DELETED,
            "the event that was sealed here is gone" + hint,
            one.position,
            stream,
            tile=_format_tile_path(one.leaf_index),
        )
        for one in deleted
    ]
    if truncated:
        found.append(
            Finding(
                FindingKind.TRUNCATED,
                f"gone are the last {format_count(len(truncated), 'event')} that had been sealed, up to"
                f" position {truncated[-1].position}" + hint,
                truncated[0].position,
                stream,
                tile=_format_tile_path(truncated[0].leaf_index),
            )
        )
    return found


def _find_moved(differences: Differences) -> tuple[list[Finding], set[int]]:
    """Find moved events: their leaf is the one of another position.

    Returns:
        A finding for each moved event; and the indexes of the leaves that moved events fit.
    """
    wanted = {one.leaf: one for one in differences.missing[:_MOST_MATCHED]}
    strays = differences.strays[:_MOST_MATCHED]
    wanted |= {one.sealed.leaf: one.sealed for one in strays if one.sealed is not None}
    findings, matched_leaves = [], set()
    for stray in strays:
        position, *rest = stray.row
        tried = [one for one in wanted.values() if one.position != position]
        candidates: list[StoredRow] = [(one.position, *rest) for one in tried]  # type: ignore[misc] # the rest of a row
        for sealed, leaf in zip(tried, hash_events(candidates), strict=True):
            if sealed.leaf == leaf:
                findings.append(
                    _make_finding(
                        stray,
                        FindingKind.REORDERED,
                        f"the event was sealed at position {sealed.position} and stands here",
                    )
                )
                matched_leaves.add(sealed.leaf_index)
                break
    return findings, matched_leaves


def _make_finding(stray: StrayRow, kind: FindingKind, detail: str) -> Finding:
    position, stream, version, topic, _ = stray.row
    return Finding(kind, detail, position, str(UUID(bytes=stream)), version, topic, Tile(0, stray.n).path)


def _format_tile_path(index: int) -> str:
    return Tile(0, index // TILE_WIDTH).path
