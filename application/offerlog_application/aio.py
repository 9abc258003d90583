"""The service for asyncio: the methods of `Offerlog` that may wait, as coroutines.

Writes hold no thread: the writer thread of the service answers them, and wakes a loop once for a whole group.
Reads run in small pools of threads that the service owns: one for the look-ups of a page view, one for
reports, lists and histories. So no look-up waits behind a report. A third pool reads large
batches, and one thread serves all waits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from offerlog_application.aio_policies import AsyncPolicies
from offerlog_application.aio_rights import AsyncRights
from offerlog_application.feed.feed_event import FeedEvent
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.read_models import (
    Freshness,
    KeptSignal,
    Order,
    RefusalCounts,
    Suppression,
)
from offerlog_application.projections.awaiting import Waits
from offerlog_application.reading.audit import History
from offerlog_application.reading.call_threads import CallThreads, Kind
from offerlog_application.reading.performance_report import DEFAULT_LIMITS, PerformanceReport, ReportLimits
from offerlog_application.reading.read_budget import current_budget
from offerlog_application.reading.timeline import TimelineEntry, TimelinePlace
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.completions import Completions
from offerlog_application.recording.offers import Eligibility
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.signal_text import SignalInput
from offerlog_domain.identity import VisitorKey
from offerlog_domain.lifecycle import WEBCHAT
from offerlog_domain.outcomes import Blocker, OfferOutcome, Reason

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

T = TypeVar("T")

_SMALL: Final = 20
"""Signals that are read on the event loop; more of them are read in a thread."""

_ROWS: Final = 250
"""Rows of a streamed list that one turn in a thread fetches."""


class AsyncOfferlog(AsyncRights):
    """The awaitable view of a service; `Offerlog.aio`. It may be used from any number of event loops.

    Every method has the arguments, the answer and the errors of the method of `Offerlog` with the same name.

    Cancelling a write takes it back only as long as nobody has begun to write it. After that it is recorded;
    the same signals sent again are recognised. Cancelling a read stops its statement in the store.

    Attributes:
        policies: The policies of action maps.
    """

    _service: "Offerlog"

    def __init__(self, service: "Offerlog", waits: Waits, last: Callable[[], LogPosition]) -> None:
        """Build the view of a service; `Offerlog` does.

        Args:
            service: The service.
            waits: Its waits for positions.
            last: Returns the last position in its log.
        """
        self._service = service
        self._waits = waits
        self._last = last
        self._prepared: set[str] = set()
        self._threads = CallThreads()
        self._completions = Completions()
        self.policies = AsyncPolicies(service.policies, self._threads)

    async def record(
        self,
        signals: Iterable[SignalInput],
        *,
        organization: str | None = None,
        from_widget: bool = False,
    ) -> Receipt:
        """Record signals as one batch, and wait until all of it is durable."""
        await self._prepare(organization)
        hand_in = partial(self._service.hand_in, signals, organization=organization, from_widget=from_widget)
        is_small = isinstance(signals, Sequence) and len(signals) <= _SMALL
        pending = hand_in() if is_small else await self._threads.run(Kind.WRITE, partial(_hand_in, hand_in))
        return await self._answer_of(pending)

    async def offer(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        session_id: str,
        customer_id_type: str = "cookie",
        action_id: str | None = None,
        action_map_version: int | None = None,
        timeout_seconds: int | None = None,
        media_type: str = WEBCHAT.media_type,
        organization: str | None = None,
    ) -> OfferOutcome:
        """Ask whether a map may offer to a visitor, and record the offer if so, in one step."""
        await self._prepare(organization)
        pending = self._service.hand_in_offer(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
            session_id=session_id,
            action_id=action_id,
            action_map_version=action_map_version,
            timeout_seconds=timeout_seconds,
            media_type=media_type,
            organization=organization,
        )
        return await self._answer_of(pending)

    async def eligibility(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> Blocker | None:
        """Return what blocks an offer to this visitor now; None where it may be made."""
        checked = await self.check_eligibility(
            customer_id=customer_id,
            action_map_id=action_map_id,
            customer_id_type=customer_id_type,
            organization=organization,
        )
        return checked.blocker

    async def check_eligibility(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> Eligibility:
        """As `eligibility`, and say whether the visitor and map are known."""
        check = partial(
            self._service.check_eligibility,
            customer_id=customer_id,
            action_map_id=action_map_id,
            customer_id_type=customer_id_type,
            organization=organization,
        )
        return await self._threads.run(Kind.LOOK_UP, check)

    async def suppressions(
        self, customer_id: str, customer_id_type: str = "cookie", *, organization: str | None = None
    ) -> Sequence[Suppression]:
        """Return the suppressions of a visitor, from the projection; sorted by map."""
        look_up = partial(
            self._service.suppressions, customer_id, customer_id_type, organization=organization
        )
        return await self._threads.run(Kind.LOOK_UP, look_up)

    async def suppressions_of(
        self, visitors: Sequence[VisitorKey], *, organization: str | None = None
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """Return the suppressions of many visitors. Each visitor has an entry."""
        look_up = partial(self._service.suppressions_of, visitors, organization=organization)
        return await self._threads.run(Kind.LOOK_UP, look_up)

    async def freshness(self) -> Freshness:
        """Return the position and age of the suppression list."""
        return await self._threads.run(Kind.LOOK_UP, self._service.freshness)

    async def history(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        version: int | None = None,
        as_of: datetime | None = None,
        organization: str | None = None,
    ) -> History:
        """Return one visitor-offer rebuilt from the log: as it is, at a version, or as it was at a time."""
        ask = partial(
            self._service.history,
            customer_id=customer_id,
            action_map_id=action_map_id,
            customer_id_type=customer_id_type,
            version=version,
            as_of=as_of,
            organization=organization,
        )
        return await self._threads.run(Kind.READ, ask)

    async def report(
        self, query: ReportQuery, limits: ReportLimits = DEFAULT_LIMITS, *, partial: bool = False
    ) -> PerformanceReport:
        """Return the Action Map Performance report, from the projection; see `StoredReads.report`."""

        def read() -> PerformanceReport:
            return self._service.report(query, limits, partial=partial)

        return await self._threads.run_within(limits.seconds, Kind.READ, read)

    async def refusal_counts(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        organization: str | None = None,
    ) -> RefusalCounts:
        """Return the number of refusals by reason, in the whole quarter-hours that [since, until) touches."""
        count = partial(self._service.refusal_counts, since=since, until=until, organization=organization)
        return await self._threads.run(Kind.READ, count)

    def suppressed_visitors(
        self, action_map_id: str, *, organization: str | None = None, behind: VisitorKey | None = None
    ) -> AsyncIterator[Suppression]:
        """Stream the suppressions of an action map, after the visitor `behind` if given."""
        rows = self._service.suppressed_visitors(action_map_id, organization=organization, behind=behind)
        return self._stream(rows)

    def refusals(
        self,
        *,
        reason: Reason | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = Order.OLDEST,
        organization: str | None = None,
        behind: tuple[datetime, int] | None = None,
        customer_id: str | None = None,
        customer_id_type: str = "cookie",
        action_map_id: str | None = None,
    ) -> AsyncIterator[KeptSignal]:
        """Stream the refusals of [since, until), after the line of that time and number if given."""
        rows = self._service.refusals(
            reason=reason,
            since=since,
            until=until,
            order=order,
            organization=organization,
            behind=behind,
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
        )
        return self._stream(rows)

    def timeline(
        self,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        action_map_id: str | None = None,
        as_of: datetime | None = None,
        organization: str | None = None,
        behind: TimelinePlace | None = None,
    ) -> AsyncIterator[TimelineEntry]:
        """Stream every event and every refusal of one visitor, in the order in which they were recorded."""
        rows = self._service.timeline(
            customer_id=customer_id,
            customer_id_type=customer_id_type,
            action_map_id=action_map_id,
            as_of=as_of,
            organization=organization,
            behind=behind,
        )
        return self._stream(rows)

    def events(
        self,
        after: LogPosition = 0,
        *,
        types: Collection[str] = (),
        action_maps: Collection[str] = (),
        media_type: str | None = None,
        organization: str | None = None,
        identified: bool = False,
    ) -> AsyncIterator[FeedEvent]:
        """Stream the events after a position; see `FeedAccess.events`."""
        rows = self._service.events(
            after,
            types=types,
            action_maps=action_maps,
            media_type=media_type,
            organization=organization,
            identified=identified,
        )
        return self._stream(rows)

    def parked(self, *, organization: str | None = None) -> AsyncIterator[KeptSignal]:
        """Stream the signals that wait for their action, from the projection."""
        return self._stream(self._service.parked(organization=organization))

    def action_maps(
        self, *, organization: str | None = None, behind: str | None = None
    ) -> AsyncIterator[tuple[str, str | None]]:
        """Stream the counted action maps with their newest known names, after `behind` if given."""
        return self._stream(self._service.action_maps(organization=organization, behind=behind))

    async def wait(self, position: LogPosition | None, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - as `Offerlog.wait`
        """Wait until every projection shows a position of the log (read your own writes)."""
        if position is not None:
            await asyncio.wrap_future(self._waits.submit(position, timeout))

    async def catch_up(self, *, partial: bool = False) -> None:
        """Wait until every projection shows all that is in the log now; see `Offerlog.catch_up`."""
        if partial:
            await self._threads.run(Kind.READ, lambda: self._service.catch_up(partial=True))
            return
        await self.wait(await self._threads.run(Kind.LOOK_UP, self._last))

    def _close(self) -> None:
        """End the calls in hand and the threads; `Offerlog.close` calls it."""
        self._threads.close()

    async def _prepare(self, organization: str | None) -> None:
        """Read once what submissions need of an organization: later ones do not block the event loop."""
        name = self._service.organization if organization is None else organization
        if name not in self._prepared:
            await self._threads.run(Kind.LOOK_UP, partial(self._service.prepare, name))
            self._prepared.add(name)

    async def _answer_of(self, pending: PendingAnswer[T]) -> T:
        try:
            return await self._completions.wait_for(pending)
        except asyncio.CancelledError:
            pending.cancel()
            raise

    async def _stream(self, rows: Generator[T]) -> AsyncIterator[T]:
        while page := await self._threads.run(Kind.READ, lambda: list(islice(rows, _ROWS))):
            for row in page:
                yield row


def _hand_in(hand_in: Callable[[], PendingAnswer[T]]) -> PendingAnswer[T]:
    """Hand in, in a thread; if the caller has gone meanwhile, take it back at once."""
    pending, budget = hand_in(), current_budget()
    if budget is not None and budget.is_cancelled:
        pending.cancel()
    return pending
