"""A writer as those see it who hand in work: the one of a log, or those of several shards as one."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from offerlog_application.ports.positions import LogPosition
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.submission import Command, UndatedRefusal
from offerlog_application.recording.writer import WriterHealth
from offerlog_domain.context import Rules
from offerlog_domain.decision import Decision
from offerlog_domain.identity import OrganizationKey

T = TypeVar("T")

JoinedAnswer = Callable[[Sequence[Decision], LogPosition | None], T]
"""As `Answer`; the position may be one of several logs."""


class Writer(Protocol):
    """The port to the writing; thread-safe. `GroupCommitWriter` says what each method does.

    Attributes:
        rules: The periods that an operator may set.
    """

    rules: Rules

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

        Raises:
            OverloadedError: Too much of this organization is waiting; nothing was taken.
            ClosedError: The writer has been closed.
        """

    def now(self) -> datetime:
        """Return the time by the clock of decisions."""

    @property
    def depth(self) -> int:
        """Number of commands that wait to be written."""

    @property
    def health(self) -> WriterHealth:
        """The state of the writer now, without asking the store and without waiting."""

    def close(self) -> None:
        """Take no more, finish what waits, stop."""
