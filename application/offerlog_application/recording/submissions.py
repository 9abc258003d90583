"""The queue of submissions that the writer has not decided: bounded, shared fairly, in order.

An organization's submissions are taken in the order of their arrival, organizations by turns
(`fair_queue`). One whose visitor-offer another writer holds is set aside (`set_aside`); submissions that
would overtake it at one of its visitor-offers wait behind it.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final, TypeVar

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.recording.fair_queue import FairQueue
from offerlog_application.recording.set_aside import Answer, Command, SetAside, Submission
from offerlog_domain.errors import OfferlogError
from offerlog_domain.outcomes import Refusal

__all__ = ["Answer", "Command", "Group", "OverloadedError", "Submission", "Submissions"]

_SHARED_GROUP: Final = 1_000
"""Maximum weight of a group while several organizations send, so that none waits long."""

_HUNG_GROUP: Final = 3_000
"""The same while submissions are set aside: one search then finds all blocked ones, the others go on."""

_SHARED_SECONDS: Final = 1.0
"""Seconds after a change of the organization during which the queue counts as shared."""

_GROUP_CPU_SECONDS: Final = 0.2
"""Processor time that a group should take. A group above it makes the next groups smaller."""

_SMALLEST_GROUP: Final = 100

_MOST_WEIGHTS: Final = 1_000
"""Entries of the table of weights above which entries of 0 are removed."""

T = TypeVar("T")


class OverloadedError(OfferlogError):
    """The waiting work of the organization exceeds the queue limit; nothing of this request was stored.

    Attributes:
        retry_after: Seconds to wait before trying again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"overloaded: try again in {retry_after:g} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Group:
    """Submissions to be written in one commit.

    Attributes:
        submissions: In order of arrival within each organization.
        was_set_aside: True if they were set aside before; they may still be blocked.
        untried: True if they were set aside without a try: most of them may be free.
    """

    submissions: Sequence[Submission]
    was_set_aside: bool = False
    untried: bool = False


class Submissions:
    """The queue in front of the writer. `put`, `close`, `depth` and cancelling are safe on any thread.

    All other methods are for the thread of the writer.

    Args:
        group_limit: Weight of a group above which the next submission waits for the next group.
        queue_limit: Maximum weight of one organization while no other organization waits. Half of the waiting
            weight of the others is subtracted. An organization of which nothing waits is always admitted.
    """

    def __init__(self, group_limit: int, queue_limit: int) -> None:
        self._group_limit = group_limit
        self._queue_limit = queue_limit
        self._paced_limit = group_limit
        self._queue: FairQueue[Submission] = FairQueue()
        self._aside = SetAside()
        self._weights: dict[str, int] = {}
        self._weight = 0
        self._numbers = count()
        self._last_taken = ""
        self._fresh_first = True
        self._shared_until = 0.0
        self._closed = False
        self._ready = threading.Condition()

    @property
    def depth(self) -> int:
        """Weight of the submissions that wait, including those set aside."""
        return self._weight

    @property
    def aside(self) -> Sequence[Submission]:
        """The submissions that are set aside, in order of arrival."""
        return self._aside.submissions

    @property
    def hung_writer(self) -> bool:
        """True if any submission is set aside: another writer may hold more visitor-offers."""
        return bool(self._aside.submissions)

    def put(
        self,
        commands: Sequence[Command],
        refusals: Sequence[Refusal],
        answer: Answer[T],
        origin: object,
        organization: str,
    ) -> Future[T]:
        """Add a submission. The future gets its answer once all of it is durable.

        Raises:
            OverloadedError: Too much of this organization is waiting; nothing was taken.
            ClosedError: No more is taken.
        """
        submission = Submission(commands, refusals, answer, origin, next(self._numbers), organization)
        submission.future.on_cancel = partial(self._cancelled, submission)
        weight = submission.weight
        with self._ready:
            if self._closed:
                raise ClosedError
            own = self._weights.get(organization, 0)
            if own and own + weight + (self._weight - own) // 2 > self._queue_limit:
                raise OverloadedError(retry_after=1.0)
            self._weights[organization] = own + weight
            self._weight += weight
            self._queue.put(submission)
            self._ready.notify()
        return submission.future

    def close(self) -> None:
        """Reject new submissions. Those that wait are still processed."""
        with self._ready:
            self._closed = True
            self._ready.notify()

    def take(self) -> Group | None:
        """The next group, once something waits; None when closed and empty."""
        with self._ready:
            while True:
                now = time.monotonic()
                if not (self._queue.lines and self._fresh_first):  # by turns
                    self._fresh_first = True
                    if untried := self._started(self._aside.take_untried()):
                        return Group(untried, was_set_aside=True, untried=True)
                    if due := self._started(self._aside.take_due(now)):
                        return Group(due, was_set_aside=True)
                self._fresh_first = False
                if self._queue.lines:
                    return Group(self._fresh(now))
                if self._closed and not self._aside.submissions:
                    return None
                self._ready.wait(self._aside.seconds_until_due(now))

    def set_aside(self, submissions: Sequence[Submission]) -> None:
        """Put submissions back: they wait for their next try, behind earlier ones of their visitor-offers."""
        with self._ready:
            for submission in submissions:
                self._count(submission, 1)
            self._aside.add(submissions)

    def take_late(self, before: float) -> list[Submission]:
        """Take out what arrived before a moment and waits for a locked table, or behind such a submission."""
        with self._ready:
            return self._started(self._aside.take_late(before))

    def not_overtaking(self, group: Sequence[Submission]) -> list[Submission]:
        """Set aside the submissions of a group that would overtake earlier ones; return the others."""
        rest, late = self._aside.split_late(group)
        self.set_aside(late)
        return rest

    def note_group(self, group: Group, seconds: float, cpu_seconds: float, *, met_others: bool) -> None:
        """Adapt the pace to a group that is done.

        Args:
            group: As it was taken.
            seconds: How long it took.
            cpu_seconds: Processor time that its writing took; the size of the next groups follows it.
            met_others: Whether other writers stood in its way.
        """
        if group.was_set_aside and met_others and not group.untried:
            self._aside.rest(time.monotonic(), seconds)
        weight = sum(submission.weight for submission in group.submissions)
        if cpu_seconds > _GROUP_CPU_SECONDS:
            fitting = int(weight * _GROUP_CPU_SECONDS / cpu_seconds)
            self._paced_limit = min(self._group_limit, max(_SMALLEST_GROUP, fitting))
        elif self._paced_limit < self._group_limit:
            self._paced_limit = min(self._group_limit, 2 * self._paced_limit)

    def _fresh(self, now: float) -> list[Submission]:
        """Take fresh submissions in fair order up to the limit; set aside those that would overtake."""
        group: list[Submission] = []
        weight, limit = 0, self._limit(now)
        while (head := self._queue.head()) is not None:
            if group and weight + head.weight > limit and not head.future.cancelled():
                break
            if self._aside.submissions and self._aside.stands_before(head):
                self._queue.pop()
                self._aside.add_behind(head)  # its weight stays counted
                continue
            started = self._start(head)
            self._queue.pop(charged=started)
            if started:
                group.append(head)
                weight += head.weight
                if head.organization != self._last_taken:
                    if self._last_taken:
                        self._shared_until = now + _SHARED_SECONDS
                        limit = min(limit, self._limit(now))
                    self._last_taken = head.organization
        return group

    def _limit(self, now: float) -> int:
        """Return the number of commands that the next group may hold."""
        shared = self._queue.lines > 1 or now < self._shared_until
        most = _HUNG_GROUP if self.hung_writer else _SHARED_GROUP
        return min(self._paced_limit, most) if shared else self._paced_limit

    def _started(self, submissions: Sequence[Submission]) -> list[Submission]:
        return [submission for submission in submissions if self._start(submission)]

    def _start(self, submission: Submission) -> bool:
        """Count a submission as taken; False if its caller has cancelled it."""
        if not submission.start():
            return False
        self._count(submission, -1)
        return True

    def _cancelled(self, submission: Submission) -> None:
        """Subtract the weight of a submission whose caller cancelled it before it was taken."""
        with self._ready:
            self._count(submission, -1)
        submission.forget()

    def _count(self, submission: Submission, sign: int) -> None:
        organization, weight = submission.organization, sign * submission.weight
        self._weight += weight
        own = self._weights.get(organization, 0) + weight
        if own or len(self._weights) <= _MOST_WEIGHTS:
            self._weights[organization] = own
        else:
            self._weights.pop(organization, None)  # an empty batch may have no entry
