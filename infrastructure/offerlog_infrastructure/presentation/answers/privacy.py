"""Answers to the requests of visitors: erasure, and all that is held."""

from typing import Any, TypedDict

from offerlog_infrastructure.presentation.json_types import Count, Name, Time


class Erasure(TypedDict):
    """A complete erasure of a visitor, without the visitor.

    Attributes:
        organization: The tenant.
        erased_at: The time at which the visitor's key was destroyed.
        events: Number of events of the visitor that stay in the log, unreadable.
        refusals: Number of refused texts that were deleted.
        position: Position of the event that says so; null if no event was ever recorded of the visitor.
        receipt_position: Position of the receipt in the log.
        signature: Signature lines of the receipt; null where the service has no key to sign with.
        unreadable: Number of those events that were damaged before and are left as they are.
    """

    organization: str
    erased_at: Time
    events: Count
    refusals: Count
    position: Count | None
    receipt_position: Count
    signature: str | None
    unreadable: Count


class Held(TypedDict):
    """Something that is held of a visitor.

    Attributes:
        place: The table of the store that holds it.
        fields: Its fields by name, those that are sealed there opened.
    """

    place: str
    fields: dict[str, Any]


class VisitorData(TypedDict):
    """All that is held of a visitor.

    Attributes:
        organization: The tenant.
        customer_id: The visitor.
        customer_id_type: The type of that id.
        held: Each part, with where it lies.
    """

    organization: str
    customer_id: Name
    customer_id_type: Name
    held: list[Held]
