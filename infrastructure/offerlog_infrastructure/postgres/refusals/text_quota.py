"""The daily quota of texts in the refusal log. Refusals beyond it are kept without their text."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final, LiteralString

from offerlog_application.projections.slots import DAY_SLOTS
from offerlog_domain.outcomes import Refusal
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.refusals.tallies import slot_of

_FRESH_SECONDS: Final = 10.0
"""Seconds for which a sum from the store is used: other processes add texts meanwhile."""

_SELECT_TEXT_BYTES: LiteralString = """
    SELECT coalesce(sum(text_bytes), 0)::bigint AS text_bytes FROM (
        SELECT text_bytes FROM refusal_counts
        WHERE organization = %(organization)s AND slot >= %(first)s AND slot < %(end)s
        UNION ALL
        SELECT text_bytes FROM refusal_tallies
        WHERE organization = %(organization)s AND slot >= %(first)s AND slot < %(end)s
    ) AS counted
"""


@dataclass(slots=True)
class _Day:
    day: date
    text_bytes: int
    read_at: float


class TextQuota:
    """Removes texts beyond the quota of an organization and day; for one writer alone.

    A writer counts its own texts at once and those of other writers after ten seconds. So the total may
    exceed the quota by what they write in that time.

    Args:
        application: Counts the texts in its store.
        bytes_a_day: The quota of each organization.
        monotonic: A clock in seconds.
    """

    def __init__(
        self,
        application: OfferlogApplication,
        bytes_a_day: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._datastore = application.log.datastore
        self._bytes_a_day = bytes_a_day
        self._monotonic = monotonic
        self._days: dict[str, _Day] = {}

    def apply(self, refusals: Sequence[Refusal]) -> Sequence[Refusal]:
        """Return the same refusals, without the texts beyond the quota.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        kept = []
        for refusal in refusals:
            known = self._day(refusal)
            if known.text_bytes + len(refusal.raw) > self._bytes_a_day:
                length = len(refusal.raw) if refusal.raw_length is None else refusal.raw_length
                kept.append(replace(refusal, raw=b"", raw_length=length))
            else:
                known.text_bytes += len(refusal.raw)
                kept.append(refusal)
        return kept

    def forget(self) -> None:
        """Count from the store next time, because what `apply` let through may not have been stored."""
        self._days.clear()

    def _day(self, refusal: Refusal) -> _Day:
        day, now = refusal.recorded_at.astimezone(UTC).date(), self._monotonic()
        known = self._days.get(refusal.organization)
        if known is None or known.day != day or now - known.read_at > _FRESH_SECONDS:
            known = _Day(day, self._select_text_bytes(refusal.organization, day), now)
            self._days[refusal.organization] = known
        return known

    def _select_text_bytes(self, organization: str, day: date) -> int:
        first = slot_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
        parameters = {"organization": organization, "first": first, "end": first + DAY_SLOTS}
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            row = cursor.execute(_SELECT_TEXT_BYTES, parameters, prepare=True).fetchone()
            return int(row["text_bytes"]) if row else 0
