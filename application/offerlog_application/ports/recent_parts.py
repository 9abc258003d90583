"""The port to what one of several stores knows of the visitors with the newest activity.

A store has events that other shards have recorded, too. A position orders those of one shard alone: a *lane*,
by the number of the shard that has recorded them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from offerlog_domain.event_fields import SignalEvent
from offerlog_domain.identity import VisitorKey


class PlacedActivity(NamedTuple):
    """An event of a visitor.

    Attributes:
        position: Its position.
        token: The visitor's token.
        event: The event; None if it is damaged.
    """

    position: int
    token: int
    event: SignalEvent | None


class RecentParts(Protocol):
    """Reads what a store adds to the list of recent visitors of several; thread-safe.

    Each method raises `ReadTimeoutError`, `ReadCancelledError` and `StoreUnavailableError`.
    """

    def newest_events(self, up_to: Mapping[int, int], most: int) -> Mapping[int, Sequence[PlacedActivity]]:
        """Return the newest signals of each lane, up to a position in it, the newest first.

        Args:
            up_to: The last position, by lane.
            most: Most events of a lane.
        """

    def open_visitors(
        self,
        organization: str,
        tokens: Sequence[int],
        shown: Mapping[int, tuple[int, int]],
        media_type: str | None,
    ) -> Mapping[int, VisitorKey]:
        """Return those of some visitors who are of the organization and held here, by token.

        Args:
            organization: The tenant.
            tokens: The visitors.
            shown: Positions by lane: visitors with a signal behind the first and up to the second are left
                out.
            media_type: Only visitors who were made an offer of it; None for all.
        """
