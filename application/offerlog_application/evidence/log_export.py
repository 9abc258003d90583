"""The part of a bundle that is one log: its checkpoint, all of its events, its tiles and some proofs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from offerlog_application.evidence.blanked import BlankedCheck
from offerlog_application.evidence.bundle_parts import BundlePage, BundleRequest, BundleSink, LogChangedError
from offerlog_application.evidence.claims import Claims
from offerlog_application.evidence.event_lines import disclose, withhold
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.whole_streams import WholeStreams
from offerlog_application.ports.sealed_tree import LeafTile, NotSealedError
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


class LogExport:
    """Exports one log into a bundle; its checkpoint is signed at once, and the rest is written by `write`.

    Args:
        evidence: The tree, the events, and the key that signs.
        request: What the bundle shall hold; of the proved positions, those of this log.
        sink: Where its files go.
        as_of: The last position; None for all that is in the log.
        folder: Stands before the names of its files; empty, or with "/" at its end.

    Attributes:
        signed: The checkpoint.
        withheld: Number of events of which the bundle has the hash alone, so far.

    Raises:
        OfferlogError: As in `BundleExport.run`.
    """

    def __init__(
        self,
        evidence: Evidence,
        request: BundleRequest,
        sink: BundleSink,
        as_of: int | None = None,
        folder: str = "",
    ) -> None:
        self._evidence = evidence
        self._tree = evidence.tree
        self._source = evidence.source
        self._blanked = BlankedCheck(evidence.tree)
        self._request = request
        self._sink = sink
        self._folder = folder
        self.withheld = 0
        self.signed = self._sign(as_of)
        size = self.signed.checkpoint.size
        self._indexes = {position: self._index(position, size) for position in request.proved}
        self._check_disclosed(self._indexes)

    def write(
        self, claims: Claims, on_events: Callable[[int], None], streams: WholeStreams | None = None
    ) -> int:
        """Write checkpoint, events, tiles and proofs; returns the position of the last event, 0 without any.

        Args:
            claims: Counts the events.
            on_events: Called with the number of events so far, several times a second.
            streams: Counts the events of each stream; None if nobody asks.
        """
        size = self.signed.checkpoint.size
        self._sink.write(f"{self._folder}checkpoint", str(self.signed).encode())
        self._sink.append(self._folder + EVENTS_FILE, b"")
        last = self._write_events(size, claims, on_events, streams)
        self._write_tiles(size)
        for position, index in self._indexes.items():
            proof = tuple(prove_inclusion(index, size, self._tree.tile))
            (row,) = self._source.read(position - 1, position).rows
            text = str(InclusionFile(index, proof, self.signed, entry_of_event(*row)))
            self._sink.write(f"{self._folder}proofs/{position}.tlog-proof", text.encode())
        return last

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

    def _sign(self, as_of: int | None) -> SignedCheckpoint:
        """Return the checkpoint of the bundle, with the cosignatures that are asked for."""
        if as_of is None:
            signed = self._evidence.checkpoint()
        else:
            signed = self._evidence.checkpoint_of(self._size(as_of))
        for witness in self._request.witnesses:
            signed = self._evidence.cosign(signed, witness)
        return signed

    def _size(self, as_of: int) -> int:
        """Return the number of events up to a position."""
        last = max(self._tree.progress().position, self._tree.last_position())  # it may have moved away
        if as_of > last:
            raise ArgumentError("as_of", f"the log ends at position {last:,}")
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

    def _write_events(
        self, size: int, claims: Claims, on_events: Callable[[int], None], streams: WholeStreams | None
    ) -> int:
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
                    self.withheld += 1
            claims.add(page.page)
            if streams is not None:
                streams.add(page.rows)
            self._sink.append(self._folder + EVENTS_FILE, b"".join(lines))
            last = positions[-1]
            on_events(first + len(positions))
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
                self._sink.write(self._folder + tile.path, hashes)


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
