"""The checker: every promise, one function each. What it finds is a violation."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from soak import erased, fold, identities, shown
from soak.evidence import Evidence, Figures, Violation
from soak.outcomes import Ledger, acknowledged, declined, doubled, offers, refusals, unsent
from support.model import BEFORE_OFFER

_MAX_SHOWN: Final = 5
"""Differences of one kind that are shown one by one."""


def check(evidence: Evidence) -> list[Violation]:
    """Check everything that was looked at."""
    ledger = Ledger(evidence)
    found = [one for part in _OF_HISTORIES for one in part(ledger)]
    found += [one for part in _OF_THE_LOG for one in part(evidence)]
    return found


def _versions(evidence: Evidence) -> Iterator[Violation]:
    """The versions of each stream are 1, 2, 3, ... in the order of the positions; a stream has one pair."""
    for stream, events in fold.streams(evidence.log).items():
        versions = [one.version for one in events]
        if versions != list(range(1, len(versions) + 1)):
            yield Violation("versions", "lost", f"stream {stream} has the versions {versions}")
        if len({one.pair for one in events}) > 1:
            yield Violation("versions", "contradicted", f"stream {stream} is about several visitor-offers")


def _positions(evidence: Evidence) -> Iterator[Violation]:
    """Each position is there once, and a stream's increase strictly; so do those that a client is told.

    A stream that was moved has positions of several servers, and those of each one increase.
    """
    positions = Counter(one.position for one in evidence.log)
    last: dict[tuple[str, int], int] = {}
    for event in evidence.log:
        recorder = event.stream, event.position >> 40
        is_older = event.position <= last.get(recorder, 0)
        if is_older or positions[event.position] > 1:
            what = f"position {event.position} of stream {event.stream} is there twice, or behind a newer one"
            yield Violation("positions", "contradicted", what)
            break
        last[recorder] = event.position
    newest: dict[str, int] = {}
    for attempt in evidence.attempts:
        client = attempt.request.rpartition("-")[0]
        if attempt.position is None:
            continue
        if attempt.position <= newest.get(client, 0):
            what = f"request {attempt.request} was told {attempt.position} behind {newest[client]}"
            yield Violation("positions", "contradicted", what)
        newest[client] = attempt.position


def _tail(evidence: Evidence) -> Iterator[Violation]:
    """A reader that tails the log is shown every event once, in order."""
    if evidence.tailed is None:
        return
    logged = sorted([(one.position, one.stream, one.version) for one in evidence.log] + evidence.others)
    if evidence.tailed != logged:
        seen, held = Counter(evidence.tailed), Counter(logged)
        yield from _each("tailing reader", "missed", held - seen, "lost")
        yield from _each("tailing reader", "shown too often", seen - held, "doubled")
        if seen == held:
            yield Violation("tailing reader", "contradicted", "the reader was shown the log in another order")


def _projections(evidence: Evidence) -> Iterator[Violation]:
    """Current state, parked signals and suppression lists are the brute-force fold of the log."""
    right, replica, policies = fold.suppressed(evidence.log), evidence.replica, evidence.policies
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("current state", evidence.current, shown.current_offers(evidence.log)),
        ("current actions", evidence.actions, shown.current_actions(evidence.log)),
        ("parked signals", evidence.waiting, shown.waiting(evidence.log)),
        ("suppression list", evidence.suppressed, right),
        (
            "local replica",  # it leaves out those whose time is over by its clock
            None if replica is None else fold.lasting(replica, policies),
            fold.lasting(right, policies),
        ),
    )
    for name, found, expected in pairs:
        if found is not None and found != expected:
            yield from _each(name, "not shown", expected - found, "lost")
            yield from _each(name, "shown wrongly", found - expected, "contradicted")
    yield from _each("local replica", "shown wrongly", (replica or right) - right, "contradicted")


def _reports(evidence: Evidence) -> Iterator[Violation]:
    """Reports, and what streams of changes told last, are the brute-force counts of the log."""
    right = fold.figures(evidence.log)
    if evidence.reports is not None:
        for key in sorted({*right, *evidence.reports}, key=str):
            yield from _figures(f"report {key}", evidence.reports.get(key, {}), right.get(key, {}))
    for organization, streamed_figures in (evidence.streamed or {}).items():
        every = right.get((organization, "actions", "event", None), {})
        # the stream shows the metrics since the offer
        offered = {
            one: Counter({state: n for state, n in counts.items() if state not in BEFORE_OFFER})
            for one, counts in every.items()
        }
        expected = {one: counts for one, counts in offered.items() if counts}
        yield from _figures(f"stream of changes of {organization}", streamed_figures, expected)


def _figures(name: str, found: Figures, right: Figures) -> Iterator[Violation]:
    for action_map in sorted({*found, *right}):
        counted, expected = +found.get(action_map, Counter()), +right.get(action_map, Counter())
        if counted != expected:
            kind = "lost" if expected - counted else "doubled"
            yield Violation(name, kind, f"{action_map}: {dict(counted)} instead of {dict(expected)}")


def _proofs(evidence: Evidence) -> Iterator[Violation]:
    """The projections' own proofs, and a comparison of every row with tables built anew, are clean."""
    if evidence.verified is not None and evidence.verified[0] != 0:
        yield Violation("projections verify --contents", "other", evidence.verified[1])


def _erased(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is left of erased visitors."""
    yield from erased.violations(evidence, Violation)


def _seen(evidence: Evidence) -> Iterator[Violation]:
    """What was seen to be wrong while the soak ran."""
    for name, what in evidence.seen:
        yield Violation(name, "other", what)


def _each(name: str, how: str, some: Iterable[Any], kind: str) -> Iterator[Violation]:
    listed = sorted(some, key=str)
    for one in listed[:_MAX_SHOWN]:
        yield Violation(name, kind, f"{how}: {one}")
    if len(listed) > _MAX_SHOWN:
        yield Violation(name, kind, f"{how}: {len(listed) - _MAX_SHOWN} more")


_OF_HISTORIES: Final[tuple[Callable[[Ledger], Iterator[Violation]], ...]] = (
    acknowledged,
    offers,
    declined,
    doubled,
    refusals,
    unsent,
)
_OF_THE_LOG: Final[tuple[Callable[[Evidence], Iterator[Violation]], ...]] = (
    identities.unopened,
    identities.visitors,
    identities.stream_ids,
    identities.nonces,
    _versions,
    _positions,
    _tail,
    fold.order_violations,
    _projections,
    _reports,
    _proofs,
    _erased,
    _seen,
)
