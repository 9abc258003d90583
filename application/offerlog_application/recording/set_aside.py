"""Submissions that wait for another writer or for the refusal log, and those that wait behind them.

A submission is set aside in two cases: another writer holds one of its visitor-offers and does not decide, or
it needs the refusal log and that is locked. It is tried again in separate rounds, never together with fresh
submissions. So fresh submissions do not share its wait.
"""

from bisect import insort
from collections import Counter
from collections.abc import Sequence
from heapq import nsmallest
from typing import Final
from uuid import UUID

from offerlog_application.recording.submission import Submission

_ROUND: Final = 200
"""The most submissions that are tried again together."""

_ROUND_WEIGHT: Final = 1_000
"""The most weight of submissions in a round that need a locked table. Fresh submissions wait meanwhile."""

_FIRST_ROUND: Final = 1_000
"""The most submissions in a round of those that were never tried: most of them may not have to wait."""

_REST: Final = 3.0
"""The pause after a round that met another writer, in lengths of the round. Fresh submissions get these three
quarters of the time."""

_LONGEST_REST: Final = 2.0


class SetAside:
    """The submissions that are set aside, in order of arrival; not thread-safe."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self._streams: Counter[UUID] = Counter()
        self._some_untried = False
        self._next_look = 0.0
        self._rest_until = 0.0

    def add(self, submissions: Sequence[Submission]) -> None:
        """Set aside more submissions, to be tried when they are due."""
        self._insert(submissions)
        self._some_untried = self._some_untried or any(one.is_untried for one in submissions)
        self._next_look = 0.0

    def add_behind(self, submission: Submission) -> None:
        """Set aside a submission that must wait behind another one."""
        self._insert([submission])

    def stands_before(self, submission: Submission) -> bool:
        """Return True if this submission would overtake one that is set aside."""
        return bool(self._streams) and not self._streams.keys().isdisjoint(submission.streams)

    def take_untried(self) -> list[Submission]:
        """Take out those that were never tried, at most a round of them.

        None of them waits behind one that stays.
        """
        if not self._some_untried:
            return []
        untried = _by_turns(self._not_behind([one for one in self.submissions if one.is_untried]))[
            :_FIRST_ROUND
        ]
        self._some_untried = bool(untried)
        self._remove(untried)
        return untried

    def take_due(self, now: float) -> list[Submission]:
        """Take out those that are due and that do not wait behind one that stays, at most a round of them.

        Of those that other writers hold, those tried least often come first, so that each has its turn. Those
        that need a locked table all wait for the same table. The oldest of them come first, and leave half of
        the round to the others. If a search did not find the one that is held, rounds become smaller, down to
        a single submission.
        """
        if not self.submissions or now < max(self._next_look, self._rest_until):
            return []
        ready = self._not_behind([one for one in self.submissions if one.wait(now) <= 0])
        if not ready:  # whoever is due stands behind one that is not
            self._next_look = now + min(wait for one in self.submissions if (wait := one.wait(now)) > 0)
            return []
        delayed, held = _by_cause(ready)
        first = held[0] if held else delayed[0]
        most = max(1, _ROUND >> first.missed)
        delayed = _oldest(delayed, max(most // 2, most - len(held)))
        chosen = [*delayed, *held[: most - len(delayed)]]
        if len(chosen) < len(ready):
            ready = self._not_behind(chosen)
        self._remove(ready)
        return _by_turns(ready)

    def take_late(self, before: float) -> list[Submission]:
        """Take out those that need a locked table, and those behind them, that arrived before a moment.

        Costs a look at each submission that arrived before it, and at all only where some are taken out.
        """
        late: list[Submission] = []
        behind = set[UUID]()
        for submission in self.submissions:
            if submission.arrived >= before:
                break
            if submission.is_delayed or not behind.isdisjoint(submission.streams):
                late.append(submission)
                behind |= submission.streams
        if late:
            self._remove(late)
        return late

    def seconds_until_due(self, now: float) -> float | None:
        """Return the seconds until a submission may be due; None if none is set aside."""
        if not self.submissions:
            return None
        return 0.0 if self._some_untried else max(self._next_look, self._rest_until) - now

    def rest(self, now: float, seconds: float) -> None:
        """Pause the rounds after one that took so many seconds."""
        self._rest_until = now + min(_REST * seconds, _LONGEST_REST)

    def split_late(self, group: Sequence[Submission]) -> tuple[list[Submission], list[Submission]]:
        """Split a group into those that may be written, and those that would overtake one set aside."""
        aside, behind = set(self.submissions), set[UUID]()
        rest: list[Submission] = []
        late: list[Submission] = []
        for submission in sorted([*aside, *group], key=arrival_number):
            if submission not in aside and behind.isdisjoint(submission.streams):
                rest.append(submission)
            else:
                behind |= submission.streams
                if submission not in aside:
                    late.append(submission)
        return rest, late

    def _insert(self, submissions: Sequence[Submission]) -> None:
        if len(submissions) == 1:
            insort(self.submissions, submissions[0], key=arrival_number)
        else:
            self.submissions += submissions
            self.submissions.sort(key=arrival_number)
        self._streams.update(stream for one in submissions for stream in one.streams)

    def _not_behind(self, wanted: Sequence[Submission]) -> list[Submission]:
        """Return the wanted ones that do not wait behind one that is not wanted, in order of arrival."""
        chosen, behind = set(wanted), set[UUID]()
        left = len(chosen)
        found: list[Submission] = []
        for submission in self.submissions:
            if left == 0:
                break
            is_chosen = submission in chosen
            left -= is_chosen
            if is_chosen and behind.isdisjoint(submission.streams):
                found.append(submission)
            else:
                behind |= submission.streams
        return found

    def _remove(self, submissions: Sequence[Submission]) -> None:
        gone = set(submissions)
        self.submissions = [one for one in self.submissions if one not in gone]
        self._streams.subtract(stream for one in submissions for stream in one.streams)
        for one in submissions:
            for stream in one.streams:
                if self._streams[stream] == 0:
                    del self._streams[stream]  # a look at a missing one is 0, and no error


def split_by_streams(
    group: Sequence[Submission], streams: frozenset[UUID]
) -> tuple[list[Submission], list[Submission]]:
    """Split off the submissions that touch any of the streams, plus those that would overtake them."""
    apart: list[Submission] = []
    rest: list[Submission] = []
    behind = set(streams)
    for submission in group:
        if behind.isdisjoint(submission.streams):
            rest.append(submission)
        else:
            apart.append(submission)
            behind |= submission.streams
    return apart, rest


def arrival_number(submission: Submission) -> int:
    """Return its place in the order of arrival."""
    return submission.number


def _oldest(submissions: Sequence[Submission], most: int) -> list[Submission]:
    """Return the first ones, up to a number and up to a weight; at least one if the number allows it."""
    found: list[Submission] = []
    weight = 0
    for submission in submissions[:most]:
        weight += submission.weight
        if found and weight > _ROUND_WEIGHT:
            break
        found.append(submission)
    return found


def _by_turns(submissions: Sequence[Submission]) -> list[Submission]:
    """Sort them by turns: one of each organization at a time, in order of arrival within an organization."""
    turns: Counter[str] = Counter()
    keyed: list[tuple[int, int, Submission]] = []
    for submission in submissions:
        keyed.append((turns[submission.organization], submission.number, submission))
        turns[submission.organization] += 1
    return [submission for _, _, submission in sorted(keyed, key=lambda one: one[:2])]


def _by_cause(ready: Sequence[Submission]) -> tuple[list[Submission], list[Submission]]:
    """Split them into those that need a locked table, in order of arrival, and the others.

    Of the others, those tried least often come first. A submission behind another one counts as that one
    does, so it never takes the place of the one that it waits for.

    Args:
        ready: In order of arrival.
    """
    delayed: list[Submission] = []
    held: list[tuple[int, int, Submission]] = []
    behind_delayed, tries_before = set[UUID](), dict[UUID, int]()
    for one in ready:
        streams = one.streams
        if one.is_delayed or not behind_delayed.isdisjoint(streams):
            delayed.append(one)
            behind_delayed |= streams
        else:
            tries = max([one.tries, *(tries_before.get(stream, 0) for stream in streams)])
            tries_before.update(dict.fromkeys(streams, tries))
            held.append((tries, one.number, one))
    return delayed, [one for _, _, one in nsmallest(_ROUND, held)]
