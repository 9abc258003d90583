"""The judge of a soak of webhooks: nothing is lost, order holds, and few events come twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MOST_IN_GROUP: Final = 32
"""Events that one kill, or one lost turn, may repeat, by docs/limits.md."""

MOST_AT_ONCE: Final = 8
"""Events on their way whose answers a restart of the receiver may cut off, by docs/limits.md."""


class Event(NamedTuple):
    """An event, as the feed has it or as it arrived."""

    visitor: str
    position: int


@dataclass
class Run:
    """The events and the faults of a soak.

    Attributes:
        recorded: The events of the log.
        taken: The events that the receiver took, as they came.
        lost_answers: Number of events that the receiver took without an answer to the sender.
        kills: How often a sending service was killed.
        restarts: How often the receiver was stopped and started again.
        lost_turns: How often the session that holds the turn to send was ended.
        given_up: Number of dead letters.
    """

    recorded: Sequence[Event] = ()
    taken: list[Event] = field(default_factory=list)
    lost_answers: int = 0
    kills: int = 0
    restarts: int = 0
    lost_turns: int = 0
    given_up: int = 0

    @property
    def doubled(self) -> int:
        """The number of events that came again, each time counted."""
        return len(self.taken) - len({*self.taken})

    @property
    def may_be_doubled(self) -> int:
        """The most events that may have come again."""
        of_groups = MOST_IN_GROUP * (self.kills + self.lost_turns)
        return self.lost_answers + of_groups + MOST_AT_ONCE * self.restarts


def judge(run: Run) -> list[str]:
    """Return all violations, in words."""
    taken, recorded = Counter(run.taken), {*run.recorded}
    found = [f"lost: {one}" for one in run.recorded if one not in taken]
    found += [f"not of the log: {one}" for one in taken if one not in recorded]
    latest: dict[str, int] = {}
    for one in dict.fromkeys(run.taken):  # as each came first
        if one.position < latest.get(one.visitor, 0):
            found.append(f"misplaced: {one} behind {latest[one.visitor]}")
        latest[one.visitor] = one.position
    if run.doubled > run.may_be_doubled:
        found.append(f"doubled: {run.doubled}, and at most {run.may_be_doubled} may be")
    if run.given_up:
        found.append(f"given up: {run.given_up}")
    return found
