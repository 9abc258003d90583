"""Recording over several shards: one writer for each, and one answer for what was divided among them.

A shard that is down delays nobody else: its writer alone waits for it. What the others record stays, whatever
becomes of its part.
"""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import (
    ClosedError,
    OutcomeUnknownError,
    SliceElsewhereError,
    StoreUnavailableError,
)
from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.ports.shards import (
    HOME,
    PartlyRecordedError,
    ShardMap,
    ShardUnavailableError,
    SliceInMotionError,
)
from offerlog_application.recording.pending_answer import BEGUN, PendingAnswer
from offerlog_application.recording.steady_clock import SteadyClock
from offerlog_application.recording.submission import Command, UndatedRefusal
from offerlog_application.recording.writer import WriterHealth
from offerlog_application.recording.writers import JoinedAnswer
from offerlog_application.sharding.action_search import ActionSearch, SearchThread
from offerlog_application.sharding.in_motion import PATIENCE_SECONDS, Patience
from offerlog_application.sharding.rerouting import Rerouting
from offerlog_application.sharding.router import Router
from offerlog_application.sharding.stepwise import Decided, StepwiseAnswer
from offerlog_domain.context import Rules
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OrganizationKey

T = TypeVar("T")

_Decided = tuple[Sequence[Decision], int | None]


@dataclass(slots=True, eq=False)
class _Part:
    """The part of a submission that one shard gets.

    Attributes:
        commands: Its commands, in order.
        places: The place of each among all commands.
        refusals: Its lines for the refusal log.
        decided: The decisions and the position, once they are there.
        error: The error that came instead.
        patience: How long it is handed in again while its slices are on their way; None before that.
    """

    commands: list[Command] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refusals: list[UndatedRefusal] = field(default_factory=list)
    decided: _Decided | None = None
    error: BaseException | None = None
    patience: Patience | None = None


def _keep(decisions: Sequence[Decision], position: int | None) -> _Decided:
    return decisions, position


def _keep_joined(decisions: Sequence[Decision], position: LogPosition | None) -> Decided:
    return decisions, position


class DividedWriter:
    """The application's `Writer` over several shards; thread-safe.

    Args:
        router: Finds the shards.
        clock: The service's clock.
        rules: The periods that an operator may set.

    Attributes:
        rules: Those periods.
        search: Finds actions by their id alone.
    """

    def __init__(self, router: Router, clock: Clock, rules: Rules) -> None:
        self.rules = rules
        self._router = router
        self._clock = SteadyClock(clock)
        self._again = Rerouting(router)
        self.search = ActionSearch(router)
        self._searching = SearchThread(self.search)
        self._is_closed = False

    def submit(
        self,
        commands: Sequence[Command],
        refusals: Sequence[UndatedRefusal],
        answer: JoinedAnswer[T],
        *,
        organization: str,
        from_widget: bool = False,
        key: OrganizationKey | None = None,
    ) -> PendingAnswer[T]:
        """Hand in work of one organization; the answer comes once all of it is durable.

        The answer is a `PartlyRecordedError` if a part is recorded and another part is not. Once it is handed
        in, it cannot be taken back. A signal that names its action alone is looked for on all shards. If no
        shard knows its action, it waits at the home.

        Raises:
            ClosedError: The writer has been closed.
        """
        if self._is_closed:
            raise ClosedError
        origin = _Origin(organization, from_widget, key)
        if any(command.is_short for command in commands):
            return StepwiseAnswer(
                commands,
                refusals,
                answer,
                lambda some, texts: self._begin(some, texts, _keep_joined, origin),
                self._searching,
            )
        return self._begin(commands, refusals, answer, origin)

    def _begin(
        self,
        commands: Sequence[Command],
        refusals: Sequence[UndatedRefusal],
        answer: JoinedAnswer[T],
        origin: "_Origin",
    ) -> PendingAnswer[T]:
        whole = _Part([*commands], [*range(len(commands))], [*refusals])
        return _Submitted(self, _divide(whole, self._router.map), answer, origin)

    def now(self) -> datetime:
        """Return the time by the clock of decisions."""
        return self._clock.now()

    @property
    def depth(self) -> int:
        """Number of commands that wait to be written, on all shards."""
        return sum(shard.writer.depth for shard in self._router.open())

    @property
    def health(self) -> WriterHealth:
        """The state of the writers. There is trouble, or a stall, if no shard can be written to."""
        shards = self._router.open()
        found = [shard.writer.health for shard in shards]
        troubles = [shard.find_silence() or one.trouble for shard, one in zip(shards, found, strict=True)]
        return WriterHealth(
            alive=all(one.alive for one in found),
            stalled_seconds=min((one.stalled_seconds for one in found), default=0.0),
            waiting=sum(one.waiting for one in found),
            incidents=sum(one.incidents for one in found),
            trouble=troubles[0] if troubles and None not in troubles else None,
        )

    def close(self) -> None:
        """Take no more. The writers of the shards finish what waits when the shards are closed."""
        self._is_closed = True
        self._searching.close()
        self._again.close()

    def explain(self, number: int, error: StoreUnavailableError) -> ShardUnavailableError:
        """Return the error of a shard that names it."""
        return self._router.explain(number, error)

    def hand_in(self, submitted: "_Submitted[Any]", number: int, part: _Part) -> None:
        """Hand a part in at a shard; its end is noted in `submitted`."""
        origin = submitted.origin
        try:
            pending = self._router.get(number).writer.submit(
                part.commands,
                part.refusals,
                _keep,
                organization=origin.organization,
                from_widget=origin.from_widget,
                key=origin.key,
            )
        except Exception as error:  # noqa: BLE001 - belongs to this part; the others go on
            submitted.note(part, None, error)
            return
        pending.add_done_callback(lambda done: submitted.note_end(number, part, done))

    def hand_in_again(self, submitted: "_Submitted[Any]", part: _Part, slices: Collection[int]) -> None:
        """Divide a part by a map read anew, and hand it in, on another thread; wait longer each time.

        While nobody owns its slices, the shards are asked again before it is handed in: a writer that has to
        refuse it would decide it first, and others in its group anew.

        Args:
            submitted: Its submission.
            part: The part.
            slices: Its slices that were not where it was handed in.
        """

        def divide(shard_map: ShardMap) -> None:
            if {*slices} & {*shard_map.unowned}:
                self.hand_in_again(submitted, part, slices)
            else:
                submitted.replace(part, _divide(part, shard_map))

        pause = 0.0
        if part.patience is None:
            part.patience = Patience(PATIENCE_SECONDS)
        else:
            try:
                pause = part.patience.next_pause(self._router.map, sorted(slices))
            except SliceInMotionError as error:
                submitted.note(part, None, error)
                return
        self._again.add(pause, divide, lambda error: submitted.note(part, None, error))


@dataclass(frozen=True, slots=True)
class _Origin:
    """The caller of a submission."""

    organization: str
    from_widget: bool
    key: OrganizationKey | None


class _Submitted(PendingAnswer[T]):
    """The pending answer to work that was divided among shards."""

    def __init__(
        self, writer: DividedWriter, parts: dict[int, _Part], answer: JoinedAnswer[T], origin: _Origin
    ) -> None:
        super().__init__()
        self.origin = origin
        self._writer = writer
        self._answer = answer
        self._lock = threading.Lock()
        self._parts = [*parts.values()]
        self._open = len(parts)
        self._state = BEGUN
        for number, part in parts.items():
            writer.hand_in(self, number, part)

    def cancel(self) -> bool:
        """Return False: some shard may have begun with it."""
        return False

    def note_end(self, number: int, part: _Part, pending: PendingAnswer[_Decided]) -> None:
        """Note what became of a part; one that met a stale map, or a slice on its way, is handed in again."""
        error = pending.exception()
        if isinstance(error, StoreUnavailableError):
            error = self._writer.explain(number, error)
        if isinstance(error, SliceElsewhereError):
            self._writer.hand_in_again(self, part, error.slices)
        else:
            self.note(part, None if error is not None else pending.result(), error)

    def replace(self, part: _Part, parts: dict[int, _Part]) -> None:
        """Hand in others in place of a part."""
        with self._lock:
            self._parts.remove(part)
            self._parts += parts.values()
            self._open += len(parts) - 1
        for number, one in parts.items():
            one.patience = part.patience
            self._writer.hand_in(self, number, one)

    def note(self, part: _Part, decided: _Decided | None, error: BaseException | None) -> None:
        """Note the end of a part; answer once all have ended."""
        with self._lock:
            part.decided, part.error = decided, error
            self._open -= 1
            is_over = self._open == 0
        if is_over:
            self._end()

    def _end(self) -> None:
        errors = [part.error for part in self._parts if part.error is not None]
        if errors:
            # Any other error says that nothing was recorded: of the whole, it would not be known.
            worst = next((one for one in errors if isinstance(one, OutcomeUnknownError)), errors[0])
            is_whole = len(errors) == len(self._parts)
            self.set_exception(worst if is_whole else PartlyRecordedError(worst))
            return
        decisions: dict[int, Decision] = {}
        positions: list[int | None] = []
        for part in self._parts:
            assert part.decided is not None  # noqa: S101 - it has no error
            decisions |= zip(part.places, part.decided[0], strict=True)
            positions.append(part.decided[1])
        try:
            result = self._answer(
                [decisions[place] for place in sorted(decisions)], latest_position(positions)
            )
        except Exception as error:  # noqa: BLE001 - belongs to the caller
            self.set_exception(error)
        else:
            self.set_result(result)


def _divide(whole: _Part, shard_map: ShardMap) -> dict[int, _Part]:
    """Divide work by the shards of its visitors. A refused text of nobody goes with any other part.

    A short signal whose action no shard knows goes to the home.
    """
    parts: dict[int, _Part] = {}
    for command, place in zip(whole.commands, whole.places, strict=True):
        number = HOME if command.is_short else shard_map.shard_of(command.offer.visitor_digest)
        part = parts.setdefault(number, _Part())
        part.commands.append(command)
        part.places.append(place)
    of_nobody: list[UndatedRefusal] = []
    for refusal in whole.refusals:
        if refusal.visitor_digest is None:
            of_nobody.append(refusal)
        else:
            parts.setdefault(shard_map.shard_of(refusal.visitor_digest), _Part()).refusals.append(refusal)
    if of_nobody or not parts:
        parts.setdefault(next(iter(parts), HOME), _Part()).refusals.extend(of_nobody)
    return parts
