"""The signals of one call: read, put in order, and answered with one outcome each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offerlog_application.ports.positions import LogPosition
from offerlog_application.recording.commands import RecordBlock, RecordSignal
from offerlog_application.recording.short_signals import RecordShortSignal
from offerlog_application.recording.signal_text import SignalInput, SignalText
from offerlog_application.recording.submission import UndatedRefusal
from offerlog_domain.block_signals import NativeBlock
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OrganizationKey, VisitorKey
from offerlog_domain.lifecycle import State
from offerlog_domain.outcomes import Outcome, OutcomeKind, Reason, cut_text
from offerlog_domain.short_signals import ShortSignal
from offerlog_domain.signals import MalformedSignalError, UntrackedEventError

_Recording = RecordSignal | RecordShortSignal


@dataclass(frozen=True, slots=True)
class Receipt:
    """The durable outcomes of one call of `record`.

    Attributes:
        outcomes: One for each signal, in the order given.
        position: Up to where a projection must be to show it; None if nothing was appended. With one server
            it is a number; hand it back as it is.
    """

    outcomes: Sequence[Outcome]
    position: LogPosition | None


class Batch:
    """Signals to be decided together. A bad one does not harm the others.

    Args:
        signals: The signals as they came.
        key: Names their visitor-offers.

    Attributes:
        commands: One for each signal that is decided, in the order of decision: signals of blocked offers
            behind all others.
        refusals: Lines for the refusal log, of signals that are refused without asking a visitor-offer.
    """

    __slots__ = ("_outcomes", "commands", "refusals")

    def __init__(self, signals: Iterable[SignalInput], key: OrganizationKey) -> None:
        self.refusals: list[UndatedRefusal] = []
        self._outcomes: list[Outcome | None] = []
        tracked: list[_Recording] = []
        blocks: list[RecordBlock] = []
        for signal in signals:
            command = _read_command(signal, key)
            if isinstance(command, RecordBlock):
                command.place = len(self._outcomes)
                blocks.append(command)
                self._outcomes.append(None)
            elif not isinstance(command, tuple):
                command.place = len(self._outcomes)
                tracked.append(command)
                self._outcomes.append(None)
            else:
                self._outcomes.append(command[0])
                self.refusals.append(command[1])
        self.commands: list[_Recording | RecordBlock] = [*_in_lifecycle_order(tracked), *blocks]

    def receipt(self, decisions: Sequence[Decision], position: LogPosition | None) -> Receipt:
        """Return the answer, from the decisions on the commands."""
        for command, decision in zip(self.commands, decisions, strict=True):
            assert decision.outcome is not None  # noqa: S101 - a signal always gets one
            self._outcomes[command.place] = command.outcome(decision.outcome, decision.reason)
        return Receipt(tuple(outcome for outcome in self._outcomes if outcome is not None), position)


def _read_command(
    given: SignalInput, key: OrganizationKey
) -> _Recording | RecordBlock | tuple[Outcome, UndatedRefusal]:
    """Read a signal; return its command, or its refusal (checks 1 and 2)."""
    text: SignalText | None = None
    try:
        text = SignalText(given)
        signal = text.read()
    except (MalformedSignalError, UntrackedEventError) as error:
        reason = Reason.NOT_TRACKED if isinstance(error, UntrackedEventError) else Reason.MALFORMED
        outcome = Outcome(
            OutcomeKind.REFUSED, reason, field=error.field, cause=error.cause, event_id=error.event_id
        )
        kept, length = cut_text(b"" if text is None else text.to_bytes())
        if error.names_several:  # an erasure of one of them could not find it under the other's digest
            kept, length = b"", len(kept) if length is None else length
        digest = None if error.customer is None else key.digest(VisitorKey(*error.customer))
        return outcome, UndatedRefusal(reason, error.field, error.cause, kept, length, digest)
    if isinstance(signal, NativeBlock):
        visitor = VisitorKey(signal.customer_id_type, signal.customer_id)
        block = RecordBlock(key.offer(visitor, signal.action_map_id), signal, text)
        if signal.is_tracked:
            return block
        return block.outcome(OutcomeKind.REFUSED, Reason.NOT_TRACKED), block.refusal(Reason.NOT_TRACKED)
    command: _Recording
    if isinstance(signal, ShortSignal):
        command, is_tracked = RecordShortSignal(key, signal, text), isinstance(signal.state, State)
    else:
        command, is_tracked = RecordSignal(key.offer_of(signal), signal, text), signal.lifecycle is not None
    if not is_tracked:
        return command.outcome(OutcomeKind.REFUSED, Reason.NOT_TRACKED), command.refusal(Reason.NOT_TRACKED)
    return command


def _in_lifecycle_order(commands: list[_Recording]) -> list[_Recording]:
    """Return the order in which a batch is decided (domain rule "Order inside a batch").

    The signals of one action, in lifecycle order and ties in input order, take the places which that
    action's signals hold; all other places stay. The visitor-offer of a short signal is not known yet, so an
    action with such signals is known by its id alone.
    """
    if len(commands) < 2:  # noqa: PLR2004 - one alone is in order
        return commands
    held: dict[tuple[int, int], list[int]] = {}  # an int has a faster hash than its UUID
    short = {command.action.action_id.int for command in commands if isinstance(command, RecordShortSignal)}
    for n, command in enumerate(commands):
        if isinstance(command, RecordShortSignal):
            stream, action = 0, command.action.action_id.int
        else:
            action = command.signal.action_id.int
            stream = 0 if action in short else command.stream.int
        held.setdefault((stream, action), []).append(n)
    ordered = commands.copy()
    for places in held.values():
        if len(places) > 1:
            for place, n in zip(places, sorted(places, key=lambda n: commands[n].rank), strict=True):
                ordered[place] = commands[n]
    return ordered
