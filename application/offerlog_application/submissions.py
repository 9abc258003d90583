"""What callers have handed in and the writer has not decided: bounded, in order at each visitor-offer."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from offerlog_application.ports import Closed
from offerlog_domain.decision import Judgement
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import VisitorOffer

_HOLD_SECONDS: Final = (0.05, 0.2, 0.5, 1.0, *[2.0] * 12)
"""How long a submission is set aside, time after time, while another writer stands in its way; a writer
that hangs is ended by the store well before the last of these."""

T = TypeVar("T")


class Overloaded(Exception):  # noqa: N818 - says what is the case
    """More is waiting than the writer takes on; nothing of this request was stored.

    Attributes:
        retry_after: Seconds to wait before trying again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"overloaded: try again in {retry_after:g} s")
        self.retry_after = retry_after


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
class Submission:
    """What one caller has handed in, to be written as a whole.

    Attributes:
        cases: The decisions asked for, in order.
        refusals: What goes to the refusal log in any case.
        answer: Makes the caller's result.
        origin: What the trace knows it by.
        number: Its place in the order of arrival.
        future: Gets the caller's result.
    """

    cases: Sequence[Case]
    refusals: Sequence[Refusal]
    answer: Answer[Any]
    origin: object
    number: int
    future: Future[Any] = field(default_factory=Future)
    _held: int = 0
    _not_before: float = 0.0

    @property
    def weight(self) -> int:
        """How much it counts towards the limits."""
        return len(self.cases) + len(self.refusals)

    @property
    def streams(self) -> set[UUID]:
        """The visitor-offers that it touches."""
        return {case.stream for case in self.cases}

    def hold(self) -> bool:
        """Put it off once more; False where it has been put off long enough."""
        if self._held == len(_HOLD_SECONDS):
            return False
        self._not_before = time.monotonic() + _HOLD_SECONDS[self._held]
        self._held += 1
        return True

    def wait(self, now: float) -> float:
        """Seconds for which it is still put off; 0 or less where it is not."""
        return self._not_before - now


class Submissions:
    """What waits for the writer: taken group by group, nothing overtaking at the same visitor-offer.

    Callers `put`, on any thread; everything else but `close` is for the one writer.

    Args:
        group_limit: How many cases a group may hold before the next one waits.
        queue_limit: How many cases may wait; past that, `put` raises `Overloaded`.
    """

    def __init__(self, group_limit: int, queue_limit: int) -> None:
        self._group_limit = group_limit
        self._queue_limit = queue_limit
        self._waiting: deque[Submission] = deque()
        self._aside: list[Submission] = []
        self._weight = 0
        self._numbers = count()
        self._closed = False
        self._ready = threading.Condition()

    @property
    def depth(self) -> int:
        """How many cases wait, those set aside too."""
        return self._weight

    @property
    def aside(self) -> Sequence[Submission]:
        """What is set aside, in order of arrival."""
        return self._aside

    def put(
        self, cases: Sequence[Case], refusals: Sequence[Refusal], answer: Answer[T], origin: object
    ) -> Future[T]:
        """Hand in work; the future gets its answer once all of it is durable.

        Raises:
            Overloaded: Too much is waiting; nothing was taken.
            Closed: No more is taken.
        """
        submission = Submission(cases, refusals, answer, origin, next(self._numbers))
        weight = submission.weight
        with self._ready:
            if self._closed:
                raise Closed
            if self._weight and self._weight + weight > self._queue_limit:
                raise Overloaded(retry_after=1.0)
            self._waiting.append(submission)
            self._weight += weight
            self._ready.notify()
        return submission.future

    def close(self) -> None:
        """Take no more; what waits can still be taken out."""
        with self._ready:
            self._closed = True
            self._ready.notify()

    def clear(self) -> Sequence[Submission]:
        """Close, and take out all that waits."""
        with self._ready:
            self._closed = True
            left = [*self._aside, *self._waiting]
            self._aside, self._weight = [], 0
            self._waiting.clear()
            return left

    def take(self) -> list[Submission] | None:
        """What waits, up to the limit, once something does; None when closed and done."""
        with self._ready:
            # One look at the clock for both questions: what comes due in between would be waited for in vain.
            while not (group := self._due(now := time.monotonic())) and not self._waiting:
                if self._closed and not self._aside:
                    return None
                self._ready.wait(self._until_due(now))
            self._aside = [one for one in self._aside if one not in group]
            behind = {stream for one in self._aside for stream in one.streams}
            weight = sum(submission.weight for submission in group)
            while self._waiting and (not group or weight + self._waiting[0].weight <= self._group_limit):
                submission = self._waiting.popleft()
                if not submission.future.set_running_or_notify_cancel():
                    self._weight -= submission.weight
                elif behind and not behind.isdisjoint(submission.streams):
                    self._aside.append(submission)  # nothing overtakes at the same visitor-offer
                    behind |= submission.streams
                else:
                    group.append(submission)
                    weight += submission.weight
            self._weight -= weight
            return group

    def set_aside(self, submissions: Sequence[Submission]) -> None:
        """Let what was taken wait again: until its time has come, and behind whatever stands before it."""
        with self._ready:
            self._weight += sum(submission.weight for submission in submissions)
        self._aside = sorted([*self._aside, *submissions], key=_came)

    def not_overtaking(self, group: Sequence[Submission]) -> list[Submission]:
        """Those of a group that nothing set aside stands before; the others are set aside too."""
        aside, behind = set(self._aside), set[UUID]()
        late: list[Submission] = []
        rest: list[Submission] = []
        for submission in sorted([*aside, *group], key=_came):
            if submission not in aside and behind.isdisjoint(submission.streams):
                rest.append(submission)
            else:
                behind |= submission.streams
                if submission not in aside:
                    late.append(submission)
        self.set_aside(late)
        return rest

    def _due(self, now: float) -> list[Submission]:
        """Those set aside whose time has come, and that stand behind none whose has not."""
        due: list[Submission] = []
        behind: set[UUID] = set()
        for submission in self._aside:
            if submission.wait(now) <= 0 and behind.isdisjoint(submission.streams):
                due.append(submission)
            else:
                behind |= submission.streams
        return due

    def _until_due(self, now: float) -> float | None:
        """Seconds until another one may be due, where none is; None where nothing is set aside."""
        return min((wait for one in self._aside if (wait := one.wait(now)) > 0), default=None)


def parted(group: Sequence[Submission], stream: UUID) -> tuple[list[Submission], list[Submission]]:
    """Who touches this visitor-offer, with all that would overtake them; and the rest."""
    apart: list[Submission] = []
    rest: list[Submission] = []
    behind = {stream}
    for submission in group:
        if behind.isdisjoint(submission.streams):
            rest.append(submission)
        else:
            apart.append(submission)
            behind |= submission.streams
    return apart, rest


def _came(submission: Submission) -> int:
    return submission.number
