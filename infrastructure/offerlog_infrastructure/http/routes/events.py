"""GET /v1/events: the feed, as batches with long poll (HTTP Feeds), or as Server-Sent Events."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Request, Response

from offerlog_application.feed.cloud_events import describe_event
from offerlog_application.feed.filters import FeedFilter
from offerlog_application.feed.reading_feed import FEED_PAGE
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import UnreadableEventError
from offerlog_application.ports.keys import Key, Role
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.shards import ShardUnavailableError
from offerlog_infrastructure.http.asyncapi.document import build_document
from offerlog_infrastructure.http.problems import ProblemError, problem_of
from offerlog_infrastructure.http.requests.access import EventReader, is_still_valid
from offerlog_infrastructure.http.requests.feed_parameters import (
    LATEST,
    FeedCursor,
    FeedLimit,
    FeedMaps,
    FeedMediaType,
    FeedTimeout,
    FeedTypes,
    Identified,
    SubscriptionOfFeed,
    read_cursor,
    read_filter,
)
from offerlog_infrastructure.http.requests.report_ranges import find_maps
from offerlog_infrastructure.http.requests.urls import check_url
from offerlog_infrastructure.http.responses.escaped_json import EscapedJSONResponse, encode_escaped
from offerlog_infrastructure.http.responses.pages import PAGE_BYTES
from offerlog_infrastructure.http.state import state_of
from offerlog_infrastructure.http.streams.event_stream import (
    CHECK_SECONDS,
    ENDING,
    OPENING,
    EventStream,
    StreamTimes,
    join_parts,
)
from offerlog_infrastructure.http.streams.live_report import PASSING_ERRORS
from offerlog_infrastructure.http.threads.dispatch import run_feed

router = APIRouter(tags=["events"], dependencies=[Depends(check_url)])

BATCH_TYPE: Final = "application/cloudevents-batch+json"
"""The media type of a batch (CloudEvents JSON format, section 4)."""

WAITS_FOR_HEADER: Final = "Offerlog-Waits-For"
"""The header of a batch that waits for a server: its events follow behind the cursor."""

POSITION_HEADER: Final = "Offerlog-Cursor"
"""The header of a batch with the cursor to go on from."""

_SCAN_SECONDS: Final = 5.0
"""Seconds for which an answer looks on for a first event that matches, at least."""

_STREAM_PAGE: Final = 200
"""Events of a stream that are held at a time."""


_TOO_NEW: Final = (
    "the next event is of a kind that only a newer offerlog knows: the feed waits until that runs"
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The events that a request asks for.

    Attributes:
        key: Whose organization.
        after: The position after which they begin.
        wanted: The filter.
        limit: The most events.
        identified: True for fields that identify somebody.
    """

    key: Key
    after: LogPosition
    wanted: FeedFilter
    limit: int
    identified: bool


class _Encoded(NamedTuple):
    """A page of the feed, encoded in the thread that read it: a long one would hold up the event loop.

    It ends before the event that would exceed `PAGE_BYTES`, as a client may read it slowly.

    Attributes:
        events: Cursor and CloudEvent of each event, as JSON.
        position: The log was read up to this position.
        is_end: True if there was nothing more to read.
        waits_for: The servers whose events come later, for people; empty for none.
    """

    events: Sequence[tuple[LogPosition, bytes]]
    position: LogPosition
    is_end: bool
    waits_for: str = ""


@router.get("/v1/events", operation_id="events", summary="Read the feed of events", response_model=None)
async def events(
    request: Request,
    key: EventReader,
    last_event_id: FeedCursor = None,
    timeout: FeedTimeout = 0,  # noqa: ASYNC109 - the name on the wire (HTTP Feeds)
    types: FeedTypes = None,
    action_map: FeedMaps = None,
    media_type: FeedMediaType = None,
    limit: FeedLimit = FEED_PAGE,
    identified: Identified = False,
    subscription: SubscriptionOfFeed = None,
    last_event_header: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Events after a cursor, by position, as CloudEvents.

    Go on from the cursor of the answer (`Offerlog-Cursor`, or `Link` with `rel="next"`). It counts the events
    that did not match, too. An empty batch is the end of the feed for now, unless its cursor has moved. With
    `Accept: text/event-stream`, the events come as they are recorded; `Last-Event-ID` resumes.
    """
    if identified and key.role not in {Role.EVENTS, Role.ADMIN}:
        raise ProblemError("forbidden", "identified: a key with the role events or admin is needed")
    wanted = read_filter(types, await find_maps(request, action_map), media_type)
    after = await _find_start(request, key, last_event_header or last_event_id, subscription)
    asked = _Asked(key, after, wanted, limit, identified)
    if "text/event-stream" in request.headers.get("accept", ""):
        with suppress(ShardUnavailableError):  # those of the others come, and comments name the shard
            await _read_page(request, replace(asked, limit=1))  # what cannot be begun is a problem
        waits = state_of(request).feed_waits
        waits.enter(key)
        return EventStream(_stream(request, asked), lambda: waits.leave(key))
    page = await _read(request, asked)
    if not page.events and page.is_end and timeout:
        with state_of(request).feed_waits.waiting(key):
            page = await _wait(request, replace(asked, after=page.position), timeout / 1_000)
    return _answer_batch(request, page)


@router.get(
    "/asyncapi.json", operation_id="asyncapi", summary="The contract of the events", include_in_schema=False
)
async def asyncapi() -> EscapedJSONResponse:
    """The AsyncAPI 3 document of the events that leave the service; for everybody."""
    return EscapedJSONResponse(build_document())


async def _find_start(
    request: Request, key: Key, cursor: str | None, subscription: str | None
) -> LogPosition:
    """Return the position after which the events begin."""
    service = state_of(request).service
    start: LogPosition = 0
    if subscription is not None:  # one that does not exist is a mistake, also beside a cursor
        find = service.subscriptions.find
        start = (await run_feed(request, find, subscription, organization=key.organization)).position
    if cursor == LATEST:
        return await run_feed(request, service.feed.end)
    return start if cursor is None else read_cursor(cursor)


async def _read(request: Request, asked: _Asked) -> _Encoded:
    """Read on until there is an event that matches, or the end, or the time for that is over."""
    until, page = time.monotonic() + _SCAN_SECONDS, _Encoded((), asked.after, is_end=False)
    while not page.events and not page.is_end and time.monotonic() < until:
        page = await _read_page(request, replace(asked, after=page.position))
    return page


async def _read_page(request: Request, asked: _Asked) -> _Encoded:
    try:
        return await run_feed(request, _read_encoded, state_of(request).service, asked)
    except UnreadableEventError as error:
        raise ProblemError("unavailable", _TOO_NEW, headers={"Retry-After": "10"}) from error


def _read_encoded(service: Offerlog, asked: _Asked) -> _Encoded:
    page = service.feed.page(
        asked.after,
        wanted=asked.wanted,
        limit=asked.limit,
        organization=asked.key.organization,
        identified=asked.identified,
        settling_seconds=0.0,
    )
    encoded: list[tuple[LogPosition, bytes]] = []
    size, waits_for = 0, "; ".join(problem_of(one).detail for one in page.waits_for)
    for one in page.events:
        text = encode_escaped(describe_event(one))
        size += len(text)
        if encoded and size > PAGE_BYTES:
            return _Encoded(encoded, encoded[-1][0], is_end=False, waits_for=waits_for)
        encoded.append((one.cursor, text))
    return _Encoded(encoded, page.position, page.is_end, waits_for)


async def _wait(request: Request, asked: _Asked, seconds: float) -> _Encoded:
    """Wait for an event that matches, at most so many seconds. Holds no thread meanwhile."""
    state, position = state_of(request), asked.after
    waits, until = state.feed_waits, time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not state.stopping.is_set():
        await waits.pause(min(left, CHECK_SECONDS))
        if await request.is_disconnected() or not await is_still_valid(request):
            break
        quiet = waits.find_quiet(asked.key.organization, position)
        if quiet is not None:
            position = quiet
            continue
        page = await _read_page(request, replace(asked, after=position))
        position = page.position
        if page.events:
            return page
    return _Encoded((), position, is_end=True)


def _answer_batch(request: Request, page: _Encoded) -> Response:
    """Answer with a page of events, and say where to go on."""
    cursor = str(page.position)
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lastEventId"]
    following = urlencode([*kept, ("lastEventId", cursor)])
    return Response(
        b"[%b]" % b",".join(event for _, event in page.events),
        media_type=BATCH_TYPE,
        headers={
            POSITION_HEADER: cursor,
            "Link": f'</v1/events?{following}>; rel="next"',
            "Cache-Control": "no-store",
            **({WAITS_FOR_HEADER: page.waits_for} if page.waits_for else {}),
        },
    )


async def _stream(request: Request, asked: _Asked) -> AsyncIterator[bytes]:
    """Yield events as they are recorded. The next page is read once the page before it has been sent."""
    state, position, shown_trouble, times = state_of(request), asked.after, "", StreamTimes()
    yield OPENING
    while not state.stopping.is_set() and await is_still_valid(request):
        quiet = state.feed_waits.find_quiet(asked.key.organization, position)
        is_end = quiet is not None
        if quiet is not None:
            position = quiet
        else:
            try:
                limited = replace(asked, after=position, limit=min(asked.limit, _STREAM_PAGE))
                page = await _read_page(request, limited)
            except PASSING_ERRORS as error:
                trouble, is_end = problem_of(error).detail, True
            else:
                trouble, position, is_end = page.waits_for, page.position, page.is_end
                for piece in join_parts(_encode_event(*one) for one in page.events):
                    yield piece
                    times.note_sent()
            if trouble and trouble != shown_trouble:
                yield f": {trouble}; events follow when that is over\n\n".encode()
            shown_trouble = trouble
        if times.is_quiet:
            yield _encode_cursor(position)
            times.note_sent()
        if times.is_over:
            yield _encode_cursor(position) + ENDING
            return
        if is_end:
            await state.feed_waits.pause(CHECK_SECONDS)


def _encode_event(cursor: LogPosition, event: bytes) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (str(cursor).encode(), event)


def _encode_cursor(position: LogPosition) -> bytes:
    """Encode a cursor for people, and as the id from which a client resumes; it is not an event."""
    cursor = str(position).encode()
    return b": cursor %b\nid: %b\n\n" % (cursor, cursor)
