"""The live report of one organization."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_application.projections.counted import Counted
from offerlog_application.reading.performance_report import ReportTooLargeError
from offerlog_application.reading.read_budget import ReadTimeoutError
from offerlog_domain.identity import ActionMapId
from offerlog_domain.metrics import MetricSet
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.http.threads.fair_threads import FairThreads
from offerlog_infrastructure.observability.repeated_trouble import RepeatedTrouble
from offerlog_infrastructure.presentation.documents import describe_row

PASSING_ERRORS: Final = (
    StoreUnavailableError,
    ClosedError,
    ReadTimeoutError,
    ReportTooLargeError,
    ProblemError,
)
"""Errors after which the read is tried again."""

_PAUSE_FACTOR: Final = 4
"""Pause between two reads of a report, as a multiple of the time that the first one took."""

_MAX_MAPS: Final = 200
"""Most changed maps that are read one by one; with more of them the whole report is read."""

_CHANGES_KEPT: Final = 200
"""Changes that are kept for slow streams; a stream further behind sends all rows."""

_log = logging.getLogger(__name__)


class LiveReport:
    """The report of one organization, as of its last change.

    Attributes:
        mark: The `Last-Event-ID` of a stream that is up to date.
        position: Log position that the rows show, of each server.
        number: Number of changes so far; None until the report has been read.
        trouble: Why the last read failed, for people; empty where it succeeded.
        is_over: The report has ended with an error of the service itself.
        streams: Number of open streams.
    """

    def __init__(self, organization: str) -> None:
        self.organization = organization
        self.mark = ""
        self.position: LogPosition = 0
        self.number: int | None = None
        self.trouble = ""
        self.is_over = False
        self.streams = 0
        self._rows: dict[str, bytes] = {}
        self._changes: deque[tuple[int, Sequence[str]]] = deque(maxlen=_CHANGES_KEPT)
        self._changed = asyncio.Event()
        self._outdated: set[ActionMapId] | None = None
        self._is_outdated = True
        self._not_before = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._logged_trouble = RepeatedTrouble(_log, "a live report cannot be read and will be tried again")

    async def wait(self, seconds: float) -> None:
        """Wait for the next change or trouble, at most so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def rows_since(self, number: int | None) -> list[bytes]:
        """Return the rows that changed after the change of this number, as JSON; all rows for None."""
        if number is None or not self._changes or self._changes[0][0] > number + 1:
            return list(self._rows.values())
        changed = {one for at, maps in self._changes if at > number for one in maps}
        return [self._rows[one] for one in changed]

    def mark_outdated(self, changed: set[ActionMapId] | None) -> None:
        """Note that the counts of these maps have changed; None for any map."""
        if changed is None or (self._is_outdated and self._outdated is None):
            self._outdated = None
        else:
            self._outdated = (self._outdated or set()) | changed
        self._is_outdated = True

    def wake(self) -> None:
        """Wake all streams."""
        self._changed.set()
        self._changed = asyncio.Event()

    def note_trouble(self, error: Exception) -> None:
        """Note why the report cannot be read now."""
        reason = (
            error.summary if isinstance(error, StoreUnavailableError) else "the report cannot be read now"
        )
        if reason != self.trouble:
            self.trouble = reason
            self.wake()

    def recover(self) -> None:
        """Note that the store answers again; an outdated report keeps its trouble until it has been read."""
        if not self._is_outdated:
            self.trouble = ""

    def refresh(self, service: Offerlog, threads: FairThreads, counted: Counted) -> None:
        """Begin to read the report again if it is outdated, its pause is over, and no read is under way."""
        is_reading = self._reading is not None and not self._reading.done()
        if self._is_outdated and not is_reading and time.monotonic() >= self._not_before:
            self._reading = asyncio.create_task(self._refresh(service, threads, counted))

    async def _refresh(self, service: Offerlog, threads: FairThreads, counted: Counted) -> None:
        outdated, self._outdated, self._is_outdated = self._outdated, set(), False
        began = time.monotonic()
        try:
            fresh = await threads.run(self.organization, lambda: self._read(service, outdated))
        except PASSING_ERRORS as error:
            self.mark_outdated(outdated)
            self.note_trouble(error)
            self._logged_trouble.note(error)
            return
        except Exception:  # noqa: BLE001 - logged; its streams end, and clients reconnect
            _log.exception("the live report of an organization ends")
            self.is_over = True
            self.wake()
            return
        finally:
            self._not_before = time.monotonic() + _PAUSE_FACTOR * (time.monotonic() - began)
        self._logged_trouble.over()
        had_trouble, self.trouble = bool(self.trouble), ""
        changed = [one for one, row in fresh.items() if self._rows.get(one) != row]
        if changed or self.number is None:
            self._rows |= fresh
            self.number = 0 if self.number is None else self.number + 1
            self._changes.append((self.number, changed))
            self.mark, self.position = counted.mark, counted.position
        if changed or self.number == 0 or had_trouble:
            self.wake()

    def _read(self, service: Offerlog, outdated: set[ActionMapId] | None) -> Mapping[str, bytes]:
        is_whole = outdated is None or len(outdated) > _MAX_MAPS
        maps = () if is_whole or outdated is None else tuple(sorted(outdated))
        report = service.report(ReportQuery(self.organization, view=MetricSet.FULL, action_maps=maps))
        return {row.action_map_id: encode_escaped(describe_row(row)) for row in report.rows}
