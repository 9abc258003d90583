"""The check that whatever was blanked belongs to a visitor whose erasure the log states.

A blanked event keeps its leaf (see `transparency.leaves`), so the tree cannot show who has blanked it. An
erasure states itself: `VisitorErased` stands in the visitor's own stream, behind all of the visitor's events.
Positions of two shards have no order. So if a slice has moved between an event and the erasure, it is enough
that there is an erasure: nothing is recorded of a visitor behind it.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from offerlog_application.evidence.findings import Finding, FindingKind
from offerlog_application.ports.positions import shard_of_position
from offerlog_application.ports.sealed_tree import SealedTree
from offerlog_domain.stream_ids import make_visitor_stream_id, token_of
from offerlog_domain.transparency.leaves import StoredRow, find_blanked

_REMEMBERED: Final = 100_000
"""Visitors whose erasure is remembered, so that an audit needs bounded memory."""


class BlankedCheck:
    """Looks for the erasure of each blanked event; for one audit, in one thread.

    Args:
        tree: Finds the erasures.
    """

    def __init__(self, tree: SealedTree) -> None:
        self._tree = tree
        self._erased_at: dict[UUID, int] = {}

    def check(self, rows: Sequence[StoredRow]) -> list[Finding]:
        """Return a finding for each blanked event without an erasure at a higher position.

        Args:
            rows: A page of the log.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        blanked = [(row, _own_stream(row)) for row in find_blanked(rows)]
        if not blanked:
            return []
        unknown = {own for _, own in blanked} - self._erased_at.keys()
        if unknown:
            if len(self._erased_at) > _REMEMBERED:
                self._erased_at.clear()
                unknown = {own for _, own in blanked}
            self._erased_at |= self._tree.erasures([*unknown])
        return [_describe(row) for row, own in blanked if not self._is_erased_behind(own, row[0])]

    def _is_erased_behind(self, own: UUID, position: int) -> bool:
        erased_at = self._erased_at.get(own)
        if erased_at is None or erased_at < 1:  # no erasure, or one at a position that no log gives
            return False
        return erased_at > position or shard_of_position(erased_at) != shard_of_position(position)


def _own_stream(row: StoredRow) -> UUID:
    """Return the own stream of the visitor to whom an event belongs."""
    return make_visitor_stream_id(token_of(UUID(bytes=bytes(row[1]))))


def _describe(row: StoredRow) -> Finding:
    position, stream, version, topic, _ = row
    detail = "blanked without an erasure: no later event states that the visitor was erased"
    return Finding(FindingKind.BLANKED, detail, position, str(UUID(bytes=bytes(stream))), version, topic)
