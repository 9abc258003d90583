"""An example of each kind of events of the feed."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from offerlog_application.feed.feed_event import UNREADABLE, FeedEvent
from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.events import LIFECYCLE_EVENTS, LifecycleEvent, OfferRefused, Rejected
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.service_events import VisitorErased
from offerlog_domain.stream_ids import make_stream_id, make_token, make_visitor_stream_id
from offerlog_domain.uuids import format_uuid

_OFFERED_AT: Final = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
_ORGANIZATION: Final = "default"
_TOKEN: Final = make_token(UUID("3" * 32), _OFFERED_AT, 4_711)
_MAP: Final = UUID("2d1fabbc-4f5f-4c1e-b270-71fe49a6d2db")
_ACTION: Final = UUID("3f0c5b1e-6c1a-4f0e-9f0b-0d5f0a7c1e11")
_SESSION: Final = UUID("5e000000-0000-4000-8000-000000000001")
_POSITION: Final = 4711


def make_example(name: str, *, identified: bool) -> FeedEvent:
    """Return an event of the kind of that name; with what identifies the visitor, if asked for.

    Raises:
        KeyError: There is no such kind.
    """
    event = None if name == UNREADABLE else _EVENTS[name]
    of_visitor = isinstance(event, VisitorErased)
    stream = make_visitor_stream_id(_TOKEN) if of_visitor else make_stream_id(_TOKEN, _MAP)
    return FeedEvent(
        _POSITION,
        name,
        format_uuid(stream),
        1 if name == State.OFFERED or of_visitor else 2,
        _ORGANIZATION,
        event,
        VisitorKey("cookie", "visitor-1") if identified else None,
        _make_private(name) if identified else None,
    )


def _make_private(name: str) -> PrivateFields:
    is_error = name == State.ERRORED
    return PrivateFields(
        session_id=_SESSION,
        action_id=_ACTION,
        error_code="00045" if is_error else None,
        error_message="no widget" if is_error else None,
        blocking_action_id=_ACTION if name == OfferRefused.stored_name else None,
    )


def _make_lifecycle_event(kind: type[LifecycleEvent]) -> LifecycleEvent:
    stage: dict[str, Any] = {"rejected_stage": Stage.INVITATION} if kind is Rejected else {}
    return kind(**_SIGNAL, action_number=1, offered_at=_OFFERED_AT, **stage)


_SIGNAL: Final[dict[str, Any]] = {
    "organization": _ORGANIZATION,
    "action_map_id": _MAP,
    "recorded_at": _OFFERED_AT + timedelta(seconds=21),
    "media_type": "webchat",
    "occurred_at": _OFFERED_AT + timedelta(seconds=20),
    "action_map_version": 3,
    "action_map_name": "Checkout help",
    "timeout_seconds": 45,
}
_EVENTS: Final[dict[str, Event]] = {
    **{str(state): _make_lifecycle_event(kind) for state, kind in LIFECYCLE_EVENTS.items()},
    OfferRefused.stored_name: OfferRefused(
        **_SIGNAL,
        reason=Reason.ALREADY_OPEN,
        blocking_state=State.ACCEPTED,
        blocking_since=_OFFERED_AT,
    ),
    VisitorErased.stored_name: VisitorErased(organization=_ORGANIZATION, recorded_at=_OFFERED_AT),
}
