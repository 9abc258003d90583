"""The time line of one visitor: every event of the log and every refused signal, in one order."""

from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from typing import NamedTuple

from offerlog_application.ports.read_models import KeptSignal, PlacedEvent
from offerlog_domain.event_fields import Event, RecordedEvent, SignalEvent
from offerlog_domain.events import LifecycleEvent, OfferRefused, ParkingEnded, SignalParked
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.outcomes import Reason
from offerlog_domain.short_signals import ShortSignal, read_whole_or_short
from offerlog_domain.signals import MalformedSignalError, NativeSignal, UntrackedEventError
from offerlog_domain.uuids import format_uuid, parse_uuid


class TimelinePlace(NamedTuple):
    """A place in a time line, behind one of its entries.

    Attributes:
        position: The position of the last event before the place; 0 for the beginning.
        refused_at: The time of the last refusal before the place; None for the beginning.
        number: The number of that refusal among those of the same time.
    """

    position: int = 0
    refused_at: datetime | None = None
    number: int = 0


class EarlierAction(NamedTuple):
    """An action of the same visitor-offer, as it stood when an offer was decided.

    Attributes:
        action_id: The action.
        state: The state that it was in.
        since: The time at which it reached that state (`occurred_at`).
        media_type: The vendor's `actionMediaType`; None where the entry does not say it.
    """

    action_id: str
    state: State
    since: datetime
    media_type: str | None = None


class TimelineEntry(NamedTuple):
    """An event of the log, or a line of the refusal log.

    Attributes:
        kind: The stored name of the event, such as `offered`, `offer-refused` or `signal-parked`; `refused`
            for a line of the refusal log.
        place: The place behind this entry, from which the time line can be continued.
        recorded_at: The time by the service's clock.
        action_map_id: The action map; None for a refused text that cannot be read.
        position: The position of the event in the log; None for a refusal.
        version: The place of the event in its stream, bookkeeping included; None for a refusal.
        occurred_at: The time at which it happened; None where nothing says so.
        action_id: The action; None where the text cannot be read.
        action_number: Number of the action in its visitor-offer, from 1; None unless it changed the action.
        state: The state that the signal reports, as it spells it; None where the text cannot be read.
        stage: The stage of a rejection.
        reason: The reason of a refusal, of an offer or of a signal.
        session_id: The visit.
        event_id: The signal's own id.
        error_code: The vendor's error code.
        error_message: The error in words.
        action_map_version: The map's version.
        timeout_seconds: The widget's time-out.
        previous_action: For an offer that was made: the action before it, which did not block it; None for
            the first offer.
        blocked_by: For an offer that was refused: the action that blocked it.
        ended_versions: Places in the stream of the parked signals that this event ended.
        field: The wire name of the field at fault, in a malformed signal.
        cause: What is wrong with it, for people.
        text: The text of a refused or parked signal, cut at 4 KiB; None for other entries.
        text_length: Bytes of the text as it was received.
    """

    kind: str
    place: TimelinePlace
    recorded_at: datetime
    action_map_id: str | None
    position: int | None = None
    version: int | None = None
    occurred_at: datetime | None = None
    action_id: str | None = None
    action_number: int | None = None
    state: str | None = None
    stage: Stage | None = None
    reason: Reason | None = None
    session_id: str | None = None
    event_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    action_map_version: int | None = None
    timeout_seconds: int | None = None
    previous_action: EarlierAction | None = None
    blocked_by: EarlierAction | None = None
    ended_versions: tuple[int, ...] = ()
    field: str | None = None
    cause: str | None = None
    text: bytes | None = None
    text_length: int = 0


REFUSED = "refused"
"""The kind of an entry for a line of the refusal log."""


def timeline(
    events: Generator[PlacedEvent],
    refusals: Generator[KeptSignal],
    start: TimelinePlace,
    as_of: datetime | None = None,
) -> Generator[TimelineEntry]:
    """Merge the events and the refusals of a visitor.

    Events keep the order of the log. A refusal comes before the first event that was recorded later.

    Args:
        events: The visitor's events behind `start.position`, by position.
        refusals: The visitor's refusals behind the one of `start`, by time and number.
        start: The place behind which the time line begins.
        as_of: Leave out what was recorded later than this time.
    """
    with closing(events), closing(refusals):
        known = (one for one in events if as_of is None or one.recorded.event.recorded_at <= as_of)
        refused = (one for one in refusals if as_of is None or one.recorded_at <= as_of)
        place = start
        placed, refusal = next(known, None), next(refused, None)
        while placed is not None or refusal is not None:
            if refusal is None or (
                placed is not None and placed.recorded.event.recorded_at <= refusal.recorded_at
            ):
                assert placed is not None  # noqa: S101 - one of the two is left
                place = place._replace(position=placed.position)
                yield _describe_event(placed, place)
                placed = next(known, None)
            else:
                place = place._replace(refused_at=refusal.recorded_at, number=refusal.number)
                yield _describe_refusal(refusal, place)
                refusal = next(refused, None)


def _describe_event(placed: PlacedEvent, place: TimelinePlace) -> TimelineEntry:
    event, private = placed.recorded.event, placed.recorded.private
    entry = TimelineEntry(
        event.stored_name,
        place,
        event.recorded_at,
        format_uuid(event.action_map_id),
        position=placed.position,
        version=placed.recorded.originator_version,
        action_id=format_uuid(private.action_id),
        session_id=format_uuid(private.session_id),
        event_id=None if private.event_id is None else format_uuid(private.event_id),
        error_code=private.error_code,
        error_message=private.error_message,
    )
    if isinstance(event, SignalEvent):
        entry = entry._replace(
            occurred_at=event.occurred_at,
            state=event.reported_state.value,
            action_map_version=event.action_map_version,
            timeout_seconds=event.timeout_seconds,
        )
    return _add_kind(entry, placed)


def _add_kind(entry: TimelineEntry, placed: PlacedEvent) -> TimelineEntry:
    """Add what only one kind of event has."""
    event, private = placed.recorded.event, placed.recorded.private
    if isinstance(event, LifecycleEvent):
        return entry._replace(
            action_number=event.action_number,
            stage=event.stage,
            previous_action=None if placed.before is None else _earlier(placed.before),
            ended_versions=_versions(event.parked_version),
        )
    if isinstance(event, OfferRefused):
        blocking_id = private.blocking_action_id
        return entry._replace(
            reason=event.reason,
            blocked_by=None
            if blocking_id is None
            else EarlierAction(format_uuid(blocking_id), event.blocking_state, event.blocking_since),
            ended_versions=tuple(event.parked_versions),
        )
    if isinstance(event, SignalParked):
        raw = private.raw or b""
        return entry._replace(text=raw, text_length=event.raw_length or len(raw))
    if isinstance(event, ParkingEnded):
        return entry._replace(
            state=event.parked_state.value,
            reason=Reason.NEVER_REACHABLE,
            ended_versions=_versions(event.parked_version),
        )
    return entry


def _versions(parked_version: int | None) -> tuple[int, ...]:
    return () if parked_version is None else (parked_version,)


def _earlier(before: RecordedEvent[Event]) -> EarlierAction | None:
    event = before.event
    if not isinstance(event, LifecycleEvent):
        return None
    action_id = format_uuid(before.private.action_id)
    return EarlierAction(action_id, event.state, event.occurred_at, event.media_type)


def _describe_refusal(refusal: KeptSignal, place: TimelinePlace) -> TimelineEntry:
    entry = TimelineEntry(
        REFUSED,
        place,
        refusal.recorded_at,
        refusal.action_map_id,
        reason=refusal.reason,
        field=refusal.field,
        cause=refusal.cause,
        text=refusal.raw,
        text_length=refusal.raw_length,
    )
    signal = _read(refusal)
    if signal is None:
        return entry
    return entry._replace(
        occurred_at=signal.occurred_at,
        action_id=format_uuid(signal.action_id),
        state=signal.state.value,
        session_id=format_uuid(signal.session_id),
        event_id=None if signal.event_id is None else format_uuid(signal.event_id),
        error_code=signal.error_code,
        error_message=signal.error_message,
        action_map_version=signal.action_map_version,
        timeout_seconds=signal.timeout_seconds,
    )


def _read(refusal: KeptSignal) -> NativeSignal | None:
    """Read the text of a refusal, if all of it was kept and it can be read."""
    if len(refusal.raw) != refusal.raw_length:
        return None
    try:
        signal = read_whole_or_short(refusal.raw)
    except (MalformedSignalError, UntrackedEventError):
        return None
    if isinstance(signal, ShortSignal):
        return signal.complete(parse_uuid(signal.action_id), "", None)  # its map is not shown
    return signal if isinstance(signal, NativeSignal) else None
