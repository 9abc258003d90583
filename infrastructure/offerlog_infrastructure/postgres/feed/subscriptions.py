"""The application's `SubscriptionStore` on PostgreSQL: one row for each subscription."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from psycopg import Cursor
from psycopg.rows import DictRow

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_source import PositionAheadError
from offerlog_application.ports.positions import LogPosition, only_position
from offerlog_application.ports.subscriptions import (
    MOST_SUBSCRIPTIONS,
    Subscription,
    SubscriptionLimitError,
)
from offerlog_infrastructure.postgres.archive.archived_lag import ArchivedLag
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.feed.lag import (
    JOIN_LAG,
    LAG_COLUMNS,
    SELECT_LAST,
    WITH_LAG,
    read_lags,
)
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.mapper import EventMapper

_LOCK_ORGANIZATION: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0x66656564))"
"""Two new subscriptions of an organization are counted one after the other; "feed" in ASCII."""

_MOVE: LiteralString = """
    UPDATE feed_subscriptions
    SET position = greatest(position, %(position)s),
        moved_at = CASE WHEN %(position)s > position THEN %(now)s ELSE moved_at END
    WHERE organization = %(organization)s AND name = %(name)s
"""
_COUNT: LiteralString = "SELECT count(*) AS number FROM feed_subscriptions WHERE organization = %s"
_INSERT: LiteralString = """
    INSERT INTO feed_subscriptions (organization, name, position, created_at)
    VALUES (%(organization)s, %(name)s, %(position)s, %(now)s)
"""
_DELETE: LiteralString = "DELETE FROM feed_subscriptions WHERE organization = %s AND name = %s"
_DELETE_ALL: LiteralString = "DELETE FROM feed_subscriptions WHERE organization = %s"
_SELECT: LiteralString = f"""
    WITH followers AS MATERIALIZED (
        SELECT * FROM feed_subscriptions
        WHERE (%(organization)s::text IS NULL OR organization = %(organization)s)
          AND (%(name)s::text IS NULL OR name = %(name)s)
    ), {WITH_LAG}
    SELECT s.*, {LAG_COLUMNS} {JOIN_LAG} ORDER BY s.organization, s.name
"""


class PostgresSubscriptions:
    """Subscriptions in a table; thread-safe.

    A method has the errors of the method of `SubscriptionStore`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        application: The log.
        clock: The service's clock, by which lag is measured.
    """

    def __init__(self, application: OfferlogApplication, clock: Clock) -> None:
        self._datastore = application.reading
        self._mapper = application.event_mapper
        self._files = application.archived_files
        self._clock = clock

    def put(self, organization: str, name: str, position: LogPosition, now: datetime) -> None:
        """Make a subscription at a position, or move it there; never back."""
        position = only_position(position)
        row = {"organization": organization, "name": name, "position": position, "now": now}
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            last = _fetch(cursor.execute(SELECT_LAST).fetchone())["last"]
            if position > last:
                raise PositionAheadError(position, last)
            if cursor.execute(_MOVE, row).rowcount:
                return
            cursor.execute(_LOCK_ORGANIZATION, (organization,))
            if cursor.execute(_MOVE, row).rowcount:
                return
            if _fetch(cursor.execute(_COUNT, (organization,)).fetchone())["number"] >= MOST_SUBSCRIPTIONS:
                raise SubscriptionLimitError
            cursor.execute(_INSERT, row)

    def all(self, organization: str | None = None) -> Sequence[Subscription]:
        """List the subscriptions of one organization, or of all, sorted by organization and name."""
        return self._select(organization, None)

    def find(self, organization: str, name: str) -> Subscription | None:
        """Return a subscription; None if there is none of that name."""
        return next(iter(self._select(organization, name)), None)

    def delete(self, organization: str, name: str) -> bool:
        """Delete a subscription; returns False if there is none of that name."""
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            return connection.execute(_DELETE, (organization, name)).rowcount > 0

    def delete_all(self, organization: str) -> int:
        """Delete the subscriptions of an organization; returns their number.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            return connection.execute(_DELETE_ALL, (organization,)).rowcount

    def _select(self, organization: str | None, name: str | None) -> Sequence[Subscription]:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return read_subscriptions(
                cursor,
                self._mapper,
                self._clock.now(),
                ArchivedLag(cursor.connection, self._files),
                organization=organization,
                name=name,
            )


def read_subscriptions(
    cursor: Cursor[DictRow],
    mapper: EventMapper,
    now: datetime,
    archived: ArchivedLag,
    *,
    organization: str | None = None,
    name: str | None = None,
) -> Sequence[Subscription]:
    """Read subscriptions with their lag, sorted by organization and name.

    Args:
        cursor: A cursor that returns dictionaries.
        mapper: Reads the next event, for its time.
        now: The time.
        archived: Has the archived events behind each of them.
        organization: The tenant; None for all.
        name: The name of one; None for all.
    """
    rows = cursor.execute(_SELECT, {"organization": organization, "name": name}).fetchall()
    return [
        Subscription(
            row["organization"],
            row["name"],
            row["position"],
            row["created_at"],
            row["moved_at"],
            *lag,
        )
        for row, lag in zip(rows, read_lags(rows, mapper, now, archived), strict=True)
    ]


def _fetch(row: DictRow | None) -> DictRow:
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row
