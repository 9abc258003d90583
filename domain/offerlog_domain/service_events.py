"""Events of the log that belong to no visitor-offer: what the service itself did, and on whose behalf.

They stand in separate streams: what became of a visitor in the visitor's own stream, the policies of an
action map in the map's stream, tallies of blocked offers in a stream of their writer, everything else in the
organization's own stream (see `stream_ids`). All their fields are public, and none identifies a person: they
must outlive every key. A visitor-offer is folded without them. A projection passes over them, except for
`VisitorErased` and `BlockedTally`. See docs/decisions/0036.
"""

from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID

from msgspec.structs import replace

from offerlog_domain.action_map_policies import ActionMapPolicy
from offerlog_domain.event_fields import Event
from offerlog_domain.lifecycle import State
from offerlog_domain.stream_ids import NO_ACTION_MAP


class ServiceEvent(Event, frozen=True, kw_only=True):
    """The public fields of every event that belongs to no visitor-offer.

    Attributes:
        action_map_id: The nil UUID, from which the id of the stream is made too; but the action map in an
            `ActionMapPolicySet` and a `BlockedTally`.
    """

    action_map_id: UUID = NO_ACTION_MAP


class VisitorErased(ServiceEvent, frozen=True, kw_only=True):
    """The key of a visitor was destroyed. No event of the visitor has a higher position than this one.

    It stands in the visitor's own stream, so the id of the stream says whom it concerns.
    """

    stored_name: ClassVar[str] = "visitor-erased"


class ErasureReceipt(ServiceEvent, frozen=True, kw_only=True):
    """An erasure is complete: the key is gone, no writer has used it since, and every projection follows it.

    Attributes:
        erased_at: Time at which the key was destroyed.
        erased_position: Position of the `VisitorErased`; None if no event was ever recorded of the visitor.
        events: Number of events of the visitor that stay in the log, unreadable.
        refusals: Number of refused texts that were deleted.
        signature: Signature lines of a signed note with `receipt_text`; empty where the service had no key.
        unreadable: Number of those events that were damaged before and are left as they are.
    """

    stored_name: ClassVar[str] = "erasure-receipt"

    erased_at: datetime
    erased_position: int | None
    events: int
    refusals: int
    signature: str = ""
    unreadable: int = 0


def receipt_text(receipt: ErasureReceipt) -> str:
    """Return the text that a receipt's signature signs. The signature is not in it.

    The line about unreadable events is left out where there are none.
    """
    damaged = f"unreadable events {receipt.unreadable}\n" if receipt.unreadable else ""
    position = "none" if receipt.erased_position is None else receipt.erased_position
    return (
        "offerlog erasure receipt v1\n"
        f"organization {receipt.organization}\n"
        f"erased at {receipt.erased_at.isoformat()}\n"
        f"erased position {position}\n"
        f"events {receipt.events}\n"
        f"{damaged}"
        f"refusals {receipt.refusals}\n"
        f"complete at {receipt.recorded_at.isoformat()}\n"
    )


class OrganizationDeleted(ServiceEvent, frozen=True, kw_only=True):
    """An organization was deleted: its visitors are erased, and its secret is destroyed.

    Each visitor has an `ErasureReceipt`. The numbers are those of the call that has completed the deletion.

    Attributes:
        visitors: Number of visitors who were erased.
        refusals: Number of refusals that were deleted.
        keys: Number of API keys that were revoked.
        signature: Signature lines of a signed note with `deletion_text`; empty where the service had no key.
    """

    stored_name: ClassVar[str] = "organization-deleted"

    visitors: int
    refusals: int
    keys: int
    signature: str = ""


def deletion_text(deleted: OrganizationDeleted) -> str:
    """Return the text that the signature of a deletion signs. The signature is not in it."""
    return (
        "offerlog deletion receipt v1\n"
        f"organization {deleted.organization}\n"
        f"visitors {deleted.visitors}\n"
        f"refusals {deleted.refusals}\n"
        f"keys {deleted.keys}\n"
        f"complete at {deleted.recorded_at.isoformat()}\n"
    )


def sign_deletion(deleted: OrganizationDeleted, signature: str) -> OrganizationDeleted:
    """Return the event with the signature lines of its text."""
    return replace(deleted, signature=signature)


def sign_receipt(receipt: ErasureReceipt, signature: str) -> ErasureReceipt:
    """Return the receipt with the signature lines of its text."""
    return replace(receipt, signature=signature)


class ReportIssued(ServiceEvent, frozen=True, kw_only=True):
    """A report was given out.

    Attributes:
        as_of_position: Position of the log as of which the report counts; of several servers, of the home's.
        query: The query, as JSON.
        digest: SHA-256 of the report's canonical text.
        issued_by: The person or program that issued it, as its caller named it.
        as_of_elsewhere: The positions of the logs of other servers as of which it counts; empty if there are
            none.
    """

    stored_name: ClassVar[str] = "report-issued"

    as_of_position: int
    query: str
    digest: bytes
    issued_by: str = ""
    as_of_elsewhere: tuple[int, ...] = ()


class KeyRotated(ServiceEvent, frozen=True, kw_only=True):
    """Keys of the store were encrypted anew, under another key of the keyring; or the signing key changed.

    Attributes:
        purpose: What the key is for: `keyring` or `checkpoint`.
        old_key_id: Name of the key until then; empty where there was none.
        new_key_id: Name of the key from then on.
    """

    stored_name: ClassVar[str] = "key-rotated"

    purpose: str
    old_key_id: str
    new_key_id: str


class ActionMapPolicySet(ServiceEvent, frozen=True, kw_only=True):
    """The policy of an action map was set. It is in force until the next one of the same map.

    It stands in the map's stream. A decision of a later call obeys it (docs/decisions/0054).

    Attributes:
        suppress_for: Terminal states, each with the seconds for which it suppresses the offer. A state that
            is left out suppresses the offer for ever.
        set_by: The person or program that set it, as its caller named it.
    """

    stored_name: ClassVar[str] = "action-map-policy-set"

    suppress_for: tuple[tuple[State, int], ...] = ()
    set_by: str = ""

    @property
    def policy(self) -> ActionMapPolicy:
        """The policy."""
        return ActionMapPolicy.from_seconds(dict(self.suppress_for))

    def with_policy(self, policy: ActionMapPolicy) -> "ActionMapPolicySet":
        """Return the same event with another policy."""
        return replace(self, suppress_for=tuple(policy.to_seconds().items()))


class BlockedTally(ServiceEvent, frozen=True, kw_only=True):
    """A number of offers of an action map were blocked, for one reason, in one quarter-hour.

    It stands in a stream of the process that has written it, so no two processes want the same place. An
    offer that is blocked and remembered for its action id is not in it: its `OfferRefused` counts as one
    (docs/decisions/0056).

    Attributes:
        reason: The reason: `terminal_state` or `already_open`, or the `blockingReason` of the vendor's event.
        quarter_hour: The first instant of the quarter-hour of UTC in which they were blocked.
        blocked: Number of offers.
        media_type: The vendor's `actionMediaType`; None where it is not known.
        action_map_version: The map's version; None where it is not known.
    """

    stored_name: ClassVar[str] = "blocked-tally"

    reason: str
    quarter_hour: datetime
    blocked: int
    media_type: str | None = None
    action_map_version: int | None = None


SERVICE_EVENTS: Final[tuple[type[ServiceEvent], ...]] = (
    VisitorErased,
    ErasureReceipt,
    ReportIssued,
    KeyRotated,
    OrganizationDeleted,
    ActionMapPolicySet,
    BlockedTally,
)
"""Every kind of event that belongs to no visitor-offer."""
