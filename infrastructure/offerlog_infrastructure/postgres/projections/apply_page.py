"""The application of one page to one projection. A bad event stops its own visitor-offer alone.

An event that this build cannot read, or that the projection cannot apply, becomes a *dead letter*. From it
on, the events of that stream wait, in order of their versions, and the projection goes on without them. The
dead letters and the projection's running proof are written in the transaction that moves the projection's
position.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Cursor

from offerlog_application.projections.page import Page, Positioned
from offerlog_application.projections.proof import prove
from offerlog_domain.event_fields import SealedEvent
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.service_events import ServiceEvent
from offerlog_infrastructure.postgres.log.pages import DecodedPage, FailedEvent

Write = Callable[[Cursor[Any], Page], None]
"""Writes the change that a page makes to one projection."""

_SELECT_DEAD_STREAMS: LiteralString = "SELECT originator_id FROM dead_letters WHERE view = %s"
_INSERT_DEAD_LETTER: LiteralString = """
    INSERT INTO dead_letters (view, originator_id, position, originator_version, topic, error, organization,
        action_map_id, waiting)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_ADD_WAITING_EVENTS: LiteralString = (
    "UPDATE dead_letters SET waiting = waiting + %s WHERE view = %s AND originator_id = %s"
)
_ADD_TO_PROOF: LiteralString = """
    INSERT INTO projection_proofs AS p (view, slice, events, digest)
    SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::numeric[])
    ON CONFLICT (view, slice) DO UPDATE SET
        events = p.events + excluded.events, digest = p.digest + excluded.digest
"""

_LONGEST_ERROR: Final = 2_000

_MAX_FAILING_STREAMS: Final = 8
"""If more streams than this fail, and all streams of the page do, the events are not the cause."""


def apply_page(cursor: Cursor[Any], projection: str, write: Write, page: DecodedPage) -> None:
    """Write a page to a projection, with its proof and its dead letters, in the cursor's transaction.

    Raises:
        psycopg.Error: The store is in trouble; nothing was written.
        Exception: No visitor-offer of a page with many can be written; nothing was.
    """
    dead = {row[0] for row in cursor.execute(_SELECT_DEAD_STREAMS, (projection,), prepare=True).fetchall()}
    broken = {one.stream: one for one in reversed(page.unreadable) if one.stream not in dead}
    events = page.events
    if dead or broken:
        events = [
            one
            for one in events
            if one.recorded.originator_id not in dead
            and (
                one.recorded.originator_id not in broken
                or one.recorded.originator_version < broken[one.recorded.originator_id].version
            )
        ]
    failed = _write(cursor, write, events, page.earlier) if events else []
    if len(failed) > _MAX_FAILING_STREAMS and len(failed) == len(
        {one.recorded.originator_id for one in events}
    ):
        raise failed[0].error  # nothing can be written: single events are not the cause
    broken |= {one.stream: one for one in failed}
    slices = page.proof
    if dead or broken:
        slices = prove(
            (position, stream)
            for position, stream, version, *_ in page.rows
            if stream not in dead and (stream not in broken or version < broken[stream].version)
        )
        _write_dead_letters(cursor, projection, page, dead, broken)
    if slices:
        counts, digests = [one.events for one in slices.values()], [one.digest for one in slices.values()]
        cursor.execute(_ADD_TO_PROOF, (projection, list(slices), counts, digests), prepare=True)


def _write(
    cursor: Cursor[Any],
    write: Write,
    events: Sequence[Positioned],
    earlier: Mapping[UUID, Sequence[SealedEvent[LifecycleEvent]]],
) -> list[FailedEvent]:
    """Write as many events as possible.

    Returns:
        For each stream with an event that cannot be written, the first such event.
    """
    try:
        with cursor.connection.transaction():
            write(cursor, Page(events, earlier))
    except psycopg.Error as error:
        if not isinstance(error, psycopg.DataError | psycopg.IntegrityError):
            raise  # the store is in trouble, not an event
        return _write_apart(cursor, write, events, earlier, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to one visitor-offer
        return _write_apart(cursor, write, events, earlier, error)
    return []


def _write_apart(
    cursor: Cursor[Any],
    write: Write,
    events: Sequence[Positioned],
    earlier: Mapping[UUID, Sequence[SealedEvent[LifecycleEvent]]],
    error: Exception,
) -> list[FailedEvent]:
    """Halve the streams after a failure, until each half fails no more or is a single stream.

    A visitor's own stream comes behind the visitor-offers: an erasure removes what they have written.
    """
    own = {one.recorded.originator_id for one in events if isinstance(one.recorded.event, ServiceEvent)}
    streams = sorted(
        {one.recorded.originator_id for one in events}, key=lambda stream: (stream in own, stream)
    )
    if len(streams) == 1:
        return [_write_prefix(cursor, write, events, earlier, error)]
    first = set(streams[: len(streams) // 2])
    halves = (
        [one for one in events if one.recorded.originator_id in first],
        [one for one in events if one.recorded.originator_id not in first],
    )
    return [failed for half in halves for failed in _write(cursor, write, half, earlier)]


def _write_prefix(
    cursor: Cursor[Any],
    write: Write,
    events: Sequence[Positioned],
    earlier: Mapping[UUID, Sequence[SealedEvent[LifecycleEvent]]],
    error: Exception,
) -> FailedEvent:
    """Write the events of one stream before its first bad event, in one call: a rebuild needs that.

    Returns:
        The first event that cannot be written.
    """
    written, failing = 0, len(events)  # the first `written` events can be written, the first `failing` cannot
    while failing - written > 1:
        middle = (written + failing) // 2
        try:
            with cursor.connection.transaction(force_rollback=True):
                write(cursor, Page(events[:middle], earlier))
        except psycopg.Error as trouble:
            if not isinstance(trouble, psycopg.DataError | psycopg.IntegrityError):
                raise  # the store is in trouble, not an event
            failing, error = middle, trouble
        except Exception as trouble:  # noqa: BLE001 - whatever it is, it belongs to an event
            failing, error = middle, trouble
        else:
            written = middle
    if written:
        write(cursor, Page(events[:written], earlier))
    failed = events[written]
    return FailedEvent(
        failed.position, failed.recorded.originator_id, failed.recorded.originator_version, error
    )


def _write_dead_letters(
    cursor: Cursor[Any],
    projection: str,
    page: DecodedPage,
    dead: set[UUID],
    broken: Mapping[UUID, FailedEvent],
) -> None:
    """Insert the new dead letters, and add the events that wait behind old ones."""
    waiting: dict[UUID, int] = {}
    for _, stream, version, *_ in page.rows:
        if stream in dead or (stream in broken and version >= broken[stream].version):
            waiting[stream] = waiting.get(stream, 0) + 1
    known = {one.recorded.originator_id: one.recorded.event for one in page.events}
    rows = {(row[0], row[1]): row for row in page.rows}
    for stream, count in waiting.items():
        if stream in dead:
            cursor.execute(_ADD_WAITING_EVENTS, (count, projection, stream))
            continue
        one, event = broken[stream], known.get(stream)
        _, _, version, topic, _ = rows[one.position, stream]
        where = (event.organization, event.action_map_id) if event is not None else (None, None)
        error = f"{type(one.error).__name__}: {one.error}".replace("\0", "")[:_LONGEST_ERROR]
        cursor.execute(
            _INSERT_DEAD_LETTER, (projection, stream, one.position, version, topic, error, *where, count)
        )
