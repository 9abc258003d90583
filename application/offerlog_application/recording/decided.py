"""The decisions of one group, and the events and refusals to store for them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from offerlog_application.recording.set_aside import Command, Submission
from offerlog_application.recording.store_watch import STORE_PATIENCE
from offerlog_domain.event_fields import Event
from offerlog_domain.outcomes import Refusal
from offerlog_domain.visitor_offer import VisitorOffer


class DecidedGroup:
    """The decisions of a group, and what must be stored for them.

    Args:
        submissions: The group, in order.

    Attributes:
        commands: The commands of all submissions, in order.
        decisions: One for each command.
        offers: The visitor-offers after the decisions.
        until: The time, by the monotonic clock, up to which the first submission may wait for a locked table.
    """

    def __init__(self, submissions: Sequence[Submission]) -> None:
        self._submissions = submissions
        self.commands: Sequence[Command] = [
            command for submission in submissions for command in submission.commands
        ]
        self._given = [refusal for submission in submissions for refusal in submission.refusals]
        self.until = min(submission.arrived for submission in submissions) + STORE_PATIENCE
        self.decisions: list[Any] = [None] * len(self.commands)
        self._loaded: dict[UUID, VisitorOffer] = {}
        self.offers: dict[UUID, VisitorOffer] = {}

    @property
    def streams(self) -> set[UUID]:
        """The visitor-offers of all commands."""
        return {command.stream for command in self.commands}

    def decide(self, loaded: Mapping[UUID, VisitorOffer]) -> None:
        """Decide the commands whose visitor-offers have changed since the last call; at first, all of them.

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
        for n, command in enumerate(self.commands):
            if command.stream in moved:
                decision = command.decide(self.offers[command.stream])
                self.offers[command.stream] = decision.offer
                self.decisions[n] = decision

    def events(self) -> list[Event]:
        """Return the events for the log, in order."""
        return [event for decision in self.decisions for event in decision.events]

    def refusals(self) -> list[Refusal]:
        """Return the refusals for the refusal log."""
        decided = [
            refusal
            for command, decision in zip(self.commands, self.decisions, strict=True)
            for refusal in command.refusals(decision)
        ]
        return [*self._given, *decided]

    def refusing(self) -> set[Submission]:
        """Return the submissions that add lines to the refusal log."""
        found: set[Submission] = set()
        start = 0
        for submission in self._submissions:
            end = start + len(submission.commands)
            pairs = zip(submission.commands, self.decisions[start:end], strict=True)
            if submission.refusals or any(command.refusals(decision) for command, decision in pairs):
                found.add(submission)
            start = end
        return found
