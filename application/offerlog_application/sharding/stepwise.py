"""Work with short signals over several shards: runs of whole and of short signals, one after the other.

So a short signal finds an action that is offered before it in the same work, and order stays as it came.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.ports.shards import PartlyRecordedError
from offerlog_application.recording.pending_answer import BEGUN, PendingAnswer
from offerlog_application.recording.short_signals import KnownShortSignal, RecordShortSignal
from offerlog_application.recording.submission import Command, UndatedRefusal
from offerlog_application.recording.writers import JoinedAnswer
from offerlog_application.sharding.action_search import SearchThread
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OfferKey

T = TypeVar("T")

Decided = tuple[Sequence[Decision], LogPosition | None]
"""The decisions on some commands, in their order, and the position that shows them."""

HandIn = Callable[[Sequence[Command], Sequence[UndatedRefusal]], PendingAnswer[Decided]]
"""Hands commands in at the shards of their visitors; those without a visitor at the home."""


class _Run(NamedTuple):
    """Consecutive commands that are all short, or all whole."""

    commands: list[Command]
    is_short: bool


class StepwiseAnswer(PendingAnswer[T]):
    """The pending answer to work with short signals.

    Args:
        commands: The commands, in order.
        refusals: Lines for the refusal log, which go with the first run.
        answer: Makes the caller's result.
        hand_in: Hands a run in.
        searching: Looks for the actions of short signals.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        refusals: Sequence[UndatedRefusal],
        answer: JoinedAnswer[T],
        hand_in: HandIn,
        searching: SearchThread,
    ) -> None:
        super().__init__()
        self._runs = _divide_runs(commands)
        self._refusals = refusals
        self._answer = answer
        self._hand_in = hand_in
        self._searching = searching
        self._decisions: list[Decision] = []
        self._positions: list[LogPosition | None] = []
        self._state = BEGUN
        self._begin_next()

    def cancel(self) -> bool:
        """Return False: some shard may have begun with it."""
        return False

    def _begin_next(self) -> None:
        run, refusals, self._refusals = self._runs.pop(0), self._refusals, ()
        shorts = [one for one in run.commands if isinstance(one, RecordShortSignal)]
        if run.is_short:
            _ShortRun(shorts, refusals, self._hand_in, self._searching).add_done_callback(self._note)
        else:
            self._hand_in(run.commands, refusals).add_done_callback(self._note)

    def _note(self, pending: PendingAnswer[Decided]) -> None:
        error = pending.exception()
        if error is not None:
            is_begun = bool(self._decisions) and not isinstance(error, PartlyRecordedError)
            self.set_exception(PartlyRecordedError(error) if is_begun else error)
            return
        decisions, position = pending.result()
        self._decisions += decisions
        self._positions.append(position)
        try:
            if self._runs:
                self._begin_next()
            else:
                self.set_result(self._answer(self._decisions, latest_position(self._positions)))
        except Exception as failure:  # noqa: BLE001 - belongs to the caller
            self.set_exception(failure)


class _ShortRun(PendingAnswer[Decided]):
    """The pending answer to a run of short signals: each goes where its action is known, else to the home.

    Args:
        shorts: The short signals.
        refusals: Lines for the refusal log.
        hand_in: Hands commands in.
        searching: Looks for their actions.
    """

    def __init__(
        self,
        shorts: Sequence[RecordShortSignal],
        refusals: Sequence[UndatedRefusal],
        hand_in: HandIn,
        searching: SearchThread,
    ) -> None:
        super().__init__()
        self._shorts = shorts
        self._refusals = refusals
        self._hand_in = hand_in
        self._state = BEGUN
        searching.add(shorts, self._go_on, self.set_exception)

    def _go_on(self, offers: Sequence[OfferKey | None]) -> None:
        commands: list[Command] = []
        for short, offer in zip(self._shorts, offers, strict=True):
            short.settle(None)
            commands.append(short if offer is None else KnownShortSignal(short, offer))
        self._hand_in(commands, self._refusals).add_done_callback(self._note)

    def _note(self, pending: PendingAnswer[Decided]) -> None:
        error = pending.exception()
        if error is not None:
            self.set_exception(error)
            return
        decisions, position = pending.result()
        lost = [n for n, one in enumerate(decisions) if one.outcome is None]
        if not lost:
            self.set_result((decisions, position))
            return
        for n in lost:  # the visitor was erased meanwhile: now nobody knows the action
            self._shorts[n].settle(None)

        def note(again: PendingAnswer[Decided]) -> None:
            failure = again.exception()
            if failure is not None:
                is_part = len(lost) < len(decisions) and not isinstance(failure, PartlyRecordedError)
                self.set_exception(PartlyRecordedError(failure) if is_part else failure)
                return
            parked, later = again.result()
            found = dict(zip(lost, parked, strict=True))
            merged = [found.get(n, one) for n, one in enumerate(decisions)]
            self.set_result((merged, latest_position([position, later])))

        self._hand_in([self._shorts[n] for n in lost], ()).add_done_callback(note)


def _divide_runs(commands: Sequence[Command]) -> list[_Run]:
    runs: list[_Run] = []
    for command in commands:
        if not runs or runs[-1].is_short != command.is_short:
            runs.append(_Run([], command.is_short))
        runs[-1].commands.append(command)
    return runs
