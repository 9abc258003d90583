"""Answers about the policies of action maps."""

from typing import Annotated, TypedDict

from msgspec import Meta

from offerlog_infrastructure.presentation.json_types import Time, Uuid

SuppressionSeconds = Annotated[int, Meta(ge=0, le=315_360_000)]
"""The time for which a terminal state suppresses an offer."""


class PolicyInForce(TypedDict):
    """The policy of an action map that is in force.

    Attributes:
        action_map_id: The action map.
        suppress_for: By terminal state, the seconds for which it suppresses the offer; absent: for ever.
    """

    action_map_id: Uuid
    suppress_for: dict[str, SuppressionSeconds]


class SetPolicy(PolicyInForce):
    """A policy that was set.

    Attributes:
        position: Log position of its event.
        set_at: When it was set.
        set_by: Who set it.
    """

    position: int
    set_at: Time
    set_by: str
