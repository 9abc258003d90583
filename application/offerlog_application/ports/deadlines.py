"""The port that finds visitor-offers on which the passing of time has an effect."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from offerlog_domain.identity import OfferKey


class Deadlines(Protocol):
    """A search for visitor-offers with an overdue invitation or an overdue parked signal.

    It may lag behind the log. It does not decide: the aggregate does.
    """

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[OfferKey] = (),
    ) -> Sequence[OfferKey]:
        """Return visitor-offers to look at.

        Args:
            deadline_before: Find unanswered invitations with a deadline, without grace, up to this time.
            parked_before: Find signals that were parked up to this time.
            limit: The most visitor-offers to return.
            besides: Visitor-offers to leave out.
        """
