"""The refusal log: reading in both directions, and the deletion of old refusals."""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import DictRow

from offerlog_application.ports.read_models import KeptSignal, Order
from offerlog_domain.outcomes import Reason
from offerlog_domain.uuids import format_uuid
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.streaming import stream_rows
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts
from offerlog_infrastructure.sealing import SEAL_BYTES, UnsealError

_PAGE: Final = 250
"""Rows per page; with the longest texts they take a megabyte."""

_COLUMNS: LiteralString = """
    id, recorded_at, reason, field, cause, action_map_id, sealed_text,
    coalesce(raw_length, greatest(octet_length(sealed_text) - %(seal_bytes)s, 0)) AS raw_length
"""
_WHERE_REASON: LiteralString = " AND reason = %(reason)s"
_WHERE_VISITOR: LiteralString = " AND visitor_digest = %(visitor_digest)s"
_WHERE_ACTION_MAP: LiteralString = " AND action_map_id = %(action_map_id)s"
_OLDEST_FIRST: LiteralString = """
    AND (recorded_at, id) > (%(recorded_at)s, %(id)s) AND recorded_at < %(until)s
    ORDER BY recorded_at, id LIMIT %(limit)s
"""
_NEWEST_FIRST: LiteralString = """
    AND (recorded_at, id) < (%(recorded_at)s, %(id)s) AND recorded_at >= %(since)s
    ORDER BY recorded_at DESC, id DESC LIMIT %(limit)s
"""
_SELECT_REFUSALS: LiteralString = f"SELECT {_COLUMNS} FROM refusals WHERE organization = %(organization)s"

# Organization by organization over the index, so that a step reads and deletes at most `limit` rows, however
# many younger refusals there are. What a legal hold protects is kept; there are few.
_DELETE_OLD: LiteralString = """
    WITH RECURSIVE known AS (
        (SELECT organization FROM refusals ORDER BY organization LIMIT 1)
        UNION ALL
        SELECT (
            SELECT organization FROM refusals WHERE refusals.organization > known.organization
            ORDER BY organization LIMIT 1
        )
        FROM known WHERE known.organization IS NOT NULL
    ), old AS (
        SELECT refused.id FROM known CROSS JOIN LATERAL (
            SELECT id FROM refusals
            WHERE refusals.organization = known.organization AND recorded_at < %(before)s
                AND NOT EXISTS (SELECT FROM legal_holds WHERE digest = visitor_digest)
            ORDER BY recorded_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ) AS refused
        LIMIT %(limit)s
    )
    DELETE FROM refusals WHERE id IN (SELECT id FROM old)
"""
_DELETE_UNATTRIBUTED: LiteralString = """
    DELETE FROM refusals WHERE id IN (
        SELECT id FROM refusals WHERE visitor_digest IS NULL AND recorded_at < %(before)s
        ORDER BY recorded_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
"""
_PRUNED_AT_ONCE: Final = 2_000
"""The most rows that one transaction deletes: it takes some hundredths of a second."""

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_END: Final = datetime.max.replace(tzinfo=UTC)


class PostgresRefusalLog:
    """The refusal log of all organizations; thread-safe.

    A method has the errors of the method of `RefusalLog`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.reading
        self._texts = RefusedTexts(application.keys)

    def refusals(
        self,
        organization: str,
        *,
        reason: Reason | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = Order.OLDEST,
        behind: tuple[datetime, int] | None = None,
        visitor_digest: UUID | None = None,
        action_map_id: UUID | None = None,
    ) -> Generator[KeptSignal]:
        """List the refusals of [since, until); streamed.

        Args:
            organization: The tenant.
            reason: Only refusals with this reason; None for all.
            since: The first instant included; None for the beginning.
            until: The first instant excluded; None for the end.
            order: Oldest or newest first.
            behind: Continue after the refusal of this time and number, in that order.
            visitor_digest: Only refusals that are known to be of this visitor; None for all.
            action_map_id: Only refusals that are known to be about this action map; None for all.

        Raises:
            ReadTimeoutError: A page took longer than it may.
            UnsealError: A text was changed or moved.
        """
        first, end = since or _BEGINNING, until or _END
        where = {
            "organization": organization,
            "reason": reason.value if reason else None,
            "since": first,
            "until": end,
            "visitor_digest": visitor_digest,
            "action_map_id": action_map_id,
            "seal_bytes": SEAL_BYTES,
        }
        at, number = behind or ((first, 0) if order is Order.OLDEST else (end, 0))
        statement = _SELECT_REFUSALS
        for wanted, condition in (
            (reason, _WHERE_REASON),
            (visitor_digest, _WHERE_VISITOR),
            (action_map_id, _WHERE_ACTION_MAP),
        ):
            if wanted is not None:
                statement += condition
        statement += _OLDEST_FIRST if order is Order.OLDEST else _NEWEST_FIRST
        places = {"recorded_at": at, "id": number}
        for row in stream_rows(self._datastore, statement, where, places, page=_PAGE):
            yield self._to_kept_signal(organization, row)

    def prune(self, before: datetime, limit: int = _PRUNED_AT_ONCE) -> int:
        """Delete refusals that were recorded before an instant, the oldest of each organization first.

        Skips rows that another process is deleting, and those of visitors under a legal hold.

        Returns:
            How many were deleted, at most `limit`.
        """
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            return cursor.execute(_DELETE_OLD, {"before": before, "limit": limit}).rowcount

    def prune_unattributed(self, before: datetime, limit: int = _PRUNED_AT_ONCE) -> int:
        """Delete refusals without a visitor that were recorded before an instant, the oldest first.

        Skips rows that another process is deleting.

        Returns:
            How many were deleted, at most `limit`.
        """
        with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
            return cursor.execute(_DELETE_UNATTRIBUTED, {"before": before, "limit": limit}).rowcount

    def _to_kept_signal(self, organization: str, row: DictRow) -> KeptSignal:
        sealed_text = bytes(row["sealed_text"])
        try:
            text = self._texts.open(organization, row["recorded_at"], row["reason"], sealed_text)
        except UnsealError:
            raise UnsealError(f"the text of refusal {row['id']} of organization {organization!r}") from None
        return KeptSignal(
            row["recorded_at"],
            Reason(row["reason"]),
            row["field"],
            row["cause"],
            text,
            row["raw_length"],
            row["id"],
            None if row["action_map_id"] is None else format_uuid(row["action_map_id"]),
        )
