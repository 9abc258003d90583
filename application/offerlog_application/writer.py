"""Group commit: many callers, one writer, each caller its own true outcome after the commit.

Callers submit work and get a future. One thread takes what waits, loads every visitor-offer it needs
in one query, decides in order, appends all of it in one transaction, and only then answers. A caller
alone does not wait for company: whatever is there when the writer is free is the group.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from offerlog_application.ports import Closed, EventLog, OutcomeUnknown, StoreUnavailable, VersionConflict
from offerlog_application.traces import UNTRACED, Commit, Trace
from offerlog_domain.decision import Judgement
from offerlog_domain.events import Fact
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import VisitorOffer

_ATTEMPTS: Final = 8
"""How often a group is decided and appended again at once, because another writer got there first or
because the connection broke before the commit."""

_HOLD_SECONDS: Final = (0.05, 0.2, 0.5, 1.0, *[2.0] * 12)
"""How long a submission is set aside, time after time, while another writer stands in its way; a writer
that hangs is ended by the store well before the last of these."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818 - says what is the case
    """More is waiting than the writer takes on; nothing of this request was stored.

    Attributes:
        retry_after: Seconds to wait before trying again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"overloaded: try again in {retry_after:g} s")
        self.retry_after = retry_after


class Contended(Exception):  # noqa: N818 - says what is the case
    """Other writers kept getting to the same visitor-offer first; nothing of this request was stored."""


class Case(Protocol):
    """One decision to be made about one visitor-offer."""

    @property
    def stream(self) -> UUID:
        """Which visitor-offer."""

    def decide(self, offer: VisitorOffer) -> Judgement:
        """The decision: pure, and made again if another writer got there first."""

    def refusals(self, judgement: Judgement) -> Sequence[Refusal]:
        """What goes to the refusal log with that judgement."""


Answer = Callable[[Sequence[Judgement], int | None], T]
"""Makes a caller's result of its judgements, in order, and the position up to which a reader must be to
see them (None if nothing was appended)."""


@dataclass(slots=True, eq=False)
class _Submission:
    cases: Sequence[Case]
    refusals: Sequence[Refusal]
    answer: Answer[Any]
    future: Future[Any]
    origin: object
    number: int
    held: int = 0
    not_before: float = 0.0

    @property
    def weight(self) -> int:
        return len(self.cases) + len(self.refusals)

    @property
    def streams(self) -> set[UUID]:
        return {case.stream for case in self.cases}


class GroupCommitWriter:
    """The one writer of a log in this process; thread-safe.

    Args:
        log: Where it reads and appends.
        group_limit: How many cases a group may hold before the next one waits for the next commit.
        queue_limit: How many cases may wait; past that, `submit` raises `Overloaded`.
        trace: Is told of the commits, and whose submissions they hold.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        group_limit: int = 5_000,
        queue_limit: int = 100_000,
        trace: Trace = UNTRACED,
    ) -> None:
        self._log = log
        self._trace = trace
        self._group_limit = group_limit
        self._queue_limit = queue_limit
        self._waiting: deque[_Submission] = deque()
        self._held: list[_Submission] = []
        self._weight = 0
        self._numbers = count()
        self._closed = False
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="offerlog-writer", daemon=True)
        self._thread.start()

    def submit(self, cases: Sequence[Case], refusals: Sequence[Refusal], answer: Answer[T]) -> Future[T]:
        """Hand in work; the future gets its answer once all of it is durable.

        Raises:
            Overloaded: Too much is waiting; nothing was taken.
            Closed: The writer has been closed.
        """
        submission = _Submission(cases, refusals, answer, Future(), self._trace.origin(), next(self._numbers))
        with self._ready:
            if self._closed:
                raise Closed
            if self._weight and self._weight + submission.weight > self._queue_limit:
                raise Overloaded(retry_after=1.0)
            self._waiting.append(submission)
            self._weight += submission.weight
            self._ready.notify()
        return submission.future

    @property
    def depth(self) -> int:
        """How many cases wait to be written, those set aside too."""
        return self._weight

    def close(self) -> None:
        """Take no more, finish what waits, stop."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        group: list[_Submission] | None = []
        try:
            while (group := self._next_group()) is not None:
                if group:
                    self._write(group)
        finally:
            self._abandon(group or [])

    def _abandon(self, group: list[_Submission]) -> None:
        """Leave nobody waiting, whatever ended the thread."""
        with self._ready:
            self._closed = True
            left = [*group, *self._held, *self._waiting]
            self._held, self._weight = [], 0
            self._waiting.clear()
        _fail([submission for submission in left if not submission.future.done()], Closed())

    def _next_group(self) -> list[_Submission] | None:
        """What waits, up to the limit, once something does; None when closed and done."""
        with self._ready:
            # One look at the clock for both questions: what comes due in between would be waited for in vain.
            while not (group := self._due(now := time.monotonic())) and not self._waiting:
                if self._closed and not self._held:
                    return None
                self._ready.wait(self._until_due(now))
            self._held = [held for held in self._held if held not in group]
            behind = {stream for held in self._held for stream in held.streams}
            weight = sum(submission.weight for submission in group)
            while self._waiting and (not group or weight + self._waiting[0].weight <= self._group_limit):
                submission = self._waiting.popleft()
                if not submission.future.set_running_or_notify_cancel():
                    self._weight -= submission.weight
                elif behind and not behind.isdisjoint(submission.streams):
                    self._held.append(submission)  # nothing overtakes at the same visitor-offer
                    behind |= submission.streams
                else:
                    group.append(submission)
                    weight += submission.weight
            self._weight -= weight
            return group

    def _due(self, now: float) -> list[_Submission]:
        """Those set aside whose time has come, and that stand behind none whose has not."""
        due: list[_Submission] = []
        behind: set[UUID] = set()
        for held in self._held:
            if held.not_before <= now and behind.isdisjoint(held.streams):
                due.append(held)
            else:
                behind |= held.streams
        return due

    def _until_due(self, now: float) -> float | None:
        """Seconds until another one may be due, where none is; None where nothing is set aside."""
        return min((held.not_before - now for held in self._held if held.not_before > now), default=None)

    def _write(self, group: list[_Submission]) -> None:
        """Write a group; what fails for a reason of its own fails alone."""
        try:
            self._commit(group)
        except VersionConflict as conflict:
            apart, rest = _apart(group, conflict.stream)
            self._hold(apart, conflict)
            if rest:
                self._write(rest)
        except (StoreUnavailable, OutcomeUnknown) as error:
            _fail(group, error)  # all of it, undecided: deciding again would call its own work a repeat
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to a caller
            if len(group) == 1:
                _fail(group, error)
                return
            _log.warning("a group of %d submissions failed (%s): writing its halves apart", len(group), error)
            half = len(group) // 2
            self._write(group[:half])
            if rest := self._not_overtaking(group[half:]):
                self._write(rest)

    def _hold(self, submissions: list[_Submission], conflict: VersionConflict) -> None:
        """Set aside what another writer stands in the way of, and what may not overtake it."""
        held: list[_Submission] = []
        for submission in submissions:
            if conflict.stream not in submission.streams:
                held.append(submission)
            elif submission.held >= len(_HOLD_SECONDS):
                submission.future.set_exception(Contended(str(conflict)))
            else:
                submission.not_before = time.monotonic() + _HOLD_SECONDS[submission.held]
                submission.held += 1
                held.append(submission)
        self._set_aside(held)

    def _set_aside(self, submissions: list[_Submission]) -> None:
        with self._ready:
            self._weight += sum(submission.weight for submission in submissions)  # it waits again
        self._held = sorted([*self._held, *submissions], key=_came)

    def _not_overtaking(self, group: list[_Submission]) -> list[_Submission]:
        """Those of a group that nothing set aside stands before; the others are set aside too."""
        held, behind = set(self._held), set[UUID]()
        apart: list[_Submission] = []
        rest: list[_Submission] = []
        for submission in sorted([*held, *group], key=_came):
            if submission not in held and behind.isdisjoint(submission.streams):
                rest.append(submission)
            else:
                behind |= submission.streams
                if submission not in held:
                    apart.append(submission)
        self._set_aside(apart)
        return rest

    def _commit(self, group: list[_Submission]) -> None:
        """Decide and append a group as one.

        Raises:
            VersionConflict: Another writer sits on a version that the group wants and does not decide, or
                has got there first time and again.
            StoreUnavailable: The store stays away.
        """
        cases = [case for submission in group for case in submission.cases]
        decided = _Decided(cases)
        with self._trace.commit([submission.origin for submission in group], len(cases)) as commit:
            offers = dict(self._load({case.stream for case in cases})) if cases else {}
            decided.decide(range(len(cases)), offers)
            given = [refusal for submission in group for refusal in submission.refusals]
            self._append(decided, offers, given, commit)
        self._answer(group, decided.judgements, commit.position)

    def _append(
        self, decided: "_Decided", offers: dict[UUID, VisitorOffer], given: list[Refusal], commit: Commit
    ) -> None:
        """Append what was decided, deciding again where another writer got there first."""
        for attempt in range(1, _ATTEMPTS + 1):
            facts, refusals = decided.outcome()
            if not facts and not refusals and not given:
                return
            try:
                commit.position = self._log.append(facts, [*given, *refusals], decided.offers.values())
            except VersionConflict as conflict:
                if conflict.waiting or attempt == _ATTEMPTS:
                    raise
            except StoreUnavailable:
                if attempt == _ATTEMPTS:
                    raise
            else:
                commit.events = len(facts)
                return
            commit.retries = attempt
            _pause(attempt)
            self._decide_again(decided, offers)

    def _load(self, streams: Collection[UUID]) -> Mapping[UUID, VisitorOffer]:
        """Ask for visitor-offers, again if the connection turns out to be gone."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return self._log.load(streams)
            except StoreUnavailable:
                _pause(attempt)
        return self._log.load(streams)

    def _decide_again(self, decided: "_Decided", offers: dict[UUID, VisitorOffer]) -> None:
        """Load what the group touches again and decide anew where it has moved; the rest stands."""
        fresh = self._load(offers)
        moved = {stream for stream, offer in fresh.items() if offer.version != offers[stream].version}
        for stream in moved:
            offers[stream] = fresh[stream]
        decided.decide([n for n, case in enumerate(decided.cases) if case.stream in moved], offers)

    def _answer(self, group: list[_Submission], judgements: list[Judgement], position: int | None) -> None:
        start = 0
        for submission in group:
            end = start + len(submission.cases)
            try:
                submission.future.set_result(submission.answer(judgements[start:end], position))
            except Exception as error:  # noqa: BLE001 - belongs to this caller; the others get theirs
                submission.future.set_exception(error)
            start = end


class _Decided:
    """The judgements of a group, and what must be stored for them."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.judgements: list[Any] = [None] * len(cases)
        self.offers: dict[UUID, VisitorOffer] = {}

    def decide(self, numbers: Sequence[int], offers: dict[UUID, VisitorOffer]) -> None:
        """Judge these cases, in order, each on what the one before it left."""
        for n in numbers:
            self.offers[self.cases[n].stream] = offers[self.cases[n].stream]
        for n in numbers:
            case = self.cases[n]
            judgement = case.decide(self.offers[case.stream])
            self.offers[case.stream] = judgement.offer
            self.judgements[n] = judgement

    def outcome(self) -> tuple[list[Fact], list[Refusal]]:
        facts: list[Fact] = []
        refusals: list[Refusal] = []
        for case, judgement in zip(self.cases, self.judgements, strict=True):
            facts.extend(judgement.facts)
            refusals.extend(case.refusals(judgement))
        return facts, refusals


def _came(submission: _Submission) -> int:
    """Its place in the order of arrival."""
    return submission.number


def _apart(group: list[_Submission], stream: UUID) -> tuple[list[_Submission], list[_Submission]]:
    """Who touches this visitor-offer, with all that would overtake them; and the rest."""
    apart: list[_Submission] = []
    rest: list[_Submission] = []
    behind = {stream}
    for submission in group:
        if behind.isdisjoint(submission.streams):
            rest.append(submission)
        else:
            apart.append(submission)
            behind |= submission.streams
    return apart, rest


def _pause(attempt: int) -> None:
    time.sleep(min(0.001 * 2**attempt, 0.2) if attempt > 1 else 0)


def _fail(group: list[_Submission], error: Exception) -> None:
    for submission in group:
        submission.future.set_exception(error)
