"""The queue of submissions that the writer has not decided: bounded, shared fairly, in order.

An organization's submissions are taken in the order of their arrival, organizations by turns
(`fair_queue`). One whose visitor-offer another writer holds is set aside (`set_aside`); submissions that
would overtake it at one of its visitor-offers wait behind it.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeVar, cast

from offerlog_application.ports.event_log import ClosedError
from offerlog_application.recording.fair_queue import FairQueue
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.set_aside import SetAside
from offerlog_application.recording.submission import Answer, Command, Submission, UndatedRefusal
from offerlog_domain.errors import OfferlogError
from offerlog_domain.identity import OrganizationKey

_SHARED_GROUP: Final = 1_000
"""Maximum weight of a group while several organizations send, so that none waits long."""

_HUNG_GROUP: Final = 3_000
"""Maximum weight of a group while submissions are set aside: one search then finds all blocked ones."""

_SHARED_SECONDS: Final = 1.0
"""Seconds after a change of the organization during which the queue counts as shared."""

_GROUP_CPU_SECONDS: Final = 0.2
"""Processor time that a group should take. A group above it makes the next groups smaller."""

_SMALLEST_GROUP: Final = 100

_MAX_WEIGHTS: Final = 1_000
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
        self._lock = threading.Lock()
        self._is_asleep = False
        self._alarm = threading.Lock()
        self._alarm.acquire()

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
        refusals: Sequence[UndatedRefusal],
        answer: Answer[T],
        origin: object,
        organization: str,
        *,
        from_widget: bool = False,
        key: OrganizationKey | None = None,
    ) -> PendingAnswer[T]:
        """Add a submission. Its answer comes once all of it is durable.

        Raises:
            OverloadedError: Too much of this organization is waiting; nothing was taken.
            ClosedError: No more is taken.
        """
        submission = Submission(
            commands, refusals, answer, origin, organization, from_widget=from_widget, key=key
        )
        submission.queue = self
        weight = submission.weight
        with self._lock:
            if self._closed:
                raise ClosedError
            own = self._weights.get(organization, 0)
            if own and own + weight + (self._weight - own) // 2 > self._queue_limit:
                raise OverloadedError(retry_after=1.0)
            self._weights[organization] = own + weight
            self._weight += weight
            submission.number = next(self._numbers)
            self._queue.put(submission)
            if self._is_asleep:
                self._wake()
        return cast("PendingAnswer[T]", submission)

    def cancel(self, submission: Submission) -> bool:
        """Take a submission back, and give back its room; return False if its writing has begun."""
        with self._lock:
            if submission.running() or submission.done():
                return submission.cancelled()
            submission.mark_cancelled()
            self._count(submission.organization, -submission.weight)
        submission.forget()
        submission.call_back()
        return True

    def close(self) -> None:
        """Reject new submissions. Those that wait are still processed."""
        with self._lock:
            self._closed = True
            if self._is_asleep:
                self._wake()

    def take(self) -> Group | None:
        """The next group, once something waits; None when closed and empty."""
        while True:
            with self._lock:
                now = time.monotonic()
                if not (self._queue.lines and self._fresh_first):  # by turns
                    self._fresh_first = True
                    if untried := self._begun(self._aside.take_untried()):
                        return Group(untried, was_set_aside=True, untried=True)
                    if due := self._begun(self._aside.take_due(now)):
                        return Group(due, was_set_aside=True)
                self._fresh_first = False
                if self._queue.lines:
                    return Group(self._fresh(now))
                if self._closed and not self._aside.submissions:
                    return None
                self._is_asleep = True
            self._sleep(self._aside.seconds_until_due(now))

    def _sleep(self, seconds: float | None) -> None:
        """Wait until somebody wakes the writer, or so many seconds."""
        self._alarm.acquire(timeout=-1 if seconds is None else min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        with self._lock:
            if not self._is_asleep:  # it was woken; perhaps just after its time was over
                self._alarm.acquire(blocking=False)
            self._is_asleep = False

    def _wake(self) -> None:
        """Wake the writer. One call wakes it for all that waits by then."""
        self._is_asleep = False
        self._alarm.release()

    def set_aside(self, submissions: Sequence[Submission]) -> None:
        """Put submissions back: they wait for their next try, behind earlier ones of their visitor-offers."""
        with self._lock:
            for submission in submissions:
                self._count(submission.organization, submission.weight)
            self._aside.add(submissions)

    def take_late(self, before: float) -> list[Submission]:
        """Take out what arrived before a moment and waits for a locked table, or behind such a submission."""
        with self._lock:
            return self._begun(self._aside.take_late(before))

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
        queue, aside = self._queue, self._aside
        weight, limit, is_full = 0, self._limit(now), False
        while not is_full and (entries := queue.next_line()) is not None:
            organization = entries[0].organization
            if organization != self._last_taken:
                limit = min(limit, self._limit_after_change(organization, now))
            taken, behind, others_wait = 0, 0, queue.lines > 1
            while entries:
                head = entries[0]
                if group and weight + taken + head.weight > limit and not head.cancelled():
                    is_full = True
                    break
                entries.popleft()
                if aside.submissions and aside.stands_before(head):
                    aside.add_behind(head)  # its weight stays counted
                    behind += head.weight
                elif head.begin():
                    group.append(head)
                    taken += head.weight
                if others_wait:
                    break
            queue.end_turn(taken + behind)
            self._count(organization, -taken)
            weight += taken
        return group

    def _limit(self, now: float) -> int:
        """Return the number of commands that the next group may hold."""
        shared = self._queue.lines > 1 or now < self._shared_until
        most = _HUNG_GROUP if self.hung_writer else _SHARED_GROUP
        return min(self._paced_limit, most) if shared else self._paced_limit

    def _limit_after_change(self, organization: str, now: float) -> int:
        """Return that number after a change of the organization: from then on the queue counts as shared."""
        if self._last_taken:
            self._shared_until = now + _SHARED_SECONDS
        self._last_taken = organization
        return self._limit(now)

    def _begun(self, submissions: Sequence[Submission]) -> list[Submission]:
        """Count submissions as taken; leave out those that their callers have cancelled."""
        found = [submission for submission in submissions if submission.begin()]
        for submission in found:
            self._count(submission.organization, -submission.weight)
        return found

    def _count(self, organization: str, weight: int) -> None:
        """Add to the weight that waits."""
        self._weight += weight
        own = self._weights.get(organization, 0) + weight
        if own or len(self._weights) <= _MAX_WEIGHTS:
            self._weights[organization] = own
        else:
            self._weights.pop(organization, None)  # an empty batch may have no entry
