"""The signals of one call: read, put in order, and each given its own outcome in the end."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from offerlog_application.recording.commands import RecordSignal
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import Decision
from offerlog_domain.identity import StreamKey
from offerlog_domain.offer_rule import timing_fault
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, Refusal, cut_text
from offerlog_domain.signals import MAX_LINE_BYTES, MalformedSignalError, Signal, UntrackedEventError
from offerlog_domain.wire import read_signal, signal_from_document

SignalInput = bytes | str | Mapping[str, object] | Signal
"""What a signal may be given as: JSON text in either wire form, the decoded object, or a `Signal`."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one call of `record`, durably.

    Attributes:
        outcomes: One for each signal, in the order given.
        position: Up to where a projection must be to show it; None if nothing was appended.
    """

    outcomes: Sequence[Outcome]
    position: int | None


class Batch:
    """Signals to be judged together; a bad one harms no other.

    Args:
        reports: The signals as they came.
        key: Makes their stream ids.
        circumstances: Whose they are, and when they came.

    Attributes:
        cases: Those to be judged, in the order in which they are.
        refusals: What goes to the refusal log of those that are refused without asking a visitor-offer.
    """

    __slots__ = ("_outcomes", "commands", "refusals")

    def __init__(self, reports: Iterable[SignalInput], key: StreamKey, context: DecisionContext) -> None:
        self.refusals: list[Refusal] = []
        self._outcomes: list[Outcome | None] = []
        tracked: list[RecordSignal] = []
        for report in reports:
            command = _heard(report, key, context)
            if isinstance(command, RecordSignal):
                command.place = len(self._outcomes)
                tracked.append(command)
                self._outcomes.append(None)
            else:
                self._outcomes.append(command[0])
                self.refusals.append(command[1])
        self.commands = [
            command
            for command in _in_lifecycle_order(tracked)
            if not self._refused_for_time(command, context)
        ]

    def receipt(self, decisions: Sequence[Decision], position: int | None) -> Receipt:
        """The answer, once the cases have been judged."""
        for command, decision in zip(self.commands, decisions, strict=True):
            assert decision.outcome is not None  # noqa: S101 - a signal always gets one
            self._outcomes[command.place] = command.outcome(decision.outcome, decision.reason)
        return Receipt(tuple(outcome for outcome in self._outcomes if outcome is not None), position)

    def _refused_for_time(self, command: RecordSignal, context: DecisionContext) -> bool:
        """Refuse a signal whose time is out of bounds (check 3); tell whether it was refused."""
        fault = timing_fault(command.signal.occurred_at, context)
        if fault is None:
            return False
        self._outcomes[command.place] = command.outcome(OutcomeKind.REFUSED, fault)
        self.refusals.append(command.refusal(fault))
        return True


def _heard(
    report: SignalInput, key: StreamKey, context: DecisionContext
) -> RecordSignal | tuple[Outcome, Refusal]:
    """A signal to be judged, or the refusal that reading it already is (checks 1 and 2)."""
    raw = b""
    try:
        raw = _raw(report)
        if isinstance(report, Signal):
            signal = report
        elif isinstance(report, Mapping):
            signal = _from_document(report, raw)
        else:
            signal = read_signal(raw)
    except (MalformedSignalError, UntrackedEventError) as error:
        reason = Reason.NOT_TRACKED if isinstance(error, UntrackedEventError) else Reason.MALFORMED
        outcome = Outcome(
            OutcomeKind.REFUSED, reason, field=error.field, cause=error.cause, event_id=error.event_id
        )
        kept, length = cut_text(raw)
        refusal = Refusal(context.organization, context.now, reason, error.field, error.cause, kept, length)
        return outcome, refusal
    command = RecordSignal(key.stream_of(signal), signal, raw, context)
    if signal.lifecycle is None:
        return command.outcome(OutcomeKind.REFUSED, Reason.NOT_TRACKED), command.refusal(Reason.NOT_TRACKED)
    return command


def _from_document(document: Mapping[str, object], raw: bytes) -> Signal:
    if len(raw) > MAX_LINE_BYTES:
        raise MalformedSignalError(None, f"longer than {MAX_LINE_BYTES // 1024} KiB")
    return signal_from_document(document)


def _raw(report: SignalInput) -> bytes:
    if isinstance(report, bytes):
        return report
    if isinstance(report, str):
        return report.encode("utf-8", "surrogatepass")
    if isinstance(report, Signal):
        return report.to_json()
    try:
        return json.dumps(dict(report), default=str).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedSignalError(None, f"no JSON object: {error}") from None


def _in_lifecycle_order(commands: list[RecordSignal]) -> list[RecordSignal]:
    """The order in which a batch is judged (domain rule "Order inside a batch").

    The signals of one action, in lifecycle order and ties in input order, take the places which that
    action's signals hold; all other places stay.
    """
    if len(commands) < 2:  # noqa: PLR2004 - one alone is in order
        return commands
    held: dict[tuple[UUID, str], list[int]] = {}
    for n, command in enumerate(commands):
        held.setdefault((command.stream, command.signal.action_id), []).append(n)
    ordered = commands.copy()
    for places in held.values():
        if len(places) > 1:
            for place, n in zip(places, sorted(places, key=lambda n: commands[n].rank), strict=True):
                ordered[place] = commands[n]
    return ordered
