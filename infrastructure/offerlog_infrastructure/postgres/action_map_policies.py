"""The policies of action maps on PostgreSQL: the rows that are in force, and what a list asks of them."""

from collections.abc import Collection, Mapping
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor, sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from offerlog_application.ports.event_log import VersionConflictError
from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy
from offerlog_domain.service_events import ActionMapPolicySet
from offerlog_domain.stream_ids import make_action_map_stream_id
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.copying import RowConflictError, copy_events
from offerlog_infrastructure.postgres.log.fence import raise_epoch

JOIN_POLICY: Final[LiteralString] = """
    LEFT JOIN action_map_policies p ON p.organization = s.organization AND p.action_map_id = s.action_map_id
"""
"""Joins the policy `p` in force to a row `s` of `suppressions`."""

SUPPRESSED_UNTIL: Final[LiteralString] = (
    "(s.since + (p.suppress_for ->> s.state)::float8 * interval '1 second')"
)
"""The end of the suppression of a row `s` by the policy `p`; NULL for never."""

_SET_LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '5s'"
"""An erasure, or another policy, may hold the row of the epoch for a moment."""

_SELECT_POLICY: LiteralString = """
    SELECT suppress_for FROM action_map_policies WHERE organization = %s AND action_map_id = %s
"""
_SELECT_POLICIES: LiteralString = """
    SELECT organization, action_map_id, suppress_for FROM action_map_policies WHERE organization = ANY(%s)
"""
_SELECT_ALL: LiteralString = "SELECT organization, action_map_id, suppress_for FROM action_map_policies"
_PUT_POLICY: LiteralString = """
    INSERT INTO action_map_policies (organization, action_map_id, suppress_for) VALUES (%s, %s, %s)
    ON CONFLICT (organization, action_map_id) DO UPDATE SET suppress_for = excluded.suppress_for
"""
_DELETE_POLICIES: LiteralString = """
    DELETE FROM action_map_policies WHERE organization = %s AND suppress_for = '{}'
"""
"""Delete the rows of empty policies. An empty policy means the same as no row: no decision needs it."""

_SELECT_LAST_VERSION: LiteralString = """
    SELECT coalesce(max(originator_version), 0) FROM offerlog_events WHERE originator_id = %s
"""
_SELECT_POSITION: LiteralString = """
    SELECT notification_id FROM offerlog_events WHERE originator_id = %s AND originator_version = %s
"""


class PostgresPolicies:
    """The application's `PolicyStore`; thread-safe.

    A method has the errors of the method of `PolicyStore`, and those that it names.

    Args:
        application: The log.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application
        self._datastore = application.log.datastore

    def put_policy(self, event: ActionMapPolicySet) -> int | None:
        """Append the event, write the row and raise the epoch, in one transaction; returns the position.

        The row of the epoch is locked first, so that policies are put one after the other.
        """
        stream = make_action_map_stream_id(event.organization, event.action_map_id)
        where = event.organization, event.action_map_id
        with (
            store_reached(self._datastore),
            self._datastore.get_connection() as connection,
            connection.transaction() as transaction,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            cursor.execute(_SET_LOCK_TIMEOUT)
            raise_epoch(connection)
            row = cursor.execute(_SELECT_POLICY, where).fetchone()
            if read_policy(None if row is None else row[0]) == event.policy:
                transaction.force_rollback = True
                return None
            version = _select_number(cursor, _SELECT_LAST_VERSION, stream) + 1
            self._copy(cursor, stream, version, event)
            cursor.execute(_PUT_POLICY, (*where, Jsonb(event.policy.to_seconds())))
            return _select_number(cursor, _SELECT_POSITION, stream, version)

    def _copy(
        self, cursor: Cursor[tuple[Any, ...]], stream: UUID, version: int, event: ActionMapPolicySet
    ) -> None:
        log = self._application.log
        table = sql.Identifier(log.datastore.schema, log.events_table_name)
        try:
            copy_events(cursor, table, [self._application.event_mapper.service_row(stream, version, event)])
        except RowConflictError as error:
            raise VersionConflictError(stream, waiting=error.waiting) from error

    def delete_policies(self, organization: str) -> None:
        """Delete the rows of policies that give no state an end."""
        with store_reached(self._datastore), self._datastore.get_connection() as connection:
            connection.execute(_DELETE_POLICIES, (organization,))

    def find_policy(self, organization: str, action_map_id: UUID) -> ActionMapPolicy:
        """Return the policy of an action map that is in force."""
        with store_reached(self._application.reading), self._application.reading.get_connection() as reading:
            cursor = reading.cursor(row_factory=tuple_row)
            row = cursor.execute(_SELECT_POLICY, (organization, action_map_id)).fetchone()
        return read_policy(None if row is None else row[0])

    def all_policies(self, organization: str) -> Mapping[UUID, ActionMapPolicy]:
        """Return the policies of an organization that are in force, by action map."""
        with store_reached(self._application.reading), self._application.reading.get_connection() as reading:
            return select_policies(reading, [organization])[organization]


def select_policies(
    connection: Connection[Any], organizations: Collection[str]
) -> dict[str, dict[UUID, ActionMapPolicy]]:
    """Select the policies of organizations; each of them has an entry."""
    found: dict[str, dict[UUID, ActionMapPolicy]] = {organization: {} for organization in organizations}
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    for organization, action_map_id, seconds in cursor.execute(_SELECT_POLICIES, (list(organizations),)):
        found[organization][action_map_id] = read_policy(seconds)
    return found


def select_all_policies(connection: Connection[Any]) -> dict[str, dict[UUID, ActionMapPolicy]]:
    """Select the policies of all organizations that have one."""
    found: dict[str, dict[UUID, ActionMapPolicy]] = {}
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    for organization, action_map_id, seconds in cursor.execute(_SELECT_ALL):
        found.setdefault(organization, {})[action_map_id] = read_policy(seconds)
    return found


def read_policy(suppress_for: Mapping[str, int] | None) -> ActionMapPolicy:
    """Return the policy of a value of the column `suppress_for`; None for no row."""
    return ActionMapPolicy.from_seconds(suppress_for) if suppress_for else NO_POLICY


def _select_number(cursor: Cursor[tuple[Any, ...]], statement: LiteralString, *values: object) -> int:
    row = cursor.execute(statement, values).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row, and the event was just stored
    return int(row[0])
