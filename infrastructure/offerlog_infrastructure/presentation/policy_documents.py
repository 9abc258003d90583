"""Policies of action maps, as documents."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING

from offerlog_infrastructure.presentation.documents import format_time

if TYPE_CHECKING:
    from offerlog_application.recording.action_map_policies import PolicyChange
    from offerlog_domain.action_map_policies import ActionMapPolicy
    from offerlog_infrastructure.presentation import answers


def describe_policy(action_map_id: str, policy: ActionMapPolicy) -> answers.PolicyInForce:
    """Describe the policy of an action map that is in force."""
    seconds = {state.value: number for state, number in policy.to_seconds().items()}
    return {"action_map_id": action_map_id, "suppress_for": seconds}


def describe_policy_change(action_map_id: str, change: PolicyChange) -> answers.SetPolicy:
    """Describe a policy that was set."""
    return {
        **describe_policy(action_map_id, change.policy),
        "position": change.position,
        "set_at": format_time(change.set_at),
        "set_by": change.set_by,
    }
