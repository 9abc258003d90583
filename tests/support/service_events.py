"""One event of each kind that belongs to no visitor-offer."""

from offerlog_domain.lifecycle import WEBCHAT, State
from offerlog_domain.service_events import (
    ActionMapPolicySet,
    BlockedTally,
    ErasureReceipt,
    KeyRotated,
    OrganizationDeleted,
    ReportIssued,
    ServiceEvent,
    VisitorErased,
)
from support.scenario import MAP_ID, ORGANIZATION, START, minute

ONE_OF_EACH: list[ServiceEvent] = [
    VisitorErased(organization=ORGANIZATION, recorded_at=START),
    ErasureReceipt(
        organization=ORGANIZATION,
        recorded_at=minute(1),
        erased_at=START,
        erased_position=1,
        events=2**40,
        refusals=0,
    ),
    ReportIssued(
        organization=ORGANIZATION,
        recorded_at=minute(2),
        as_of_position=2**53,
        query='{"map": "\x00é"}',
        digest=b"\xff" * 32,
        issued_by="an auditor",
    ),
    KeyRotated(
        organization=ORGANIZATION, recorded_at=minute(3), purpose="keyring", old_key_id="", new_key_id="k2"
    ),
    OrganizationDeleted(
        organization=ORGANIZATION, recorded_at=minute(4), visitors=3, refusals=2, keys=1, signature="— x y\n"
    ),
    ActionMapPolicySet(
        organization=ORGANIZATION,
        action_map_id=MAP_ID,
        recorded_at=minute(5),
        suppress_for=((State.IGNORED, 2_592_000), (State.TIMEDOUT, 1)),
        set_by="an operator",
    ),
    BlockedTally(
        organization=ORGANIZATION,
        action_map_id=MAP_ID,
        recorded_at=minute(6),
        reason="FrequencyCapping",
        quarter_hour=START,
        blocked=2**31,
        media_type=WEBCHAT.media_type,
        action_map_version=3,
    ),
]
