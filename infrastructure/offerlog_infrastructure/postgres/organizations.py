"""The organizations that a store knows."""

from collections.abc import Sequence
from typing import LiteralString

from offerlog_infrastructure.postgres.errors import ask_again, store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_KNOWN_ORGANIZATIONS: LiteralString = """
    SELECT organization FROM organizations UNION SELECT organization FROM api_keys
"""
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


class PostgresOrganizations:
    """Organizations of one store, by name; thread-safe.

    An organization is known once something was recorded for it, a key was made for it, or a service was
    started for it.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._datastore = application.log.datastore
        self._keys = application.keys

    def names(self) -> Sequence[str]:
        """List all organizations, sorted.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return self._select_again(_SELECT_KNOWN)

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations with signals, as far as the projections show; sorted.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return self._select_again(_SELECT_WITH_SIGNALS)

    def register(self, organization: str) -> None:
        """Make an organization known before anything is recorded for it. A second call changes nothing.

        Args:
            organization: A valid name (`check_organization`).

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot encrypt the organization's secret.
        """
        self._keys.secret(organization)

    def _select_again(self, statement: LiteralString) -> Sequence[str]:
        return ask_again(lambda: self._select_names(statement))

    def _select_names(self, statement: LiteralString) -> Sequence[str]:
        with store_reached(self._datastore), self._datastore.cursor() as cursor:
            return [row["organization"] for row in cursor.execute(statement).fetchall()]
