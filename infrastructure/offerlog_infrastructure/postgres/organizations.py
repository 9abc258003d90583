"""The organizations that a store knows."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import tuple_row

from offerlog_application.ports.organizations import OrganizationContent
from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.reads.read_transaction import read_transaction

_COUNTED_ORGANIZATIONS: LiteralString = """
    WITH RECURSIVE counted (name) AS (
        SELECT min(organization) FROM performance_counts
        UNION ALL
        SELECT (SELECT min(organization) FROM performance_counts WHERE organization > counted.name)
        FROM counted WHERE counted.name IS NOT NULL
    )
    SELECT name FROM counted WHERE name IS NOT NULL
"""
_KNOWN_ORGANIZATIONS: LiteralString = f"""
    SELECT organization FROM organizations UNION SELECT organization FROM api_keys
    UNION ({_COUNTED_ORGANIZATIONS})
"""
"""Counts outlive the deletion of an organization, so it stays known. One step of the index finds each."""

_SELECT_KNOWN: LiteralString = (
    f"SELECT organization FROM ({_KNOWN_ORGANIZATIONS}) AS known ORDER BY organization"
)
_SELECT_WITH_SIGNALS: LiteralString = f"""
    SELECT organization FROM ({_KNOWN_ORGANIZATIONS}) AS known
    WHERE EXISTS (SELECT FROM performance_counts AS counts WHERE counts.organization = known.organization)
        OR EXISTS (SELECT FROM refusals WHERE refusals.organization = known.organization)
        OR EXISTS (SELECT FROM parked_signals AS parked WHERE parked.organization = known.organization)
    ORDER BY organization
"""
_SELECT_CONTENTS: LiteralString = f"""
    SELECT known.organization, coalesce(v.visitors, 0), coalesce(r.refusals, 0), coalesce(k.keys, 0)
    FROM ({_KNOWN_ORGANIZATIONS}) AS known
    LEFT JOIN (SELECT organization, count(*) AS visitors FROM visitors GROUP BY 1) AS v USING (organization)
    LEFT JOIN (SELECT organization, count(*) AS refusals FROM refusals GROUP BY 1) AS r USING (organization)
    LEFT JOIN (
        SELECT organization, count(*) AS keys FROM api_keys
        WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) GROUP BY 1
    ) AS k USING (organization)
    ORDER BY known.organization
"""


class PostgresOrganizations:
    """Organizations of one store, by name; thread-safe.

    An organization is known once something was recorded for it, a key was made for it, or a service was
    started for it. A deleted one stays known as long as it has counts.

    A method has the errors of the method of `Organizations`, and those that it names.
    Each that asks the store raises `StoreUnavailableError` if the store cannot be reached.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.log.datastore
        self._reading = application.reading
        self._keys = application.keys

    def names(self) -> Sequence[str]:
        """List all organizations, sorted."""
        return self._select_again(_SELECT_KNOWN)

    def contents(self) -> Sequence[OrganizationContent]:
        """Count what is held of each organization, sorted by name.

        Raises:
            ReadTimeoutError: It takes longer than a read may.
        """
        with (
            read_transaction(self._reading) as transaction,
            transaction.connection.cursor(row_factory=tuple_row) as cursor,
        ):
            return [OrganizationContent(*row) for row in cursor.execute(_SELECT_CONTENTS).fetchall()]

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations with signals, as far as the projections show; sorted."""
        return self._select_again(_SELECT_WITH_SIGNALS)

    def register(self, organization: str) -> None:
        """Make an organization known before anything is recorded for it. A second call changes nothing.

        Args:
            organization: A valid name (`check_organization`).

        Raises:
            KeyringError: The keyring cannot encrypt the organization's secret.
        """
        self._keys.secret(organization)

    def _select_again(self, statement: LiteralString) -> Sequence[str]:
        return ask_again(lambda: self._select_names(statement))

    def _select_names(self, statement: LiteralString) -> Sequence[str]:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return [row["organization"] for row in cursor.execute(statement).fetchall()]
