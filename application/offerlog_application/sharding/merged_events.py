"""The logs of all shards as one, for those who follow it.

A page has events of each shard in the order of its log, merged by the time of their recording. Its position
is a vector: how far the log of each shard was read. So a shard that cannot be reached is read on later from
where it stood, and nothing of it is passed over. Each shard has a thread that reads it: one that hangs holds
up nobody but once, and briefly.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import copy_context
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError, UnreadableEventError
from offerlog_application.ports.event_source import SETTLING_SECONDS, LogPage, LogRow, Tenure
from offerlog_application.ports.positions import (
    SHARD_BITS,
    LogPosition,
    UnknownPositionError,
    by_shard,
    latest_position,
    only_position,
    shard_of_position,
)
from offerlog_application.ports.shards import HOME, SliceInMotionError
from offerlog_application.sharding.router import Router, Shard
from offerlog_domain.errors import OfferlogError

_PATIENCE_SECONDS: Final = 5.0
"""Seconds for which a shard may read a page, beside those for writers who are about to commit."""

_FIRST_HORIZON_SECONDS: Final = 11.0
"""Further seconds for a reader who waits for such writers: a new connection has to find a horizon first."""

_MOST_READS: Final = 50
"""Number of times that all shards are read again while slices move."""

_FIRST: Final = datetime.min.replace(tzinfo=UTC)

T = TypeVar("T")


class MergedEventSource:
    """The application's `EventSource` over several shards; thread-safe.

    Args:
        router: Finds the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._lock = threading.Lock()
        self._threads: dict[int, _ShardThread] = {}
        self._is_closed = False

    def read_page(
        self,
        after: LogPosition,
        limit: int,
        *,
        identify: str | None = None,
        settling_seconds: float = SETTLING_SECONDS,
        leaving_out: Collection[int] = (),
    ) -> LogPage:
        """Read the events of all shards after a position, at most `limit`.

        A shard that cannot be reached, or whose next event cannot be read, is named by the page: what it has
        comes later. Events that have moved with their slice are read where they lie, at their old place.

        Args:
            after: A position that a page had. A number is one of the home: the other shards are read from
                their beginnings. It may stem from the time when the home was the only server.
            limit: The most events.
            identify: The organization of which the identifying fields are wanted; None for none.
            settling_seconds: How long to wait for writers who are about to commit.
            leaving_out: Numbers of shards whose events are not wanted now.

        Raises:
            UnknownPositionError: The position is that of one event of another shard than the home.
            PositionAheadError: No event has had that position yet.
            ReadTimeoutError: A page takes longer than it may.
            SliceInMotionError: Slices move without a pause.
            ClosedError: The service has been closed.
        """
        read_to = _split(after)
        found: Mapping[int, _ShardPage | OfferlogError] = {}
        epochs: Mapping[int, object] | None = None
        for _ in range(_MOST_READS):
            found = self._read_pages(read_to, limit, identify, settling_seconds, leaving_out)
            if not any(isinstance(one, _ShardPage) and one.has_moved for one in found.values()):
                break
            if epochs is not None and epochs == self._read_epochs():
                break  # no slice has moved while all were read
            epochs = self._read_epochs()
        else:
            raise SliceInMotionError(HOME, [])
        rows: dict[int, Sequence[LogRow]] = {}
        is_end = self._numbers() == found.keys()
        waits_for: list[OfferlogError] = []
        for number, one in found.items():
            read_to.setdefault(number, _begin(number))
            if isinstance(one, _ShardPage):
                rows[number], is_end = one.rows, is_end and one.is_end
            else:
                waits_for.append(one)
        merged, taken = _merge(rows, read_to, limit)
        is_end = is_end and not waits_for and all(taken[number] == len(rows[number]) for number in rows)
        return LogPage(merged, _join(read_to), is_end, waits_for)

    def _read_pages(
        self,
        read_to: Mapping[int, int],
        limit: int,
        identify: str | None,
        settling_seconds: float,
        leaving_out: Collection[int],
    ) -> Mapping[int, "_ShardPage | OfferlogError"]:
        """Read a page of what each shard has recorded, wherever it lies by now."""

        def read(shard: Shard) -> _ShardPage:
            begin, source = read_to.get(shard.number, 0), shard.store.event_source
            before = source.find_moved(begin)
            page = source.read_page(
                0 if begin == _begin(shard.number) else begin,
                limit,
                identify=identify,
                settling_seconds=settling_seconds,
            )
            has_moved = before is not None or source.find_moved(begin) is not None
            read_up_to = only_position(page.position)
            until = max(before or 0, read_up_to) if page.is_end else read_up_to
            return _ShardPage(page.rows, page.is_end, has_moved, begin, until)

        wanted = self._numbers() - {*leaving_out}
        pages = dict(self._ask_all(read, settling_seconds, wanted))
        moved = {n: one for n, one in pages.items() if isinstance(one, _ShardPage) and one.has_moved}
        if not moved:
            return pages

        def read_others(shard: Shard) -> Mapping[int, Sequence[LogRow]]:
            return {
                number: shard.store.event_source.read_moved(one.begin, one.until, limit, identify=identify)
                for number, one in moved.items()
                if number != shard.number and one.until > max(one.begin, _begin(number))
            }

        elsewhere = self._ask_all(read_others, 0.0)
        for number, one in moved.items():
            positioned = {row.position: row for row in one.rows}
            for found in elsewhere.values():
                if isinstance(found, OfferlogError):
                    pages[number] = found  # it may have some of them
                    break
                positioned |= {row.position: row for row in found.get(number, ())}
            else:
                rows = [positioned[place] for place in sorted(positioned)]
                pages[number] = one._replace(rows=rows[:limit], is_end=one.is_end and len(rows) <= limit)
        return pages

    def _read_epochs(self) -> Mapping[int, object]:
        """Read the epochs of all slices on all shards; a shard that cannot be reached has none."""
        found = self._ask_all(lambda shard: shard.read_held().epochs, 0.0)
        return {number: None if isinstance(one, OfferlogError) else one for number, one in found.items()}

    def find_end(self) -> LogPosition:
        """Return the positions of the last events of all shards that can be read now.

        Raises:
            ShardUnavailableError: A shard cannot be reached.
            ClosedError: The service has been closed.
        """
        ends: dict[int, int] = {}
        for number, found in self._ask_all(lambda shard: shard.store.event_source.find_end(), 1.0).items():
            if isinstance(found, OfferlogError):
                raise found
            ends[number] = max([_begin(number), *by_shard(found).values()])
        return _join(ends)

    def find_event(self, position: int) -> LogRow | None:
        """Return the event of a position that has been read before, wherever it lies by now.

        Raises:
            ShardUnavailableError: No shard that can be reached has it, and another may.
            SliceInMotionError: Slices move without a pause.
            ClosedError: The service has been closed.
        """
        epochs: Mapping[int, object] | None = None
        for _ in range(_MOST_READS):
            found = self._ask_all(lambda shard: shard.store.event_source.find_event(position), 0.0)
            for one in found.values():
                if isinstance(one, LogRow):
                    return one
            for one in found.values():
                if isinstance(one, OfferlogError):
                    raise one
            before, epochs = epochs, self._read_epochs()
            if epochs == before:  # no slice has moved while all were asked
                return None
        raise SliceInMotionError(HOME, [])

    def find_tenures(self, events: Sequence[tuple[int, UUID]]) -> Mapping[int, Tenure]:
        """Return the tenures in which events were recorded, by position.

        Raises:
            ShardUnavailableError: A shard that has recorded some of them cannot be reached.
            ClosedError: The service has been closed.
        """
        recorded: dict[int, list[tuple[int, UUID]]] = {}
        for event in events:
            recorded.setdefault(shard_of_position(event[0]), []).append(event)
        found: dict[int, Tenure] = {}
        for one in self._ask_all(
            lambda shard: shard.store.event_source.find_tenures(recorded[shard.number]), 0.0, recorded.keys()
        ).values():
            if isinstance(one, OfferlogError):
                raise one
            found |= one
        return found

    def close(self) -> None:
        """End all further reads with `ClosedError`; the shards end those that are under way."""
        with self._lock:
            self._is_closed = True
            for thread in self._threads.values():
                thread.close()

    def _ask_all(
        self,
        ask: Callable[[Shard], T],
        settling_seconds: float,
        numbers: AbstractSet[int] | None = None,
    ) -> Mapping[int, T | OfferlogError]:
        """Ask all shards at once, or some; one that cannot answer has its error in place of an answer."""
        seconds = _PATIENCE_SECONDS + (_FIRST_HORIZON_SECONDS if settling_seconds else 0.0)
        asked_for = self._numbers() if numbers is None else numbers
        threads = {number: self._find_thread(number) for number in sorted(asked_for)}
        asked = {number: thread.submit(ask) for number, thread in threads.items()}
        answers: dict[int, T | OfferlogError] = {}
        for number, future in asked.items():
            found = threads[number].result(future, seconds)
            answers[number] = found
        return answers

    def _numbers(self) -> AbstractSet[int]:
        """Return the numbers of all shards, by the map as it was read last."""
        return {*self._router.map.numbers}

    def _find_thread(self, number: int) -> "_ShardThread":
        with self._lock:
            if self._is_closed:
                raise ClosedError
            if number not in self._threads:
                self._threads[number] = _ShardThread(self._router, number)
            return self._threads[number]


class _ShardPage(NamedTuple):
    """A page of the events that a shard has recorded.

    Attributes:
        rows: The events, by position.
        is_end: True if there was nothing more to read.
        has_moved: True if some events behind the position before the page lie on other shards by now.
        begin: The position before the page.
        until: Up to here no event of the shard can appear any more that is not among those of the page.
    """

    rows: Sequence[LogRow]
    is_end: bool
    has_moved: bool
    begin: int
    until: int


class _ShardThread:
    """A thread that reads the log of one shard, one page after the other."""

    def __init__(self, router: Router, number: int) -> None:
        self._router = router
        self._number = number
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._late: Future[Any] | None = None
        threading.Thread(target=self._run, name=f"offerlog-feed-{number}", daemon=True).start()

    def submit(self, ask: Callable[[Shard], T]) -> Future[T] | None:
        """Ask the shard; None while it has not answered an earlier question in time."""
        if self._late is not None and not self._late.done():
            return None
        future: Future[T] = Future()
        context = copy_context()  # with the time that the caller's read may take

        def answer() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(context.run(self._ask, ask))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)

        self._asked.put(answer)
        return future

    def _ask(self, ask: Callable[[Shard], T]) -> T:
        def read(shard: Shard) -> T:
            if shard.number == HOME:
                self._router.read_map()  # a shard may have been added
            return ask(shard)

        return self._router.ask(self._router.get(self._number), read)

    def result(self, future: Future[T] | None, seconds: float) -> T | OfferlogError:
        """Return the answer, or the error of a shard that has none for now."""
        try:
            if future is not None:
                return future.result(seconds)
        except FutureTimeoutError:
            if future is not None and not future.cancel():
                self._late = future
        except (StoreUnavailableError, UnreadableEventError) as error:
            return error
        return self._router.explain(self._number, StoreUnavailableError("it does not answer in time"))

    def _run(self) -> None:
        while (answer := self._asked.get()) is not None:
            answer()

    def close(self) -> None:
        """End the thread behind what was asked."""
        self._asked.put(None)


def _merge(
    rows: Mapping[int, Sequence[LogRow]], read_to: dict[int, int], limit: int
) -> tuple[Sequence[LogRow], Mapping[int, int]]:
    """Merge the events of shards by the time of their recording, each shard's in its own order.

    Args:
        rows: The events, by number of the shard.
        read_to: Gets the position up to which each shard was read.
        limit: The most events.

    Returns:
        The events with their vectors, and the number of those that were taken of each shard.
    """
    taken = dict.fromkeys(rows, 0)
    heads = {number: _moment(found[0]) for number, found in rows.items() if found}
    merged: list[LogRow] = []
    while heads and len(merged) < limit:
        number = min(heads, key=lambda one: (heads[one], taken[one], one))  # at the same time, in turns
        row = rows[number][taken[number]]
        taken[number] += 1
        read_to[number] = row.position
        merged.append(row._replace(vector=_join(read_to)))
        if taken[number] < len(rows[number]):
            heads[number] = _moment(rows[number][taken[number]])
        else:
            del heads[number]
    return merged, taken


def _split(after: LogPosition) -> dict[int, int]:
    """Return a position by shard.

    Raises:
        UnknownPositionError: It is that of one event of another shard than the home.
    """
    parts = dict(by_shard(after))
    if isinstance(after, int) and HOME not in parts:
        raise UnknownPositionError(
            f"after: {after} is the place of one event; over several servers, go on from the cursor that came"
            " with it"
        )
    return parts


def _moment(row: LogRow) -> datetime:
    return _FIRST if row.event is None else row.event.recorded_at


def _begin(number: int) -> int:
    """Return the position before the first one of a shard."""
    return number << SHARD_BITS


def _join(read_to: Mapping[int, int]) -> LogPosition:
    return latest_position(read_to.values()) or 0
