"""The port to the visitors with the newest activity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from offerlog_application.ports.positions import LogPosition
from offerlog_domain.event_fields import SignalEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.uuids import format_uuid


class RecentVisitor(NamedTuple):
    """A visitor with the newest event.

    Attributes:
        customer_id: The visitor's id.
        customer_id_type: The type of that id.
        position: The position of the event in the log.
        event: The stored name of its kind: a state, `offer-refused` or `signal-parked`.
        state: The state of the visitor-offer after it; None for a parked signal, which changes none.
        action_map_id: The action map of the event.
        occurred_at: The time at which it happened.
        recorded_at: The time at which it was recorded.
    """

    customer_id: str
    customer_id_type: str
    position: int
    event: str
    state: State | None
    action_map_id: ActionMapId
    occurred_at: datetime
    recorded_at: datetime


class VisitorsPlace(NamedTuple):
    """A place in a list of recent visitors.

    Attributes:
        up_to: Events at this position or before it come next.
        top: The position of the newest event when the list was begun.
    """

    up_to: LogPosition
    top: LogPosition


@dataclass(frozen=True, slots=True)
class RecentVisitorPage:
    """A page of recent visitors.

    Attributes:
        position: The position of the newest event that the list knows.
        visitors: The visitors, the newest activity first.
        behind: The place where the next page begins; None on the last page.
    """

    position: LogPosition
    visitors: Sequence[RecentVisitor]
    behind: VisitorsPlace | None


class RecentVisitors(Protocol):
    """Reads the visitors with the newest activity; thread-safe."""

    def recent(
        self, organization: str, behind: VisitorsPlace | None, limit: int, media_type: str | None = None
    ) -> RecentVisitorPage:
        """Return a page of the visitors of an organization, each with the newest event, newest first.

        A visitor stands once in the pages of a list, as of its beginning. Visitors who were erased are not
        listed. A page looks at a bounded number of events, so it may be short, or empty, where others follow.
        With a media type, those are listed who were made an offer of it, as far as the projections know.

        Raises:
            ReadTimeoutError: The time is over.
            ReadCancelledError: Nobody waits for the answer any more.
            StoreUnavailableError: The store cannot be reached.
        """


def show_activity(visitor: VisitorKey, position: int, event: SignalEvent) -> RecentVisitor:
    """Return a visitor with an event of the log."""
    state: State | None = None
    if isinstance(event, LifecycleEvent):
        state = event.state
    elif isinstance(event, OfferRefused):
        state = event.blocking_state
    return RecentVisitor(
        visitor.id,
        visitor.type,
        position,
        event.stored_name,
        state,
        ActionMapId(format_uuid(event.action_map_id)),
        event.occurred_at,
        event.recorded_at,
    )
