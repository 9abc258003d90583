"""How fast the visitors of the other servers were answered, while one server did not answer."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from soak.evidence import Attempt, Violation, pair_of_offer, told_by
from soak.history import ANSWERED, Entry
from soak.shards.judge import Places
from soak.shards.moves import Whereabouts
from soak.shards.system import HOME, HURT, MENDED, SENDING, STOPPED, WENT_ON

_LONG_SECONDS: Final = 10.0
"""For so long at least a server must have been away, before visitors of others count as forgotten. The home
is left out: it has the keys, and a service asks it for them every few seconds."""


@dataclass
class Elsewhere:
    """Requests that were sent while some server was hurt, to services that did not stand still meanwhile.

    Attributes:
        who: The servers that are looked at, in words.
        times: How often one was hurt; `seconds`: for how long in all.
        answered: Seconds until each answer, of requests without any visitor of that server.
        unanswered: Number of such requests that were not answered, by reason of the server or a service.
        of_hurt: The longest time that a request with visitors of that server alone waited for an answer.
        forgotten: Where a server was away for long, and of all others who asked nobody was answered.
    """

    who: str
    times: int = 0
    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    unanswered: int = 0
    of_hurt: list[float] = field(default_factory=list)
    forgotten: list[Violation] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it for people."""
        words = (
            f"{self.who} was hurt {self.times:,} times, for {self.seconds:.1f} s in all; of the requests"
            f" without its visitors, {len(self.answered):,} were answered and {self.unanswered:,} were not"
        )
        found = [words]
        for name, waits in (("others'", self.answered), ("the hurt server's", self.of_hurt)):
            if waits:
                worst = sorted(waits)[int(len(waits) * 0.99)]
                found.append(
                    f"meanwhile {name} requests were answered after {_ms(median(waits))} (median),"
                    f" {_ms(worst)} (99 of 100), {_ms(max(waits))} (longest); {len(waits):,} of them"
                )
        return found


def look_elsewhere(
    entries: Sequence[Entry], attempts: Sequence[Attempt], places: Places, *, of_home: bool
) -> Elsewhere:
    """Look at all requests that were sent while the home was hurt, or while another server was."""
    whereabouts = Whereabouts(entries, places.directory)
    found = Elsewhere("the home" if of_home else "another server than the home")
    sent = [one.sent for one in attempts]
    stops = list(_intervals(entries, STOPPED, WENT_ON, "service"))
    for number, since, until in _intervals(entries, HURT, MENDED, "shard"):
        if (number == HOME) is not of_home:
            continue
        found.times, found.seconds = found.times + 1, found.seconds + until - since
        meanwhile = attempts[bisect_left(sent, since) : bisect_right(sent, until)]
        before, left_before = len(found.answered), found.unanswered
        for attempt in meanwhile:
            if _was_stopped(attempt, stops):
                continue
            shards = _shards_of(attempt, places, whereabouts)
            if number not in shards:
                _note(attempt, found)
            elif shards == {number} and attempt.fate == ANSWERED and attempt.ended is not None:
                found.of_hurt.append(attempt.ended - attempt.sent)
        seconds = min(until, _end_of_sending(entries, since)) - since
        asked = found.unanswered > left_before  # a client repeats a batch with visitors of that server
        if number != HOME and seconds > _LONG_SECONDS and asked and len(found.answered) == before:
            what = f"nobody else was answered in the {seconds:.1f} s in which shard {number} was away"
            found.forgotten.append(Violation("elsewhere", "other", what))
    return found


def _intervals(
    entries: Iterable[Entry], begins: str, ends: str, name: str
) -> Iterator[tuple[Any, float, float]]:
    """Return what entries of the first kind name, with their times and those of the second kind."""
    since: dict[Any, float] = {}
    for entry in sorted((one for one in entries if one["kind"] in {begins, ends}), key=lambda one: one["at"]):
        if entry["kind"] == begins:
            since.setdefault(entry[name], entry["at"])
        elif entry[name] in since:
            yield entry[name], since.pop(entry[name]), entry["at"]


def _was_stopped(attempt: Attempt, stops: Iterable[tuple[Any, float, float]]) -> bool:
    """Whether the service of a request stood still while somebody waited for its answer."""
    ended = float("inf") if attempt.ended is None else attempt.ended
    return any(attempt.way == name and attempt.sent <= until and ended >= at for name, at, until in stops)


def _end_of_sending(entries: Iterable[Entry], at: float) -> float:
    """Return until when clients send, in the part of a run that this time is in; for ever without parts."""
    ends = [one["until"] for one in entries if one["kind"] == SENDING and one["at"] <= at]
    return max(ends, default=float("inf"))


def _note(attempt: Attempt, found: Elsewhere) -> None:
    if attempt.fate == ANSWERED and attempt.ended is not None:
        found.answered.append(attempt.ended - attempt.sent)
    else:
        found.unanswered += 1


def _shards_of(attempt: Attempt, places: Places, whereabouts: Whereabouts) -> set[int]:
    """Return the shards of a request; what cannot be read is refused by the home."""
    if attempt.offer is not None:
        pairs = [pair_of_offer(attempt)]
        found = set[int]()
    else:
        signals = [told_by(attempt.organization, text) for text in attempt.signals]
        pairs = [one.pair for one in signals if one is not None]
        found = {HOME} if None in signals else set()
    ended = attempt.sent if attempt.ended is None else attempt.ended
    for pair in pairs:
        number = places.slice_of(pair.organization, pair.customer_type, pair.customer)
        found |= whereabouts.shards(number, attempt.sent, ended)
    return found


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:,.0f} ms"
