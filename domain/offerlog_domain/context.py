"""The tenant, the time and the rules of one decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from offerlog_domain.action_map_policies import NO_POLICY, ActionMapPolicy

NO_POLICIES: Final[Mapping[UUID, ActionMapPolicy]] = MappingProxyType({})
"""The policies of an organization that has set none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The periods that an operator may set.

    Attributes:
        open_action_ttl: Time for which a silent open action blocks another one.
        parking_time: Time for which a parked signal waits, by the service's clock.
        deadline_grace: Time from a time-out until the service itself records it.
        future_tolerance: Time by which a signal may be ahead of the service's clock.
        widget_max_age: Greatest age of a signal from a widget key, by the service's clock.
    """

    open_action_ttl: timedelta = timedelta(minutes=30)
    parking_time: timedelta = timedelta(minutes=15)
    deadline_grace: timedelta = timedelta(minutes=15)
    future_tolerance: timedelta = timedelta(minutes=5)
    widget_max_age: timedelta = timedelta(days=8)

    @property
    def named_action_time(self) -> timedelta:
        """Time for which an action is found by its id alone, from the recording of its offer.

        An action is open in three states, each for `open_action_ttl`; the last quarter is for repeats.
        """
        return 4 * self.open_action_ttl


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Tenant, current time (UTC) and rules of one decision.

    Attributes:
        organization: The tenant.
        now: The service's clock, aware, UTC.
        rules: The periods that an operator may set.
        from_widget: True if the signals come with a widget key, which anybody may hold.
        policies: The policies of the tenant's action maps that are in force, by the id of the map.
        undated_at: The time of a signal that states none; None for `now`.
    """

    organization: str
    now: datetime
    rules: Rules = field(default_factory=Rules)
    from_widget: bool = False
    policies: Mapping[UUID, ActionMapPolicy] = field(default_factory=lambda: NO_POLICIES)
    undated_at: datetime | None = None

    def policy_of(self, action_map_id: UUID) -> ActionMapPolicy:
        """Return the policy of an action map that is in force."""
        return self.policies.get(action_map_id, NO_POLICY)
