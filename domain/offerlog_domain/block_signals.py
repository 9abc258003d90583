"""A signal that an offer was blocked: the vendor's `BlockedWebActionOfferEvent` (docs: "Blocked offers").

It reports no state of an action. `BlockSignal` states the rules of its fields, in text; `NativeBlock` is a
valid one in native types. `wire` reads both forms.
"""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Struct
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass

from offerlog_domain.lifecycle import LIFECYCLES
from offerlog_domain.signals import COOKIE, MAX_NAME_LENGTH, Name, Uuid, to_instant
from offerlog_domain.uuids import parse_uuid

BLOCKED_EVENT_TYPES: Final = frozenset(
    {"com.genesys.journey.BlockedWebActionOfferEvent", "BlockedWebActionOfferEvent"}
)
"""The vendor's `eventType` of the event."""

BLOCK_PATHS: Final = {
    "event_id": ("id",),
    "action_map_id": ("blockedWebActionOfferEvent", "actionMap", "id"),
    "action_map_version": ("blockedWebActionOfferEvent", "actionMap", "version"),
    "media_type": ("blockedWebActionOfferEvent", "action", "mediaType"),
    "action_id": ("blockedWebActionOfferEvent", "action", "id"),
    "reason": ("blockedWebActionOfferEvent", "blockingReason"),
    "customer_id": ("customerId",),
    "customer_id_type": ("customerIdType",),
    "occurred_at": ("createdDate",),
}
"""The place of each field in the vendor's event."""


KNOWN_REASONS: Final = frozenset(
    {
        "Unknown",
        "PageUrlConditionsNotMatching",
        "ServiceLevelThrottling",
        "AlreadyExistingOffer",
        "TriggerDateInFuture",
        "MultipleSimultaneousOffers",
        "NoAvailableAgents",
        "FrequencyCapping",
        "OfferedOutsideSchedule",
    }
)
"""The reasons that the vendor has today (its enumeration `blockingReason`). Others are kept as they are."""


def check_reason(reason: str) -> str:
    """Return a reason; it is stored for good beside the counts, so it is one line of readable characters.

    Raises:
        ValueError: It has other characters.
    """
    if not reason.isprintable():
        raise ValueError("printable characters are needed")
    return reason


class NativeBlock(Struct, frozen=True, gc=False):
    """A valid signal of a blocked offer in native types.

    Nothing is validated here. The attributes have the meaning that they have in `BlockSignal`.
    """

    event_id: UUID
    action_map_id: UUID
    action_map_version: int | None
    media_type: str | None
    action_id: UUID | None
    reason: str
    customer_id: str
    customer_id_type: str
    occurred_at: datetime | None

    @property
    def is_tracked(self) -> bool:
        """True if the media type is not known, or has a lifecycle."""
        return self.media_type is None or self.media_type in LIFECYCLES


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(strict=True))
class BlockSignal:
    """A valid signal of a blocked offer, as text: the one description of such a signal.

    Attributes:
        event_id: The event's own id; the same id again counts once.
        action_map_id: The map whose offer was blocked.
        action_map_version: Its version; None where it is not given.
        media_type: The vendor's `actionMediaType`; None where it is not given.
        action_id: The invitation that was not shown; None where it is not given.
        reason: The vendor's `blockingReason`, 1 to 256 printable characters, kept as it is.
        customer_id: The visitor's id: 1 to 256 characters, byte for byte.
        customer_id_type: The kind of that id; `cookie` in a browser.
        occurred_at: The time at which it happened, in UTC (`createdDate`); None: the moment of its decision.
    """

    event_id: Uuid
    action_map_id: Uuid
    action_map_version: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    media_type: Name | None = None
    action_id: Uuid | None = None
    reason: Annotated[
        str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(check_reason)
    ]
    customer_id: Name
    customer_id_type: Name = COOKIE
    occurred_at: Annotated[datetime | None, BeforeValidator(to_instant)] = None


BLOCK_SIGNAL: Final = TypeAdapter(BlockSignal)
"""Reads signals of blocked offers."""


def to_native_block(signal: BlockSignal) -> NativeBlock:
    """Return the same signal in native types."""
    return NativeBlock(
        event_id=parse_uuid(signal.event_id),
        action_map_id=parse_uuid(signal.action_map_id),
        action_map_version=signal.action_map_version,
        media_type=signal.media_type,
        action_id=None if signal.action_id is None else parse_uuid(signal.action_id),
        reason=signal.reason,
        customer_id=signal.customer_id,
        customer_id_type=signal.customer_id_type,
        occurred_at=signal.occurred_at,
    )
