"""The cool-down policies of a soak: short, so that an offer is asked for again while it runs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from soak.traffic import MAPS, ORGANIZATIONS


class PolicyKey(NamedTuple):
    """A terminal state of the offers of one action map."""

    organization: str
    action_map: str
    state: str


Policies = Mapping[PolicyKey, timedelta]
"""The time after which a state no longer suppresses the offer; a state that is left out does for ever."""

_COOL_DOWNS: Final[Mapping[str, Mapping[str, timedelta]]] = {
    MAPS[0]: {state: timedelta(seconds=1) for state in ("ignored", "rejected", "accepted", "timedout")},
    MAPS[1]: {"ignored": timedelta(seconds=3), "engaged": timedelta(days=1)},
}
SOAKED_POLICIES: Final[Policies] = {
    PolicyKey(organization, action_map, state): period
    for organization in ORGANIZATIONS[:2]
    for action_map, periods in _COOL_DOWNS.items()
    for state, period in periods.items()
}
"""The policies of every soak, from its begin to its end: what held at a decision is then known for sure."""


def periods_by_map(policies: Policies) -> dict[tuple[str, str], dict[str, timedelta]]:
    """Return the periods of each organization's action maps, as they are set."""
    found: dict[tuple[str, str], dict[str, timedelta]] = {}
    for key, period in policies.items():
        found.setdefault((key.organization, key.action_map), {})[key.state] = period
    return found


def is_over(policies: Policies, key: PolicyKey, since: datetime, at: datetime) -> bool:
    """Return True if a state that began at `since` does not suppress an offer at a time."""
    period = policies.get(key)
    return period is not None and at - since >= period
