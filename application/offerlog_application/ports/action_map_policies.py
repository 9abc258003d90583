"""The port to the policies of action maps that are in force."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from offerlog_domain.action_map_policies import ActionMapPolicy
from offerlog_domain.service_events import ActionMapPolicySet


class PolicyStore(Protocol):
    """The policies of action maps; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def put_policy(self, event: ActionMapPolicySet) -> int | None:
        """Put a policy in force, append its event to the stream of its map, and raise the epoch; all or none.

        No decision of the policy before is stored from then on (see `WriteFence`). A policy that is in force
        already is not put again.

        Returns:
            The position of the event; None if that policy was in force already.

        Raises:
            VersionConflictError: Another writer sits on the stream of the map. Nothing was stored.
        """

    def delete_policies(self, organization: str) -> None:
        """Delete the rows of policies that give no state an end. Their events stay in the log."""

    def find_policy(self, organization: str, action_map_id: UUID) -> ActionMapPolicy:
        """Return the policy of an action map that is in force; `NO_POLICY` if none was set."""

    def all_policies(self, organization: str) -> Mapping[UUID, ActionMapPolicy]:
        """Return the policies of an organization that are in force, by action map."""
