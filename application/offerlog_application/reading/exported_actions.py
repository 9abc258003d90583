"""Offered actions as rows of a table, each with the times of its steps, folded from their streams."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from offerlog_application.feed.filters import FeedFilter
from offerlog_application.ports.event_source import LogRow
from offerlog_application.ports.positions import LogPosition, is_up_to
from offerlog_application.reading.tables import Column, ColumnKind, Row
from offerlog_domain.events import EventSinceOffer, LifecycleEvent
from offerlog_domain.lifecycle import LIFECYCLES, State
from offerlog_domain.uuids import format_uuid

_PUBLIC: Final = (
    Column("subject", ColumnKind.WORD),
    Column("visitor", ColumnKind.WORD),
    Column("action_number", ColumnKind.INTEGER),
    Column("action_map_id", ColumnKind.WORD),
    Column("action_map_version", ColumnKind.INTEGER),
    Column("action_map_name", ColumnKind.TEXT),
    Column("media_type", ColumnKind.TEXT),
    Column("state", ColumnKind.WORD),
    Column("stage", ColumnKind.WORD),
    Column("since", ColumnKind.TIME),
    Column("offered_at", ColumnKind.TIME),
    Column("accepted_at", ColumnKind.TIME),
    Column("started_at", ColumnKind.TIME),
    Column("ended_at", ColumnKind.TIME),
    Column("timeout_seconds", ColumnKind.INTEGER),
    Column("position", ColumnKind.INTEGER),
)
_IDENTIFYING: Final = (
    Column("customer_id", ColumnKind.TEXT),
    Column("customer_id_type", ColumnKind.TEXT),
    Column("session_id", ColumnKind.WORD),
    Column("action_id", ColumnKind.WORD),
    Column("error_code", ColumnKind.TEXT),
    Column("error_message", ColumnKind.TEXT),
)


def action_columns(*, is_identified: bool) -> Sequence[Column]:
    """Return the columns of exported actions."""
    return (*_PUBLIC, *_IDENTIFYING) if is_identified else _PUBLIC


class ActionFold:
    """Makes the rows of actions from the lifecycle events of whole streams, in order.

    The events of an action follow each other in its stream: once the next action has begun, they are refused.

    Args:
        organization: The tenant; other tenants' events are passed over.
        wanted: Only actions whose offer it admits.
        after: Only actions with an event behind this position.
        spans: Decides by the time of the offer whether an action is wanted.
        is_identified: True to add the columns that identify somebody.

    Attributes:
        damaged: Number of events that could not be read.
    """

    def __init__(
        self,
        organization: str,
        wanted: FeedFilter,
        after: LogPosition,
        spans: Callable[[datetime], bool],
        *,
        is_identified: bool,
    ) -> None:
        self._organization = organization
        self._wanted = wanted
        self._after = after
        self._spans = spans
        self._is_identified = is_identified
        self._events: list[tuple[LogRow, LifecycleEvent]] = []
        self.damaged = 0

    def add(self, rows: Sequence[LogRow]) -> list[Row]:
        """Add the next events; returns the rows of the actions that are complete."""
        done: list[Row] = []
        for row in rows:
            event = row.event
            if event is None:
                self.damaged += 1
            elif isinstance(event, EventSinceOffer) and event.organization == self._organization:
                if self._events and not self._continues(row, event):
                    done += self.finish()
                self._events.append((row, event))
        return done

    def finish(self) -> list[Row]:
        """Return the row of the last action, if there is one that is wanted."""
        events, self._events = self._events, []
        if not events:
            return []
        newest, first = events[-1][0], events[0][1]
        is_wanted = (
            not is_up_to(newest.position, self._after)
            and self._wanted.admits(first)
            and self._spans(first.offered_at)
        )
        return [self._make_row(events)] if is_wanted else []

    def _continues(self, row: LogRow, event: LifecycleEvent) -> bool:
        last, before = self._events[-1]
        return (row.stream, event.action_number) == (last.stream, before.action_number)

    def _make_row(self, events: Sequence[tuple[LogRow, LifecycleEvent]]) -> Row:
        (newest, last), times = events[-1], {event.state: event.occurred_at for _, event in events}
        subject = format_uuid(newest.stream)
        names = [event.action_map_name for _, event in events if event.action_map_name is not None]
        is_over = LIFECYCLES[last.media_type].is_final(last.state)
        row = (
            subject,
            subject.replace("-", "")[:16],
            last.action_number,
            format_uuid(last.action_map_id),
            last.action_map_version,
            names[-1] if names else None,
            last.media_type,
            last.state,
            last.stage,
            last.occurred_at,
            last.offered_at,
            times.get(State.ACCEPTED),
            times.get(State.STARTED),
            last.occurred_at if is_over else None,
            next((event.timeout_seconds for _, event in events if event.timeout_seconds), None),
            newest.position,
        )
        return (*row, *_identify(newest)) if self._is_identified else row


def _identify(newest: LogRow) -> Row:
    """Return the values that identify somebody, of the newest event: it has the error, if there is one."""
    visitor, private = newest.visitor, newest.private
    if visitor is None or private is None:
        return (None,) * len(_IDENTIFYING)
    ids = format_uuid(private.session_id), format_uuid(private.action_id)
    return (visitor.id, visitor.type, *ids, private.error_code, private.error_message)
