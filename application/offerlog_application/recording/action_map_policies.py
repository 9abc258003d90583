"""The policies of action maps: how long a terminal state suppresses the offer of a map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.action_map_policies import PolicyStore
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import OrganizationScope, check_organization
from offerlog_application.ports.service_log import SERVICE_PAGE, ServiceLog
from offerlog_domain.action_map_policies import ActionMapPolicy, check_policy
from offerlog_domain.errors import ArgumentError
from offerlog_domain.identity import ActionMapId, parse_action_map_id
from offerlog_domain.service_events import ActionMapPolicySet
from offerlog_domain.stream_ids import make_action_map_stream_id
from offerlog_domain.uuids import format_uuid, parse_uuid

LONGEST_NAME: Final = 200
"""Number of characters that a name of the person or program may have that sets a policy."""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A policy that was set, as the log has it.

    Attributes:
        position: The position of its event.
        set_at: The time at which it was set.
        set_by: The person or program that set it, as its caller named it.
        policy: The policy, in force from then on until the next change.
    """

    position: int
    set_at: datetime
    set_by: str
    policy: ActionMapPolicy


class ActionMapPolicies(OrganizationScope):
    """The policies of action maps; thread-safe.

    Args:
        store: The policies that are in force.
        log: The streams of the action maps, which have all policies that were set.
        clock: The service's clock.
        organization: The organization of calls that name none.
    """

    def __init__(self, store: PolicyStore, log: ServiceLog, clock: Clock, organization: str) -> None:
        self.organization = organization
        self._store = store
        self._log = log
        self._clock = clock

    def set(
        self,
        action_map_id: str,
        suppress_for: Mapping[str, timedelta],
        *,
        set_by: str = "",
        organization: str | None = None,
    ) -> int | None:
        """Set the policy of an action map, in place of the one before.

        Every decision of a later call obeys it, in every process on the store. That holds for suppressions of
        earlier offers, too.

        Args:
            action_map_id: The action map. Nothing need be recorded of it.
            suppress_for: By terminal state, the time for which it suppresses the offer. A state that is
                left out suppresses the offer for ever.
            set_by: The person or program that sets it. It stays in the log for good.
            organization: The tenant; None for the organization of the service.

        Returns:
            The position of the event in the log; None if the map has that policy already.

        Raises:
            MalformedSignalError: The id is not an action map's.
            ArgumentError: A state does not suppress offers, a time is out of bounds, or a name is too long.
            OrganizationNameError: The organization's name is not valid.
            StoreUnavailableError: The store cannot be reached.
        """
        name = self._of(organization)
        check_organization(name)
        if len(set_by) > LONGEST_NAME:
            raise ArgumentError("set_by", f"a name has at most {LONGEST_NAME} characters")
        policy = check_policy(suppress_for)
        event = ActionMapPolicySet(
            organization=name,
            action_map_id=parse_uuid(parse_action_map_id(action_map_id)),
            recorded_at=self._clock.now(),
            suppress_for=tuple(policy.to_seconds().items()),
            set_by=set_by,
        )
        return self._store.put_policy(event)

    def find(self, action_map_id: str, *, organization: str | None = None) -> ActionMapPolicy:
        """Return the policy of an action map that is in force.

        Raises:
            MalformedSignalError: The id is not an action map's.
            StoreUnavailableError: The store cannot be reached.
        """
        return self._store.find_policy(self._of(organization), parse_uuid(parse_action_map_id(action_map_id)))

    def all(self, *, organization: str | None = None) -> Mapping[ActionMapId, ActionMapPolicy]:
        """Return the policies of all action maps for which one was set, sorted by map.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        found = self._store.all_policies(self._of(organization))
        return {ActionMapId(format_uuid(one)): found[one] for one in sorted(found)}

    def changes(self, action_map_id: str, *, organization: str | None = None) -> Sequence[PolicyChange]:
        """Return all policies of an action map that were set, oldest first, from the log.

        Raises:
            MalformedSignalError: The id is not an action map's.
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
        name, after = self._of(organization), 0
        stream = make_action_map_stream_id(name, parse_uuid(parse_action_map_id(action_map_id)))
        found: list[PolicyChange] = []
        while page := self._log.read_entries(stream, after, SERVICE_PAGE):
            after = page[-1].version
            for entry in page:
                event = entry.event
                if isinstance(event, ActionMapPolicySet) and event.organization == name:
                    found.append(PolicyChange(entry.position, event.recorded_at, event.set_by, event.policy))
        return found
