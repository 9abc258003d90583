"""The result of a soak: figures from the histories, and the checker's violations."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from soak.evidence import Attempt, Evidence, Violation
from soak.history import ANSWERED, HEALED, INJECTED, OVER, SKIPPED, Entry


@dataclass
class FaultFigures:
    """What a kind of fault did.

    Attributes:
        injected: How often it was injected.
        silences: For each time, the longest stretch in seconds in which no client at all was answered,
            from the last answer before the injection up to the next injection.
        skipped: Why it was not injected, and how often.
    """

    injected: int = 0
    silences: list[float] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass
class Result:
    """One run.

    Attributes:
        command: What repeats it.
        seconds: How long clients sent.
        faults: By name.
        requests: Requests by fate.
        outcomes: Signals and offers acknowledged, by outcome.
        ways: Requests answered, by the way they were sent.
        events: How many events the log holds; `streams`: of how many visitor-offers.
        readers: What readers did, in words.
        violations: Empty, or the soak has failed.
    """

    command: str
    seconds: float
    faults: dict[str, FaultFigures]
    requests: Counter[str]
    outcomes: Counter[str]
    ways: Counter[str] = field(default_factory=Counter)
    events: int = 0
    streams: int = 0
    readers: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def json(self) -> str:
        """The same for a program."""
        document: dict[str, Any] = {
            "command": self.command,
            "seconds": self.seconds,
            "faults": {name: vars(one) for name, one in self.faults.items()},
            "requests": self.requests,
            "outcomes": self.outcomes,
            "ways": self.ways,
            "events": self.events,
            "streams": self.streams,
            "readers": self.readers,
            "violations": [asdict(one) for one in self.violations],
        }
        document["acknowledged"] = sum(self.outcomes.values())
        document["violations_by_kind"] = Counter(one.kind for one in self.violations)
        return json.dumps(document, indent=1) + "\n"


def result_of(
    command: str, seconds: float, entries: Sequence[Entry], evidence: Evidence, found: list[Violation]
) -> Result:
    """Count everything."""
    outcomes: Counter[str] = Counter()
    for attempt in evidence.attempts:
        outcomes.update(kind for kind, _ in attempt.outcomes)
        if attempt.decision is not None:
            outcomes[f"offer {'made' if attempt.decision == 'offered' else attempt.decision}"] += 1
    return Result(
        command,
        seconds,
        fault_figures(entries, evidence.attempts),
        Counter(one.fate for one in evidence.attempts),
        outcomes,
        Counter(one.way for one in evidence.attempts if one.fate == ANSWERED),
        len(evidence.log),
        len({one.stream for one in evidence.log}),
        violations=found,
    )


def fault_figures(entries: Sequence[Entry], attempts: Sequence[Attempt]) -> dict[str, FaultFigures]:
    """Count injections, and how long all clients were silent at each."""
    found: defaultdict[str, FaultFigures] = defaultdict(FaultFigures)
    answered = sorted(one.ended for one in attempts if one.fate == ANSWERED and one.ended is not None)
    nemesis = sorted(
        (one for one in entries if one["kind"] in {INJECTED, HEALED, SKIPPED}), key=lambda one: one["at"]
    )
    injections = [one for one in nemesis if one["kind"] == INJECTED]
    for entry in nemesis:
        if entry["kind"] == SKIPPED:
            found[entry["fault"]].skipped[entry["why"]] += 1
    overs = [one["at"] for one in entries if one["kind"] == OVER]  # one for each part of a run
    for n, entry in enumerate(injections):
        over = min((at for at in overs if at >= entry["at"]), default=float("inf"))
        until = min(injections[n + 1]["at"] if n + 1 < len(injections) else over, over)
        figures = found[entry["fault"]]
        figures.injected += 1
        figures.silences.append(longest_silence(answered, entry["at"], until, over))
    return dict(sorted(found.items()))


def longest_silence(answered: Sequence[float], since: float, until: float, over: float) -> float:
    """Return the longest stretch without an answer that begins or ends between these times.

    Args:
        answered: When any client was answered, in order.
        since: The beginning.
        until: The end.
        over: When clients stopped sending: silence from then on does not count.
    """
    at = max(0, bisect_left(answered, since) - 1)
    longest = 0.0
    for earlier, later in zip(answered[at:], answered[at + 1 :], strict=False):
        if earlier > until:
            break
        longest = max(longest, min(later, over) - earlier)
    return longest


def middle(silences: Sequence[float]) -> float:
    """Return the median; 0 of none."""
    return median(silences) if silences else 0.0
