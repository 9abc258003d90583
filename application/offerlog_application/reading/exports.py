"""Exports of the log: its events, its actions as tables, and reports as of a position."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from offerlog_application.feed.filters import FeedFilter
from offerlog_application.feed.reading_feed import MOST_EVENTS, EventFeed
from offerlog_application.ports.event_source import EventSource
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import (
    LogPosition,
    count_all_positions,
    is_up_to,
    split_position,
)
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.replays import Replays
from offerlog_application.ports.stream_source import BEFORE_ALL_STREAMS, StreamPlace, StreamSource
from offerlog_application.reading.exported_actions import ActionFold, action_columns
from offerlog_application.reading.exported_events import event_columns, event_row
from offerlog_application.reading.performance_report import UNLIMITED, PerformanceReport, report
from offerlog_application.reading.tables import Column, Row
from offerlog_domain.errors import ArgumentError
from offerlog_domain.service_events import VisitorErased

_STREAM_EVENTS: Final = 10_000
"""Events that are read stream by stream with one statement."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The rows that are wanted.

    Attributes:
        after: Only what is new since this position; 0 for everything. An action with a new event is new.
        as_of: The log as it was up to this position; None for all that is in it now.
        start: The first instant: of an event the time at which it happened, of an action that of its offer.
        end: The first instant that is too late.
        action_maps: Ids of action maps; empty for all.
        is_identified: True to add the columns that identify somebody.
        media_type: Only offers of this media type, a key of `LIFECYCLES`; None for all.
    """

    after: LogPosition = 0
    as_of: LogPosition | None = None
    start: datetime | None = None
    end: datetime | None = None
    action_maps: Sequence[str] = ()
    is_identified: bool = False
    media_type: str | None = None

    def spans(self, moment: datetime | None) -> bool:
        """Return True for a time in the interval. Without a time, it is unless there is an interval."""
        if moment is None:
            return self.start is None and self.end is None
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


class ExportBatch(NamedTuple):
    """Some rows of an export.

    Attributes:
        rows: The rows.
        read: Positions or events of the log that were read so far, for a progress bar.
        damaged: Number of damaged events so far. They are left out.
    """

    rows: Sequence[Row]
    read: int
    damaged: int


class Export(NamedTuple):
    """An export that is about to be read.

    Attributes:
        columns: Its columns.
        as_of: The last position of the log that it shows. The next export goes on after it.
        total: The value of `read` at its end, about.
        batches: Its rows. Reading them reads the log.
    """

    columns: Sequence[Column]
    as_of: LogPosition
    total: int
    batches: Iterator[ExportBatch]


class Exports(OrganizationScope):
    """The exports of a service; thread-safe.

    Args:
        feed: The feed of events.
        source: The log, for its end.
        streams: The log stream by stream.
        replays: The log as it stood at an earlier position.
        organization: The organization of calls that name none.
    """

    def __init__(
        self,
        feed: EventFeed,
        source: EventSource,
        streams: StreamSource,
        replays: Replays,
        organization: str,
    ) -> None:
        self.organization = organization
        self._feed = feed
        self._source = source
        self._streams = streams
        self._replays = replays

    def events(self, request: ExportRequest, organization: str | None = None) -> Export:
        """Return the events of the feed, a row each, by position.

        The erasure of a visitor is there whatever the times, the action maps and the media type asked for.

        Raises:
            ArgumentError: A position is not one of the log, or the media type is not tracked.
            MalformedSignalError: A text is not the id of an action map.
            StoreUnavailableError: The store cannot be reached; the batches raise it, too.
        """
        as_of = self._find_end(request.as_of, request.after)
        wanted = FeedFilter.parse((), request.action_maps, request.media_type)
        batches = self._read_events(request, wanted, as_of, self._of(organization))
        total = count_all_positions(request.after, as_of)
        return Export(event_columns(is_identified=request.is_identified), as_of, total, batches)

    def actions(self, request: ExportRequest, organization: str | None = None) -> Export:
        """Return the actions, a row each, with the times of their steps; in the order of their streams.

        Raises:
            ArgumentError: A position is not one of the log, or the media type is not tracked; or, with
                several servers, `as_of` is not one of all logs at one moment.
            MalformedSignalError: A text is not the id of an action map.
            StoreUnavailableError: The store cannot be reached; the batches raise it, too.
        """
        as_of = self._find_end(request.as_of, request.after)
        wanted = FeedFilter.parse((), request.action_maps, request.media_type)
        if request.as_of is not None:
            self._replays.check_position(as_of)
        batches = self._read_actions(request, wanted, as_of, self._of(organization))
        total = count_all_positions(0, as_of)
        return Export(action_columns(is_identified=request.is_identified), as_of, total, batches)

    def report_as_of(
        self,
        query: ReportQuery,
        as_of: LogPosition,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    ) -> tuple[PerformanceReport, LogPosition]:
        """Return a report as it was at a position, of any size, and the position of the last event in it.

        All projections are built anew up to there, beside the live ones, as for `audit replay`. That reads
        the log up to there.

        Args:
            query: The query.
            as_of: A position of the log.
            on_progress: Called with the progress, several times a second.

        Raises:
            ArgumentError: The log ends before the position; or, with several servers, it is not one of all
                logs at one moment.
            RebuildRunningError: Another replay is at work.
            RebuildWorkersError: The processes that load were killed, or failed.
            SchemaNotMadeError: The database's user may not make a schema.
            StoreUnavailableError: The store cannot be reached.
        """
        position = self._replays.settle(self._find_end(as_of))
        with self._replays.replay(position, on_progress) as replayed:
            made = report(query, replayed.performance, UNLIMITED)
        missing = sum(one.short_by for one in replayed.proofs if one.projection == "performance")
        return replace(made, short_by=missing), position

    def _find_end(self, wanted: LogPosition | None, after: LogPosition = 0) -> LogPosition:
        last = self._source.find_end()
        as_of = last if wanted is None else wanted
        for name, position in (("as_of", as_of), ("after", after)):
            if min(split_position(position)) < 0 or not is_up_to(position, last):
                shown = [f"{one:,}" if isinstance(one, int) else one for one in (position, last)]
                raise ArgumentError(
                    name, f"{name}: {shown[0]} is not a position of the log: it ends at {shown[1]}"
                )
        return as_of

    def _read_events(
        self, request: ExportRequest, wanted: FeedFilter, as_of: LogPosition, organization: str
    ) -> Iterator[ExportBatch]:
        build = event_row(is_identified=request.is_identified)
        total = count_all_positions(request.after, as_of)
        position, damaged = request.after, 0
        while not is_up_to(as_of, position):
            page = self._feed.page(
                position,
                wanted=wanted,
                limit=MOST_EVENTS,
                organization=organization,
                identified=request.is_identified,
            )
            found = [one for one in page.events if is_up_to(one.position, as_of)]
            damaged += sum(one.event is None for one in found)
            rows = [
                build(one)
                for one in found
                if one.event is not None
                and (isinstance(one.event, VisitorErased) or request.spans(one.occurred_at))
            ]
            position = page.position
            yield ExportBatch(rows, min(count_all_positions(request.after, position), total), damaged)
            if page.is_end:
                return

    def _read_actions(
        self, request: ExportRequest, wanted: FeedFilter, as_of: LogPosition, organization: str
    ) -> Iterator[ExportBatch]:
        fold = ActionFold(
            organization, wanted, request.after, request.spans, is_identified=request.is_identified
        )
        behind, read, identify = BEFORE_ALL_STREAMS, 0, organization if request.is_identified else None
        while True:
            found = self._streams.read_streams(behind, as_of, _STREAM_EVENTS, identify=identify)
            read += len(found)
            is_end = len(found) < _STREAM_EVENTS
            rows = fold.add(found)
            yield ExportBatch([*rows, *fold.finish()] if is_end else rows, read, fold.damaged)
            if is_end:
                return
            behind = StreamPlace(found[-1].stream, found[-1].version)
