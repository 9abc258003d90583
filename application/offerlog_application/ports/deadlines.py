"""Finds what is due, as the use cases need it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID


class Deadlines(Protocol):
    """Finds visitor-offers on which the passing of time may have an effect; may lag, never decides."""

    def due(
        self,
        *,
        withdrawn_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[UUID] = (),
    ) -> Sequence[tuple[UUID, str]]:
        """Streams to look at, each with its organization.

        They have an unanswered invitation that timed out before the one moment, or a signal parked
        before the other, and are none of `besides`.
        """
