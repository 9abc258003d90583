"""The feed of one service: its events by position, in order, in bounded pages."""

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_application.feed.feed_event import UNREADABLE, FeedEvent
from offerlog_application.feed.filters import EVERYTHING, FeedFilter
from offerlog_application.feed.kinds import KINDS
from offerlog_application.ports.event_log import ClosedError
from offerlog_application.ports.event_source import SETTLING_SECONDS, EventSource, LogRow, Tenure
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.positions import LogPosition, by_shard, shard_of_position, split_position
from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_domain.uuids import format_uuid

FEED_PAGE: Final = 500
"""Events of a page unless its reader says otherwise."""

MOST_EVENTS: Final = 5_000
"""The most events of a page."""

_SCANNED_AT_ONCE: Final = 1_000
"""The most events of the log that one statement reads."""

_SCANNED_FOR_A_PAGE: Final = 20_000
"""Events of the log that are read for one page, however few of them match."""

_LOOK_SECONDS: Final = 0.2
"""Seconds between two looks of a follower at the end of the log."""


class FeedPage(NamedTuple):
    """Consecutive events of the feed, and how far the log was read for them.

    Attributes:
        events: The events, by position.
        position: The log was read up to this position. Read on from here: it may lie beyond the last event,
            where the events in between belong to others or do not match.
        is_end: True if there was nothing more to read.
        waits_for: Errors of servers whose events are missing for now. They come behind `position`, once those
            servers answer; such a page is not the end.
    """

    events: Sequence[FeedEvent]
    position: LogPosition
    is_end: bool
    waits_for: Sequence[OfferlogError] = ()


FeedReader = tuple[str, LogPosition, FeedFilter]
"""A reader who waits for an event: the tenant, how far the reader has read the log, and what is wanted."""


class FeedNews(NamedTuple):
    """The organizations, or the readers, that a piece of the log is about.

    Attributes:
        newest: Position of the newest event of each organization in the piece; of several servers by shard.
        position: The log was read up to this position.
        is_end: True if there was nothing more to read.
    """

    newest: Mapping[str, Mapping[int, int]]
    position: LogPosition
    is_end: bool


class ReaderNews(NamedTuple):
    """The readers for which there is an event in a piece of the log.

    Attributes:
        readers: These readers.
        position: The log was read up to this position.
        is_end: True if there was nothing more to read. A server that cannot be reached is read later.
    """

    readers: Collection[str]
    position: LogPosition
    is_end: bool


class EventFeed(OrganizationScope):
    """The feed of a service; thread-safe.

    Every event comes exactly once and in the order of its position, to whoever reads on from the position of
    the page before. No event can appear at or before that position any more.

    Attributes:
        organization: The organization of calls that name none.
    """

    def __init__(self, source: EventSource, organization: str) -> None:
        self.organization = organization
        self._source = source
        self._closing = threading.Event()

    def page(
        self,
        after: LogPosition = 0,
        *,
        wanted: FeedFilter = EVERYTHING,
        limit: int = FEED_PAGE,
        organization: str | None = None,
        identified: bool = False,
        settling_seconds: float = SETTLING_SECONDS,
        leaving_out: Collection[int] = (),
    ) -> FeedPage:
        """Return the events after a position.

        Over several servers, events come in the order of each server's log, and merged by the time of their
        recording as far as that allows. While a server cannot be reached, those of the others come, and the
        page says for which server it waits. There is no end without all of them.

        A page may have no event and still not be the end: its position is further on.

        Args:
            after: Position of an event, as an event or a page has it; 0 for the beginning of the log.
            wanted: The kinds and action maps that are wanted.
            limit: The most events, up to `MOST_EVENTS`.
            organization: The tenant; None for the organization of the service.
            identified: True for the visitor's identity and the other fields that identify somebody.
            settling_seconds: How long to wait at the end of the log for writers who are about to commit.
            leaving_out: Numbers of servers whose events are not wanted now; such a page is not the end.

        Raises:
            ArgumentError: A limit that is too small or too large, or a position that no event has had yet.
            UnreadableEventError: The next event is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached; of several, one,
                and the others have nothing more.
            ClosedError: The service has been closed.
        """
        page = self._read(
            after,
            wanted,
            limit,
            organization=organization,
            identified=identified,
            settling_seconds=settling_seconds,
            leaving_out=leaving_out,
        )
        if page.waits_for and page.position == after:
            raise page.waits_for[0]
        return page

    def _read(
        self,
        after: LogPosition,
        wanted: FeedFilter,
        limit: int,
        *,
        organization: str | None,
        identified: bool,
        settling_seconds: float,
        leaving_out: Collection[int] = (),
    ) -> FeedPage:
        """Return a page, also one without anything where a server cannot be reached; see `page`."""
        if min(split_position(after)) < 0:
            raise ArgumentError("after", f"after: {after} is not a position: give 0 or more")
        if not 0 < limit <= MOST_EVENTS:
            raise ArgumentError("limit", f"limit: give 1 to {MOST_EVENTS:,} events, not {limit}")
        name, events, position = self._of(organization), list[FeedEvent](), after
        left, size = _SCANNED_FOR_A_PAGE, min(limit, _SCANNED_AT_ONCE)
        while left > 0:
            if self._closing.is_set():
                raise ClosedError
            found = self._source.read_page(
                position,
                size,
                identify=name if identified else None,
                settling_seconds=settling_seconds,
                leaving_out=leaving_out,
            )
            for row in found.rows:
                if (event := _admit(row, name, wanted)) is not None:
                    events.append(event)
                    if len(events) == limit:
                        is_end = found.is_end and row is found.rows[-1]
                        return FeedPage(events, row.cursor, is_end, found.waits_for)
            position = found.position
            if len(found.rows) < size:  # the end, or an event that cannot be read: next time
                return FeedPage(events, position, found.is_end, found.waits_for)
            left -= size
            size = min(4 * size, _SCANNED_AT_ONCE, left)  # few match: read more at once
        return FeedPage(events, position, is_end=False)

    def end(self) -> LogPosition:
        """Return the position of the last event that can be read now: to follow new events alone.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            ClosedError: The service has been closed.
        """
        return self._source.find_end()

    def news(self, after: LogPosition) -> FeedNews:
        """Return of which organizations the events after a position are; of some thousand events at most.

        Raises:
            UnreadableEventError: The next event is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached; of several, one of them.
            ClosedError: The service has been closed.
        """
        found = self._source.read_page(after, MOST_EVENTS, settling_seconds=0.0)
        if found.waits_for:
            raise found.waits_for[0]
        newest: dict[str, dict[int, int]] = {}
        for row in found.rows:
            if row.organization is not None:
                newest.setdefault(row.organization, {})[shard_of_position(row.position)] = row.position
        return FeedNews(newest, found.position, found.is_end)

    def find(self, position: int, *, organization: str | None = None) -> FeedEvent | None:
        """Return the event of a position that has been read before; None if it is not in the log any more.

        Raises:
            UnreadableEventError: It is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached; of several, one that may have the event.
            ClosedError: The service has been closed.
        """
        row = self._source.find_event(position)
        return None if row is None else _admit(row, self._of(organization), EVERYTHING)

    def tenures(self, events: Sequence[FeedEvent]) -> Mapping[int, Tenure]:
        """Return the tenures in which events were recorded, by position; without those of first tenures.

        Raises:
            StoreUnavailableError: The store cannot be reached; of several, one that has recorded some.
            ClosedError: The service has been closed.
        """
        return self._source.find_tenures([(one.position, UUID(one.subject)) for one in events])

    def news_for(self, readers: Mapping[str, FeedReader], after: LogPosition) -> ReaderNews:
        """Return for which readers there is an event after a position; of some thousand events at most.

        One read of the log serves all readers.

        Args:
            readers: The readers by name.
            after: The log is read after this position.

        Raises:
            PositionAheadError: No event has had that position yet.
            UnreadableEventError: The next event is of a kind that this build does not know.
            StoreUnavailableError: The store cannot be reached.
            ClosedError: The service has been closed.
        """
        found = self._source.read_page(after, MOST_EVENTS, settling_seconds=0.0)
        waiting: dict[str, dict[str, tuple[Mapping[int, int], FeedFilter]]] = {}
        for name, (organization, position, wanted) in readers.items():
            waiting.setdefault(organization, {})[name] = by_shard(position), wanted
        concerned: set[str] = set()
        for row in reversed(found.rows):
            others = waiting.get(row.organization or "", {})
            for name, (read_to, wanted) in list(others.items()):
                if row.position > read_to.get(shard_of_position(row.position), 0) and (
                    row.event is None or wanted.admits(row.event)
                ):
                    concerned.add(name)
                    del others[name]
        is_end = found.is_end or found.position == after
        return ReaderNews(concerned, found.position, is_end)

    def events(
        self,
        after: LogPosition = 0,
        *,
        types: Collection[str] = (),
        action_maps: Collection[str] = (),
        media_type: str | None = None,
        organization: str | None = None,
        identified: bool = False,
    ) -> Generator[FeedEvent]:
        """Stream the events after a position, page by page; see `FeedAccess.events`."""
        wanted = FeedFilter.parse(types, action_maps, media_type)

        def read(position: LogPosition) -> FeedPage:
            return self.page(position, wanted=wanted, organization=organization, identified=identified)

        return _stream(after, read)

    def follow(
        self,
        after: LogPosition = 0,
        *,
        wanted: FeedFilter = EVERYTHING,
        organization: str | None = None,
        identified: bool = False,
    ) -> Generator[FeedPage]:
        """Stream the pages after a position, and wait for new events at the end, until the service is closed.

        Waits in the calling thread. A page without events says that the log was read further, or that it
        waits for another server than before.

        Raises:
            ClosedError: The service has been closed.
        """
        position, waits_for = after, ""
        while True:
            page = self._read(
                position,
                wanted,
                FEED_PAGE,
                organization=organization,
                identified=identified,
                settling_seconds=0.0,
            )
            is_further, now_waits_for = page.position != position, "; ".join(map(str, page.waits_for))
            if is_further or now_waits_for != waits_for:
                yield page
                position, waits_for = page.position, now_waits_for
            if page.is_end or not is_further:
                self._closing.wait(_LOOK_SECONDS)

    def close(self) -> None:
        """End all reads and waits with `ClosedError`."""
        self._closing.set()
        self._source.close()


def _stream(after: LogPosition, read: Callable[[LogPosition], FeedPage]) -> Generator[FeedEvent]:
    """Yield the events of all pages after a position."""
    page = read(after)
    yield from page.events
    while not page.is_end:
        page = read(page.position)
        yield from page.events


def _admit(row: LogRow, organization: str, wanted: FeedFilter) -> FeedEvent | None:
    """Return an event for a reader; None if the reader does not get it."""
    if row.organization != organization or (row.event is not None and not wanted.admits(row.event)):
        return None
    return FeedEvent(
        row.position,
        UNREADABLE if row.event is None else KINDS[type(row.event)].name,
        format_uuid(row.stream),
        row.version,
        organization,
        row.event,
        row.visitor,
        row.private,
        row.vector,
    )
