"""The judgements of one group, and what the log gets for them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from offerlog_application.recording.set_aside import Case, Submission
from offerlog_application.recording.store_watch import STORE_PATIENCE
from offerlog_domain.event_fields import Fact
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import VisitorOffer


class Decided:
    """The judgements of a group, and what must be stored for them.

    Args:
        submissions: The group, in order.

    Attributes:
        cases: Their cases, in order.
        judgements: One for each case.
        offers: The visitor-offers as they are after them.
        until: How long the first of the submissions may wait for a locked table, by the monotonic clock.
    """

    def __init__(self, submissions: Sequence[Submission]) -> None:
        self._submissions = submissions
        self.cases: Sequence[Case] = [case for submission in submissions for case in submission.cases]
        self._given = [refusal for submission in submissions for refusal in submission.refusals]
        self.until = min(submission.arrived for submission in submissions) + STORE_PATIENCE
        self.judgements: list[Any] = [None] * len(self.cases)
        self._loaded: dict[UUID, VisitorOffer] = {}
        self.offers: dict[UUID, VisitorOffer] = {}

    @property
    def streams(self) -> set[UUID]:
        """The visitor-offers of all cases."""
        return {case.stream for case in self.cases}

    def decide(self, loaded: Mapping[UUID, VisitorOffer]) -> None:
        """Judge the cases whose visitor-offers have moved since the last time: at first, all of them.

        Args:
            loaded: All the visitor-offers, as the store has them now.
        """
        known = self._loaded
        moved = {
            stream
            for stream, offer in loaded.items()
            if stream not in known or offer.version != known[stream].version
        }
        for stream in moved:
            known[stream] = self.offers[stream] = loaded[stream]
        for n, case in enumerate(self.cases):
            if case.stream in moved:
                judgement = case.decide(self.offers[case.stream])
                self.offers[case.stream] = judgement.offer
                self.judgements[n] = judgement

    def facts(self) -> list[Fact]:
        """The facts for the log, in order."""
        return [fact for judgement in self.judgements for fact in judgement.facts]

    def refusals(self) -> list[Refusal]:
        """The refusals for the refusal log."""
        decided = [
            refusal
            for case, judgement in zip(self.cases, self.judgements, strict=True)
            for refusal in case.refusals(judgement)
        ]
        return [*self._given, *decided]

    def refusing(self) -> set[Submission]:
        """The submissions for which the refusal log gets something."""
        found: set[Submission] = set()
        start = 0
        for submission in self._submissions:
            end = start + len(submission.cases)
            pairs = zip(submission.cases, self.judgements[start:end], strict=True)
            if submission.refusals or any(case.refusals(judgement) for case, judgement in pairs):
                found.add(submission)
            start = end
        return found
