"""Live reports: one poller for the service, one report for each organization, shared by all its streams.

The poller looks how far the counts are. When they have moved, it reads which organizations and maps the new
events are about; only for those, and only where somebody listens, the report is read again. A stream keeps
nothing but the number of the last change it has sent, so a slow reader skips what is outdated by the time
it reads on.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.keys import Key
from offerlog_application.reading.performance_report import ReportQuery, ReportTooLargeError
from offerlog_application.reading.read_budget import ReadTimeoutError
from offerlog_application.reading.read_models import Proof
from offerlog_domain.metrics import MetricSet
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.threads.fair_threads import FairThreads
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.presentation.documents import describe_report

STREAMS_OF_A_KEY: Final = 20
STREAMS_OF_AN_ORGANIZATION: Final = 100
STREAMS_IN_ALL: Final = 500

_LOOK_SECONDS: Final = 0.5
_REST: Final = 4
"""How many times as long as a report took its organization rests before the next one."""

_MOST_MAPS: Final = 200
"""Beyond so many changed maps the whole report is read."""

_CHANGES_KEPT: Final = 200
"""Changes that are kept for streams that have not sent them yet; one further behind sends all rows."""

_HINDRANCES: Final = (StoreUnavailableError, ClosedError, ReadTimeoutError, ReportTooLargeError, ProblemError)

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class LiveReport:
    """The report of one organization, as of its last change.

    Attributes:
        mark: What a stream that is up to date gives as `Last-Event-ID`.
        position: The position of the log that the rows show.
        number: How many changes there have been; None until the report has been read.
        hindrance: Why the last look at the store has failed; empty where it has not.
        is_over: Whether nothing will follow: an error of the service itself.
    """

    def __init__(self, organization: str) -> None:
        self.organization = organization
        self.mark = ""
        self.position = 0
        self.number: int | None = None
        self.hindrance = ""
        self.is_over = False
        self.streams = 0
        self._rows: dict[str, bytes] = {}
        self._changes: deque[tuple[int, Sequence[str]]] = deque(maxlen=_CHANGES_KEPT)
        self._news = asyncio.Event()
        self._outdated: set[str] | None = None
        self._is_outdated = True
        self._not_before = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._trouble = RepeatedTrouble(_log, "a live report cannot be read and will be tried again")

    async def wait(self, seconds: float) -> None:
        """Wait for news, at most so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    def rows_since(self, number: int | None) -> list[bytes]:
        """Return the rows that have changed since this change, as JSON; all of them for None."""
        if number is None or not self._changes or self._changes[0][0] > number + 1:
            return list(self._rows.values())
        changed = {one for at, maps in self._changes if at > number for one in maps}
        return [self._rows[one] for one in changed]

    def note(self, changed: set[str] | None) -> None:
        """Note that the counts of these maps have moved, or None for any."""
        if changed is None or (self._is_outdated and self._outdated is None):
            self._outdated = None
        else:
            self._outdated = (self._outdated or set()) | changed
        self._is_outdated = True

    def tell(self) -> None:
        """Wake all streams."""
        self._news.set()
        self._news = asyncio.Event()

    def hinder(self, error: Exception) -> None:
        """Note that the report cannot be read, and why."""
        why = error.summary if isinstance(error, StoreUnavailableError) else "the report cannot be read now"
        if why != self.hindrance:
            self.hindrance = why
            self.tell()

    def recover(self) -> None:
        """Note that the store can be asked again; where something is outdated, its next report shows it."""
        if not self._is_outdated:
            self.hindrance = ""

    def refresh(self, service: Offerlog, threads: FairThreads, proof: Proof) -> None:
        """Read the report again if it is outdated, has rested long enough, and is not being read."""
        is_reading = self._reading is not None and not self._reading.done()
        if self._is_outdated and not is_reading and time.monotonic() >= self._not_before:
            self._reading = asyncio.create_task(self._refresh(service, threads, proof))

    async def _refresh(self, service: Offerlog, threads: FairThreads, proof: Proof) -> None:
        wanted, self._outdated, self._is_outdated = self._outdated, set(), False
        began = time.monotonic()
        try:
            fresh = await threads.run(self.organization, lambda: self._read(service, wanted))
        except _HINDRANCES as error:
            self.note(wanted)
            self.hinder(error)
            self._trouble.note(error)
            return
        except Exception:  # noqa: BLE001 - logged; its streams end, and begin anew
            _log.exception("the live report of an organization ends")
            self.is_over = True
            self.tell()
            return
        finally:
            self._not_before = time.monotonic() + _REST * (time.monotonic() - began)
        self._trouble.over()
        was_hindered, self.hindrance = bool(self.hindrance), ""
        changed = [one for one, row in fresh.items() if self._rows.get(one) != row]
        if changed or self.number is None:
            self._rows |= fresh
            self.number = 0 if self.number is None else self.number + 1
            self._changes.append((self.number, changed))
            self.mark, self.position = proof.mark, proof.position
        if changed or self.number == 0 or was_hindered:
            self.tell()

    def _read(self, service: Offerlog, wanted: set[str] | None) -> Mapping[str, bytes]:
        is_whole = wanted is None or len(wanted) > _MOST_MAPS
        maps = () if is_whole or wanted is None else tuple(sorted(wanted))
        made = service.report(ReportQuery(self.organization, view=MetricSet.FULL, action_maps=maps))
        return {row["action_map_id"]: encode_escaped(row) for row in describe_report(made)["rows"]}


class LiveReports:
    """The live reports of all organizations that somebody listens to.

    Args:
        service: Where reports are read.
        threads: The threads of reports: an organization's live report is one of its own.

    Attributes:
        most: Most streams at once; less than `STREAMS_IN_ALL` where the server takes few connections.
    """

    def __init__(self, service: Offerlog, threads: FairThreads) -> None:
        self._service = service
        self._threads = threads
        self.most = STREAMS_IN_ALL
        self._limiter = CapacityLimiter(1)
        self._live: dict[str, LiveReport] = {}
        self._of_key: Counter[str] = Counter()
        self._proof: Proof | None = None
        self._following: asyncio.Task[None] | None = None
        self._trouble = RepeatedTrouble(_log, "changes cannot be looked for and will be again")

    def listen(self, key: Key) -> LiveReport:
        """Begin a stream; `leave` must follow.

        Raises:
            Problem: 429 where too many are open.
        """
        live = self._live.get(key.organization)
        for open_now, most, whose in (
            (self._of_key[key.id], STREAMS_OF_A_KEY, "with this key"),
            (live.streams if live else 0, STREAMS_OF_AN_ORGANIZATION, "for this organization"),
            (sum(self._of_key.values()), min(self.most, STREAMS_IN_ALL), "here"),
        ):
            if open_now >= most:
                detail = f"{most} streams are open {whose}, and no more can be: close one"
                raise ProblemError(429, "rate-limited", detail, headers={"Retry-After": "10"})
        if live is None or live.is_over:
            live = self._live[key.organization] = LiveReport(key.organization)
        live.streams += 1
        self._of_key[key.id] += 1
        if self._following is None or self._following.done():
            self._proof = None
            self._following = asyncio.create_task(self._follow(), context=Context())
        elif self._proof is not None:
            live.refresh(self._service, self._threads, self._proof)
        return live

    def leave(self, key: Key, live: LiveReport) -> None:
        """End a stream."""
        live.streams -= 1
        if not live.streams and self._live.get(key.organization) is live:
            del self._live[key.organization]
        self._of_key[key.id] -= 1
        if not self._of_key[key.id]:
            del self._of_key[key.id]

    async def _follow(self) -> None:
        """Look for changes as long as somebody listens."""
        try:
            while self._live:
                try:
                    await self._look()
                except _HINDRANCES as error:
                    self._trouble.note(error)
                    for live in self._live.values():
                        live.hinder(error)
                else:
                    self._trouble.over()
                await asyncio.sleep(_LOOK_SECONDS)
        except Exception:  # noqa: BLE001 - logged; the streams end, and begin anew
            _log.exception("live reports end; the next stream begins them anew")
        finally:
            for live in self._live.values():
                live.is_over = True
                live.tell()

    async def _look(self) -> None:
        before, proof = self._proof, await self._in_thread(self._service.proof)
        changed: Mapping[str, set[str]] | None
        if before is None or (before.edition, before.short_by) != (proof.edition, proof.short_by):
            changed = None
        elif before.position == proof.position:
            changed = {}
        else:
            changed = await self._in_thread(
                self._service.changes.changed_maps, before.position, proof.position
            )
        self._proof = proof
        for live in self._live.values():
            maps = None if changed is None else changed.get(live.organization)
            if changed is None or maps:
                live.note(maps)
            live.refresh(self._service, self._threads, proof)
            live.recover()

    async def _in_thread(self, read: Callable[P, T], *asked: P.args, **named: P.kwargs) -> T:
        return await to_thread.run_sync(lambda: read(*asked, **named), limiter=self._limiter)
