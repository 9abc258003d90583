"""The export of a bundle: everything that an auditor needs to check the log without the store.

The bundle holds every event up to a checkpoint, because only then it shows that nothing was left out of a
count. Of other organizations' events it holds the hash of the leaf alone, unless it shall disclose them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from offerlog_application.evidence.blanked import BlankedCheck
from offerlog_application.evidence.bundle_parts import BundlePage, BundleSink, LogChangedError
from offerlog_application.evidence.claims import Claims
from offerlog_application.evidence.event_lines import disclose, withhold
from offerlog_application.evidence.evidence import CosigningWitness, Evidence
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.sealed_tree import LeafTile, NotSealedError
from offerlog_application.ports.shards import NotOverShardsError
from offerlog_domain.errors import ArgumentError
from offerlog_domain.event_fields import Event
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.leaves import entry_of_event, hash_events
from offerlog_domain.transparency.proof_files import InclusionFile
from offerlog_domain.transparency.proofs import prove_inclusion
from offerlog_domain.transparency.tiles import (
    TILE_WIDTH,
    Tile,
    list_tiles,
    split_hashes,
)

EVENTS_FILE: Final = "events.ndjson"
"""The file with the events."""

_TILES_AT_ONCE: Final = 32
"""Tiles of events that are read together: 8,192 events."""


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """The contents that are asked for.

    Attributes:
        query: Organization and interval of the reports. The events are always all, up to the checkpoint.
        as_of: The last position; None for all that is in the log.
        discloses_all: True if the events of other organizations are disclosed, too.
        proved: Positions of the events whose proofs are written, each into a file.
        witnesses: Those that shall cosign the checkpoint.
    """

    query: ReportQuery
    as_of: int | None = None
    discloses_all: bool = False
    proved: Sequence[int] = ()
    witnesses: Sequence[CosigningWitness] = ()


class BundleContents(NamedTuple):
    """The contents of a bundle.

    Attributes:
        signed: Its checkpoint.
        position: The position of its last event; 0 without events.
        withheld: Number of events of which it has the hash alone.
    """

    signed: SignedCheckpoint
    position: int
    withheld: int


class BundleExport:
    """Exports one bundle. `run` is called once: what it counts is kept in the object.

    Args:
        evidence: The tree, the events, and the key that signs.
        request: What it shall hold.
        sink: Where its files go.
        on_progress: Called several times a second.
    """

    def __init__(
        self,
        evidence: Evidence,
        request: BundleRequest,
        sink: BundleSink,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    ) -> None:
        self._evidence = evidence
        self._tree = evidence.tree
        self._source = evidence.source
        self._blanked = BlankedCheck(evidence.tree)
        self._request = request
        self._sink = sink
        self._on_progress = on_progress
        self._claims = Claims(request.query)
        self._withheld = 0

    def run(self) -> BundleContents:
        """Write events, tiles, checkpoint, proofs and reports.

        Raises:
            AuditKeyError: There is no key that signs checkpoints.
            ForkError: The log does not continue what was signed before.
            OfferlogError: A witness refuses or cannot be reached.
            ArgumentError: `as_of` is behind the end of the log, or an event that shall be proved is one of
                another organization, whose events are not disclosed.
            LogChangedError: An event is not the one in the tree, or was blanked without an erasure.
            NotSealedError: An event that shall be proved is not in the bundle, or the tree does not catch up.
            CheckpointFolderError: The folder of checkpoints cannot be read or written.
            BundlePlaceError: A file cannot be written.
            NotOverShardsError: Events of the log were moved to other servers.
            StoreUnavailableError: The store cannot be reached.
        """
        if self._tree.moved_events():
            raise NotOverShardsError("to export a bundle")
        self._evidence.catch_up()
        signed = self._sign()
        size = signed.checkpoint.size
        indexes = {position: self._index(position, size) for position in self._request.proved}
        self._check_disclosed(indexes)
        self._sink.write("checkpoint", str(signed).encode())
        self._sink.append(EVENTS_FILE, b"")
        last = self._write_events(size)
        self._write_tiles(size)
        for position, index in indexes.items():
            proof = tuple(prove_inclusion(index, size, self._tree.tile))
            (row,) = self._source.read(position - 1, position).rows
            text = str(InclusionFile(index, proof, signed, entry_of_event(*row)))
            self._sink.write(f"proofs/{position}.tlog-proof", text.encode())
        reports = {"as_of": last, "events": size, "reports": self._claims.describe()}
        self._sink.write("report.json", (json.dumps(reports, indent=1) + "\n").encode())
        return BundleContents(signed, last, self._withheld)

    def _check_disclosed(self, positions: Iterable[int]) -> None:
        """Check that proofs, which hold the public part of their event, disclose no other organization's."""
        for position in positions:
            read = self._source.read(position - 1, position)
            if read.rows and not self._is_disclosed(read.events().get(position)):
                raise ArgumentError(
                    "proved",
                    f"position {position:,} holds an event of another organization, which a proof shows:"
                    " leave it out, or disclose every organization",
                )

    def _is_disclosed(self, event: Event | None) -> bool:
        organization = self._request.query.organization
        return self._request.discloses_all or (event is not None and event.organization == organization)

    def _sign(self) -> SignedCheckpoint:
        """Return the checkpoint of the bundle, with the cosignatures that are asked for."""
        as_of = self._request.as_of
        if as_of is None:
            signed = self._evidence.checkpoint()
        else:
            signed = self._evidence.checkpoint_of(self._size(as_of))
        for witness in self._request.witnesses:
            signed = self._evidence.cosign(signed, witness)
        return signed

    def _size(self, as_of: int) -> int:
        """Return the number of events up to a position."""
        if as_of > self._tree.last_position():
            raise ArgumentError("as_of", f"the log ends at position {self._tree.last_position():,}")
        tile = self._tree.leaf_tile_of(as_of)
        if tile is None:
            return 0
        return tile.n * TILE_WIDTH + sum(position <= as_of for position in _positions(tile))

    def _index(self, position: int, size: int) -> int:
        """Return the index of an event's leaf."""
        tile = self._tree.leaf_tile_of(position)
        positions = [] if tile is None else _positions(tile)
        if tile is None or position not in positions:
            raise NotSealedError(position, "no event has this position")
        index = tile.n * TILE_WIDTH + positions.index(position)
        if index >= size:
            raise NotSealedError(position, "it is behind the last event of the bundle")
        return index

    def _write_events(self, size: int) -> int:
        """Write the lines of all events, and count them; returns the last position."""
        last = 0
        for first, positions, hashes in self._leaves(size):
            page = self._source.read(last, positions[-1])
            self._check_page(page, positions, hashes)
            events, lines = page.events(), []
            for index, (row, leaf) in enumerate(zip(page.rows, hashes, strict=True), first):
                event = events.get(row[0])
                if self._is_disclosed(event):
                    lines.append(disclose(index, row, event))
                else:
                    lines.append(withhold(index, leaf))
                    self._withheld += 1
            self._claims.add(page.page)
            self._sink.append(EVENTS_FILE, b"".join(lines))
            last = positions[-1]
            self._on_progress(RebuildProgress("exporting events", first + len(positions), size))
        return last

    def _check_page(self, page: BundlePage, positions: Sequence[int], hashes: Sequence[bytes]) -> None:
        """Check that events are those in the tree, and that none was blanked without an erasure."""
        leaves = hash_events(page.rows)
        if [row[0] for row in page.rows] != positions or leaves != hashes:
            raise LogChangedError(_first_difference(positions, page.rows, leaves, hashes))
        if wrong := self._blanked.check(page.rows):
            raise LogChangedError(f"the event at position {wrong[0].position:,} was {wrong[0].detail}")

    def _leaves(self, size: int) -> Iterator[tuple[int, list[int], list[bytes]]]:
        """Return pages of leaves: the index of the first, positions and hashes."""
        tiles = -(-size // TILE_WIDTH)
        for start in range(0, tiles, _TILES_AT_ONCE):
            found = self._tree.leaf_tiles(start, min(start + _TILES_AT_ONCE, tiles))
            positions = [position for tile in found for position in _positions(tile)]
            hashes = [one for tile in found for one in split_hashes(tile.hashes)]
            wanted = min(size - start * TILE_WIDTH, _TILES_AT_ONCE * TILE_WIDTH)
            if len(positions) < wanted or len(hashes) < wanted:
                raise LogChangedError(f"a tile of the events from {start * TILE_WIDTH:,} on is missing")
            yield start * TILE_WIDTH, positions[:wanted], hashes[:wanted]

    def _write_tiles(self, size: int) -> None:
        for page in _pages(list_tiles(size)):
            found = self._tree.tiles(page)
            for tile in page:
                hashes = found.get((tile.level, tile.n), b"")[: tile.width * HASH_BYTES]
                if len(hashes) != tile.width * HASH_BYTES:
                    raise LogChangedError(f"{tile.path} is missing")
                self._sink.write(tile.path, hashes)


def _positions(tile: LeafTile) -> list[int]:
    positions = tile.find_positions()
    if positions is None:
        raise LogChangedError(f"the positions of {Tile(0, tile.n).path} were changed")
    return positions


def _first_difference(
    positions: Sequence[int],
    rows: Sequence[tuple[int, bytes, int, str, bytes]],
    leaves: Sequence[bytes],
    hashes: Sequence[bytes],
) -> str:
    """Describe the first event that is not the one in the tree."""
    for position, row, leaf, expected in zip(positions, rows, leaves, hashes, strict=False):
        if row[0] != position:
            return f"the event at position {min(row[0], position):,} was inserted or deleted"
        if leaf != expected:
            return f"the event at position {position:,} was changed"
    return f"events up to position {positions[-1]:,} were inserted or deleted"


def _pages(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    """Split tiles into lists of bounded length."""
    page: list[Tile] = []
    for tile in tiles:
        page.append(tile)
        if len(page) == _TILES_AT_ONCE:
            yield page
            page = []
    if page:
        yield page
