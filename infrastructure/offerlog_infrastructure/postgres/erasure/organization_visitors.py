"""The visitors and refusals of one organization, for its deletion."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import tuple_row

from offerlog_application.ports.erasure import OrganizationInUseError
from offerlog_domain.stream_ids import tokens_since
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.fence import raise_epoch

_DELETED_AT_ONCE: Final = 2_000
"""The most refusals that one transaction deletes."""

_COUNT: LiteralString = "SELECT count(*) FROM visitors WHERE organization = %s"
_EACH_DIGEST: LiteralString = """
    {name} (digest) AS (
        (
            SELECT visitor_digest FROM {table}
            WHERE organization = %(organization)s AND visitor_digest > %(after)s
            ORDER BY visitor_digest LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT visitor_digest FROM {table}
            WHERE organization = %(organization)s AND visitor_digest > last.digest
            ORDER BY visitor_digest LIMIT 1
        ) FROM {name} AS last WHERE last.digest IS NOT NULL
    )
"""
"""The digests of a table behind a place, each found from the one before: visitors have many rows there."""

SELECT_DIGESTS: LiteralString = f"""
    WITH RECURSIVE
    {_EACH_DIGEST.format(name="refused", table="refusals")},
    {_EACH_DIGEST.format(name="blocked", table="counted_blocks")}
    SELECT digest FROM (
        (
            SELECT digest FROM visitors WHERE organization = %(organization)s AND digest > %(after)s
            ORDER BY digest LIMIT %(limit)s
        )
        UNION
        (SELECT digest FROM refused WHERE digest IS NOT NULL LIMIT %(limit)s)
        UNION
        (SELECT digest FROM blocked WHERE digest IS NOT NULL LIMIT %(limit)s)
        UNION
        (
            SELECT DISTINCT digest FROM erasing_visitors JOIN erased_visitors USING (number)
            WHERE organization = %(organization)s AND digest > %(after)s
            ORDER BY digest LIMIT %(limit)s
        )
    ) AS named (digest) ORDER BY digest LIMIT %(limit)s
"""
"""A page of digests. Each step of a recursion finds the next digest by an index, and the limit ends the
recursion. DISTINCT would read all rows of the organization for each page."""

_DELETE_REFUSALS: LiteralString = """
    DELETE FROM refusals WHERE id IN (
        SELECT id FROM refusals WHERE organization = %s AND visitor_digest IS NULL
        ORDER BY recorded_at, id LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""
_SET_LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '1s'"
"""Writers with new visitors or refusals stand behind a lock that is waited for."""

_HOLD_ORGANIZATION: LiteralString = "SELECT FROM organizations WHERE organization = %s FOR UPDATE"
_ALLOW_IDLE: LiteralString = "SET LOCAL idle_in_transaction_session_timeout = '60s'"
"""The transaction waits for the shards, which may each wait for a lock."""

_LOCK_TABLES: LiteralString = """
    LOCK TABLE visitors, counted_blocks, refusals, parked_short_signals IN SHARE ROW EXCLUSIVE MODE
"""
"""Whoever has put rows into one of them is waited for. Whoever does so later, finds another epoch."""

_SELECT_LEFT: LiteralString = """
    SELECT EXISTS (SELECT FROM refusals WHERE organization = %(organization)s)
        OR EXISTS (SELECT FROM counted_blocks WHERE organization = %(organization)s) OR EXISTS (
        SELECT FROM unnest(%(first)s::bigint[], %(last)s::bigint[]) AS slice (first, last)
        JOIN visitors v ON v.token BETWEEN slice.first AND slice.last
        WHERE v.organization = %(organization)s
    ) OR EXISTS (
        SELECT FROM erasing_visitors JOIN erased_visitors USING (number) WHERE organization = %(organization)s
    )
"""
_DELETE_SHORT_SIGNALS: LiteralString = "DELETE FROM parked_short_signals WHERE organization = %s"
_DELETE_ORGANIZATION: LiteralString = "DELETE FROM organizations WHERE organization = %s"

_CLOCK_DIFFERENCE: Final = timedelta(hours=1)
"""The clocks of two machines may differ by so much. A token has the time of the machine that made it."""

_SELECT_NAMED: LiteralString = """
    SELECT organization, digest FROM visitors WHERE token = ANY(%(tokens)s::bigint[])
    UNION
    SELECT organization, digest FROM erasing_visitors JOIN erased_visitors USING (number)
    WHERE token = ANY(%(tokens)s::bigint[]) ORDER BY organization, digest
"""


class PostgresOrganizationVisitors:
    """The application's `OrganizationVisitors`; thread-safe.

    A method has the errors of the method of `OrganizationVisitors`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._datastore = application.reading

    def count(self, organization: str) -> int:
        """Count the visitors of whom an event was recorded."""
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            row = cursor.execute(_COUNT, (organization,)).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return int(row[0])

    def digests(self, organization: str, after: UUID, limit: int) -> Sequence[UUID]:
        """Return digests of visitors behind a digest, sorted; also of those only ever refused or blocked.

        Also those whose erasure was begun and is not complete.
        """
        where = {"organization": organization, "after": after, "limit": limit}
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            return [digest for (digest,) in cursor.execute(SELECT_DIGESTS, where).fetchall()]

    def delete_refusals(self, organization: str) -> int:
        """Delete the refusals of the organization that name no visitor, in steps; returns how many.

        Raises:
            StoreUnavailableError: The store cannot be reached. What was deleted stays deleted.
        """
        deleted = 0
        while True:
            with store_reached(self._datastore), self._datastore.transaction(commit=True) as cursor:
                step = cursor.execute(_DELETE_REFUSALS, (organization, _DELETED_AT_ONCE)).rowcount
            if not step:
                return deleted
            deleted += step

    def destroy_secret(
        self, organization: str, since: datetime, prepare: Callable[[], None] | None = None
    ) -> bool:
        """Destroy the secret of an organization of which nothing is left, and raise the epoch.

        Only visitors whose tokens are younger than `since` are looked for: there is no index by organization,
        and all writers wait meanwhile.

        Returns:
            False if it has no secret.
        """
        young = tokens_since(since - _CLOCK_DIFFERENCE)
        where = {
            "organization": organization,
            "first": [first for first, _ in young],
            "last": [last for _, last in young],
        }
        datastore = self._application.log.datastore
        with (
            store_reached(datastore),
            datastore.get_connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            cursor.execute(_SET_LOCK_TIMEOUT)
            if prepare is not None:
                cursor.execute(_ALLOW_IDLE)
                cursor.execute(_HOLD_ORGANIZATION, (organization,))
                prepare()
            cursor.execute(_LOCK_TABLES)
            if cursor.execute(_SELECT_LEFT, where).fetchone() == (True,):
                raise OrganizationInUseError(organization)
            is_destroyed = cursor.execute(_DELETE_ORGANIZATION, (organization,)).rowcount > 0
            cursor.execute(_DELETE_SHORT_SIGNALS, (organization,))
            if is_destroyed:
                raise_epoch(connection)
        self._application.keys.refresh_secrets()
        return is_destroyed

    def digests_of(self, tokens: Sequence[int]) -> Mapping[str, Sequence[UUID]]:
        """Return the digests of the visitors with these tokens who are stored, by organization.

        Also those whose erasure was begun and is not complete.
        """
        found: dict[str, list[UUID]] = {}
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            for organization, digest in cursor.execute(_SELECT_NAMED, {"tokens": list(tokens)}):
                found.setdefault(organization, []).append(digest)
        return found
