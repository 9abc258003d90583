"""The decisions of one group, and the events and refusals to store for them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import SliceElsewhereError
from offerlog_application.ports.short_signals import FoundAction, NamedAction, Parkings
from offerlog_application.recording.short_signals import (
    RecordShortSignal,
    ReleaseShortSignal,
    ShortSignalCommand,
    note_actions,
)
from offerlog_application.recording.store_watch import STORE_PATIENCE
from offerlog_application.recording.submission import Command, Submission
from offerlog_application.recording.writer_errors import OrganizationDeletedError
from offerlog_domain.action_map_policies import ActionMapPolicy
from offerlog_domain.blocked_offers import BlockedOffer
from offerlog_domain.context import NO_POLICIES, DecisionContext, Rules
from offerlog_domain.decision import Decision
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import BlockKey, OfferKey, OrganizationKey
from offerlog_domain.outcomes import OutcomeKind, Refusal
from offerlog_domain.stream_ids import slice_of
from offerlog_domain.visitor_offer import VisitorOffer


class DecidedGroup:
    """The decisions of a group, and what must be stored for them.

    Args:
        submissions: The group, in order.
        clock: The clock of decisions.
        rules: The periods that an operator may set.

    Attributes:
        commands: The commands of all submissions, in order.
        decisions: One for each command.
        offers: The visitor-offers after the decisions.
        blocked: The blocked offers that tallies count, each once (see `count_blocked`).
        now: The time of the last decision.
        epoch: The epoch under which all decisions were made; None before the first.
        until: The time, by the monotonic clock, up to which the first submission may wait for a locked table.
    """

    def __init__(self, submissions: Sequence[Submission], clock: Clock, rules: Rules) -> None:
        self._submissions = submissions
        self._clock = clock
        self._rules = rules
        self.now = clock.now()
        self._contexts: dict[tuple[str, bool], DecisionContext] = {}
        self._policies: Mapping[str, Mapping[UUID, ActionMapPolicy]] = {}
        self.commands: Sequence[Command] = [
            command for submission in submissions for command in submission.commands
        ]
        self._shorts: dict[int, ShortSignalCommand] = {}
        if any(submission.has_short for submission in submissions):
            for n, command in enumerate(self.commands):
                if isinstance(command, RecordShortSignal | ReleaseShortSignal):
                    self._shorts[n] = command
        self.until = min([submission.arrived for submission in submissions]) + STORE_PATIENCE
        self.decisions: list[Any] = [None] * len(self.commands)
        self._decided_in: list[Any] = [None] * len(self.commands)
        self._loaded: dict[UUID, VisitorOffer] = {}
        self.offers: dict[UUID, VisitorOffer] = {}
        self.blocked: Sequence[BlockedOffer] = ()
        self._blocks: Sequence[tuple[int, BlockedOffer]] = ()
        self.epoch: int | None = None

    @property
    def touched(self) -> Collection[OfferKey]:
        """The visitor-offers of all commands, each once; with the visitor's identity if a command has it.

        Signals of blocked offers are decided without one.
        """
        touched: dict[UUID, OfferKey] = {}
        for command in self.commands:
            if command.reports_block:
                continue
            offer = command.offer
            if offer.visitor is not None or offer.id not in touched:
                touched[offer.id] = offer
        for short in self._shorts.values():
            for offer in short.candidates:
                touched.setdefault(offer.id, offer)
        return touched.values()

    @property
    def organizations(self) -> Collection[str]:
        """The tenants of the submissions, each once."""
        return {submission.organization for submission in self._submissions}

    @property
    def named_actions(self) -> Collection[NamedAction]:
        """The actions of short signals, which must be looked up before the visitor-offers are loaded."""
        return {short.action for short in self._shorts.values()}

    def note_actions(self, found: Mapping[NamedAction, FoundAction]) -> None:
        """Note where the actions of short signals are."""
        note_actions(self._shorts.values(), self.commands, found)

    def decide(
        self,
        loaded: Mapping[UUID, VisitorOffer],
        epoch: int,
        policies: Mapping[str, Mapping[UUID, ActionMapPolicy]],
    ) -> None:
        """Decide the commands whose visitor-offers have changed since the last call.

        At first, and under another epoch, decide all of them; signals of blocked offers each time.

        The clock is read once: all that a call decides has one moment.

        Args:
            loaded: All the visitor-offers, as the store has them now.
            epoch: The epoch, as it was known before they were loaded.
            policies: The policies of the action maps, by organization.
        """
        if epoch != self.epoch:
            self._loaded.clear()
        self.epoch = epoch
        known = self._loaded
        moved = {
            stream
            for stream, offer in loaded.items()
            if stream not in known or offer.version != known[stream].version
        }
        for short in self._shorts.values():  # a look-up, and so a choice, may have changed
            moved |= {short.stream, *(offer.id for offer in short.candidates)}
        for stream in moved:
            known[stream] = self.offers[stream] = loaded[stream]
        self.now, self._contexts, self._policies = self._clock.now(), {}, policies
        offers, decisions, decided_in = self.offers, self.decisions, self._decided_in
        n = 0
        for submission in self._submissions:
            context = self._context_of(submission)
            for command in submission.commands:
                if n in self._shorts:
                    self._shorts[n].choose(offers)
                stream = command.stream
                if command.reports_block:
                    decisions[n] = command.decide(VisitorOffer(stream), context)
                    decided_in[n] = context
                elif stream in moved:
                    decisions[n] = decision = command.decide(offers[stream], context)
                    offers[stream] = decision.offer
                    decided_in[n] = context
                n += 1
        self._blocks = self._find_blocked()

    def _find_blocked(self) -> Sequence[tuple[int, BlockedOffer]]:
        """Return the blocked offers that no event of a visitor-offer counts, by place of the command."""
        decisions, found = self.decisions, []
        n = 0
        for submission in self._submissions:
            for command in submission.commands:
                if (
                    (decisions[n].blocker is not None or command.reports_block)
                    and submission.key is not None
                    and (one := command.find_blocked(decisions[n], self._decided_in[n], submission.key))
                ):
                    found.append((n, one))
                n += 1
        return found

    @property
    def block_keys(self) -> Collection[BlockKey]:
        """The names of the blocked offers that may have been counted before."""
        return {one.key for _, one in self._blocks if one.key is not None}

    def count_blocked(self, known: Collection[BlockKey]) -> None:
        """Find the blocked offers that are to be counted: each name once, and none that was counted before.

        A signal of a blocked offer becomes `recorded` or `duplicate`.

        Args:
            known: Those of `block_keys` that were counted before.
        """
        counted, blocked = set(known), []
        for n, one in self._blocks:
            is_repeated = one.key in counted
            if self.commands[n].reports_block:
                outcome = OutcomeKind.DUPLICATE if is_repeated else OutcomeKind.RECORDED
                self.decisions[n] = self.decisions[n].with_outcome(outcome)
            if not is_repeated:
                blocked.append(one)
                if one.key is not None:
                    counted.add(one.key)
        self.blocked = blocked

    def events(self) -> list[RecordedEvent[Event]]:
        """Return the events for the log, in order."""
        return [event for decision in self.decisions for event in decision.events]

    def refusals(self) -> list[Refusal]:
        """Return the refusals for the refusal log: those that were handed in, then those decided here."""
        refusals = [
            refusal.at(self._context_of(submission))
            for submission in self._submissions
            for refusal in submission.refusals
        ]
        for n, decision in enumerate(self.decisions):
            if _refuses(decision):
                refusals += self.commands[n].refusals(decision, self._decided_in[n])
        return refusals

    def parkings(self) -> Parkings:
        """Return the short signals that begin or end to wait beside the log."""
        begun, ended = [], []
        for n, short in self._shorts.items():
            parked = short.begun_parking(self.decisions[n], self._decided_in[n])
            if parked is not None:
                begun.append(parked)
            number = short.ended_parking(self.decisions[n])
            if number is not None:
                ended.append(number)
        return Parkings(begun, ended)

    def check_keys(self, is_current: Callable[[OrganizationKey], bool]) -> None:
        """Check that no secret was destroyed under which a submission names visitors.

        Args:
            is_current: Returns False for a key whose secret was destroyed.

        Raises:
            OrganizationDeletedError: One was.
        """
        for key in {submission.key for submission in self._submissions}:
            if key is not None and not is_current(key):
                raise OrganizationDeletedError(key.organization)

    def find_elsewhere(self, owned: frozenset[int]) -> Mapping[Submission, SliceElsewhereError]:
        """Return the submissions with visitors of slices that are not among the owned ones.

        A short signal whose action is not known belongs to no visitor, and a refused text may not.
        """
        found: dict[Submission, SliceElsewhereError] = {}
        for submission in self._submissions:
            digests = [one.offer.visitor_digest for one in submission.commands if one.has_visitor]
            digests += [one.visitor_digest for one in submission.refusals if one.visitor_digest is not None]
            elsewhere = {slice_of(digest) for digest in digests} - owned
            if elsewhere:
                found[submission] = SliceElsewhereError(elsewhere)
        return found

    def refusing(self) -> set[Submission]:
        """Return the submissions that add lines to the refusal log."""
        found: set[Submission] = set()
        start = 0
        for submission in self._submissions:
            end = start + len(submission.commands)
            if submission.refusals or any(
                _refuses(self.decisions[n])
                and self.commands[n].refusals(self.decisions[n], self._decided_in[n])
                for n in range(start, end)
            ):
                found.add(submission)
            start = end
        return found

    def _context_of(self, submission: Submission) -> DecisionContext:
        """Return the context of a submission's decisions, made once for all that share it."""
        key = submission.organization, submission.from_widget
        context = self._contexts.get(key)
        if context is None:
            organization, from_widget = key
            policies = self._policies.get(organization, NO_POLICIES)
            context = DecisionContext(organization, self.now, self._rules, from_widget, policies)
            self._contexts[key] = context
        return context


def _refuses(decision: Decision) -> bool:
    """Return True if a decision may add lines to the refusal log."""
    return decision.outcome is OutcomeKind.REFUSED or bool(decision.ended_parkings)
