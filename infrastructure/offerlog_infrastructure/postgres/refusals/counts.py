"""Counts of refusals by reason and quarter-hour: exact, even after refusals are deleted.

A writer appends tallies in the transaction that stores the refusals. An insert does not wait for other
writers; an update of one shared row would stop them until the commit. `PostgresRefusalCounter.fold` adds the
tallies up in the background. A reader adds counts and tallies in one statement, so it never misses
or doubles a refusal.
"""

from datetime import UTC, datetime
from typing import Final, LiteralString

from offerlog_application.ports.read_models import RefusalCounts
from offerlog_application.projections.slots import at_slot
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction
from offerlog_infrastructure.postgres.refusals.tallies import slot_of

_FOLDED_AT_ONCE: Final = 5_000
"""The most tallies that one transaction folds."""

_LOCK_KEY: Final = 0x6F66_6C72_6566_7573
"""The advisory lock of the process that folds: two at once would only wait for each other."""

_SELECT_COUNTS: LiteralString = """
    SELECT reason, sum(refusals)::bigint AS refusals FROM (
        SELECT reason, refusals FROM refusal_counts
        WHERE organization = %(organization)s AND slot >= %(first)s AND slot < %(end)s
        UNION ALL
        SELECT reason, refusals FROM refusal_tallies
        WHERE organization = %(organization)s AND slot >= %(first)s AND slot < %(end)s
    ) AS counted GROUP BY reason ORDER BY 2 DESC, 1
"""
_FOLD_TALLIES: LiteralString = """
    WITH folded AS (
        DELETE FROM refusal_tallies
        WHERE id IN (SELECT id FROM refusal_tallies ORDER BY id LIMIT %(limit)s)
        RETURNING organization, slot, reason, refusals, text_bytes
    ), counted AS (
        INSERT INTO refusal_counts AS c (organization, slot, reason, refusals, text_bytes)
        SELECT organization, slot, reason, sum(refusals), sum(text_bytes) FROM folded GROUP BY 1, 2, 3
        ON CONFLICT (organization, slot, reason) DO UPDATE SET
            refusals = c.refusals + excluded.refusals, text_bytes = c.text_bytes + excluded.text_bytes
    )
    SELECT count(*) AS folded FROM folded
"""
_LAST_SLOT: Final = slot_of(datetime.max.replace(tzinfo=UTC))
_FIRST_SLOT: Final = -(2**31)
_END_SLOT: Final = 2**31 - 1


class PostgresRefusalCounter:
    """The counts of all organizations; thread-safe.

    A method has the errors of the method of `RefusalCounter`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading

    def counts(self, organization: str, since: datetime | None, until: datetime | None) -> RefusalCounts:
        """Count refusals by reason in the quarter-hours that [since, until) touches; None is an open end."""
        first = None if since is None else slot_of(since)
        end = None if until is None else min(slot_of(until, round_up=True), _LAST_SLOT)
        parameters = {
            "organization": organization,
            "first": _FIRST_SLOT if first is None else first,
            "end": _END_SLOT if end is None else end,
        }
        with read_transaction(self._datastore) as cursor:
            rows = cursor.execute(_SELECT_COUNTS, parameters).fetchall()
        return RefusalCounts(
            None if first is None else at_slot(first),
            None if end is None else at_slot(end),
            {Reason(row["reason"]): row["refusals"] for row in rows},
        )

    def fold_step(self) -> bool:
        """Fold as many tallies as one transaction takes; returns whether it took so many."""
        return self.fold() >= _FOLDED_AT_ONCE

    def fold(self, limit: int = _FOLDED_AT_ONCE) -> int:
        """Fold the oldest tallies into the counts, in one transaction; returns how many it folded.

        At most one process folds at a time; the others return 0.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            row = cursor.execute("SELECT pg_try_advisory_xact_lock(%s) AS mine", (_LOCK_KEY,)).fetchone()
            if row is None or not row["mine"]:
                return 0
            row = cursor.execute(_FOLD_TALLIES, {"limit": limit}).fetchone()
            return int(row["folded"]) if row else 0
