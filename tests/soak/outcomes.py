"""Checks of the histories against the log: every acknowledged outcome is in it once, and nothing else is."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Final

from soak.evidence import Attempt, Evidence, SentSignal, Violation, pair_of_offer, told_by
from soak.history import ANSWERED, DECLINED
from soak.log_copy import Logged, Pair
from support.model import CROWD

_SECOND: Final = timedelta(seconds=1)

Key = tuple[Pair, str, str]
"""An action's state: pair, action, state."""


class Ledger:
    """The histories and the log, each so sorted that the other can be looked up in it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.reached: defaultdict[Key, list[Logged]] = defaultdict(list)
        self.parked: defaultdict[Key, list[Logged]] = defaultdict(list)
        self.refused: dict[tuple[Pair, str], Logged] = {}
        self.event_ids: set[tuple[Pair, str]] = set()
        self.refused_offers: Counter[Pair] = Counter()
        for event in evidence.log:
            key = event.pair, event.action, event.state
            if event.is_lifecycle:
                self.reached[key].append(event)
            elif event.kind == "signal-parked":
                self.parked[key].append(event)
            elif event.kind == "offer-refused":
                self.refused[event.pair, event.action] = event
                self.refused_offers[event.pair] += 1
            if event.event_id is not None:
                self.event_ids.add((event.pair, event.event_id))

    @cached_property
    def kept(self) -> Counter[tuple[str, str, str]]:
        """The refusal log: how often each organization, reason and text are in it."""
        return Counter(self.evidence.refusals or ())

    @cached_property
    def kept_texts(self) -> Counter[tuple[str, str]]:
        """The same without the reason."""
        return Counter((organization, text) for organization, _, text in self.evidence.refusals or ())

    def signals(self) -> Iterator[tuple[Attempt, str, SentSignal | None, tuple[str, str | None] | None]]:
        """Go through every report of every attempt, with what was acknowledged of it, if anything was."""
        for attempt in self.evidence.attempts:
            for n, text in enumerate(attempt.signals):
                outcome = attempt.outcomes[n] if n < len(attempt.outcomes) else None
                yield attempt, text, told_by(attempt.organization, text), outcome


def acknowledged(ledger: Ledger) -> Iterator[Violation]:
    """Every acknowledged outcome is what the log says."""
    recorded: Counter[Key] = Counter()
    refusals: Counter[tuple[str, str, str]] = Counter()
    for attempt, text, one_sent, outcome in ledger.signals():
        if outcome is None:
            continue
        kind, reason = outcome
        if missing := _missing(ledger, one_sent, kind, (attempt.organization, text)):
            what = f"request {attempt.request} was answered {kind} {reason or ''}: {missing}: {text}"
            yield Violation("acknowledged outcomes", "lost", what)
        if kind == "refused":
            refusals[attempt.organization, str(reason), text] += 1
        if kind == "recorded" and one_sent is not None:
            recorded[one_sent.pair, one_sent.action, one_sent.state] += 1
    for key, count in recorded.items():
        if count > 1:
            what = f"{key[2]} of action {key[1]} was acknowledged as recorded {count} times"
            yield Violation("acknowledged outcomes", "contradicted", what)
    if ledger.evidence.refusals is not None:
        yield from _refusals_kept(ledger, refusals)


def _refusals_kept(ledger: Ledger, refusals: Counter[tuple[str, str, str]]) -> Iterator[Violation]:
    for refusal, count in refusals.items():
        if ledger.kept[refusal] < count:
            what = f"acknowledged {count} times, kept {ledger.kept[refusal]} times: refusal {refusal}"
            yield Violation("acknowledged outcomes", "lost", what)


def _missing(ledger: Ledger, one_sent: SentSignal | None, kind: str, text: tuple[str, str]) -> str | None:
    """Say what the log lacks of a report that became this."""
    if kind == "received" and (ledger.evidence.refusals is None or ledger.kept_texts[text]):
        return None  # a widget is not answered what became of it
    if one_sent is None:
        return None if kind in {"refused", "received"} else "it cannot be read, and can only be refused"
    key = one_sent.pair, one_sent.action, one_sent.state
    reached, parked = ledger.reached.get(key, []), ledger.parked.get(key, [])
    if kind == "recorded":
        return (
            None if any(one.event_id == one_sent.event_id for one in reached) else "the log has no such event"
        )
    if kind == "parked":
        return (
            None if any(one.event_id == one_sent.event_id for one in parked) else "the log has it not parked"
        )
    if kind in {"duplicate", "received"}:
        is_known = reached or parked or (one_sent.pair, one_sent.action) in ledger.refused
        is_known = is_known or (one_sent.pair, one_sent.event_id) in ledger.event_ids
        return None if is_known else "the log does not know it"
    return None


def offers(ledger: Ledger) -> Iterator[Violation]:
    """Every offer that was made is in the log; none that was blocked is."""
    decided: dict[tuple[Pair, str], str] = {}
    for attempt in ledger.evidence.attempts:
        if attempt.offer is None or attempt.fate != ANSWERED:
            continue
        pair, action = pair_of_offer(attempt), str(attempt.action)
        is_crowded = ledger.refused_offers[pair] >= CROWD
        reached = ledger.reached.get((pair, action, "offered"), [])
        where = f"offer of action {action}, request {attempt.request}"
        if attempt.decision == "offered" and not reached:
            yield Violation("acknowledged offers", "lost", f"{where}: made, and the log has no such event")
        if attempt.decision == "blocked" and reached and not is_crowded:
            yield Violation("acknowledged offers", "contradicted", f"{where}: blocked, and in the log")
        is_named = "actionId" in attempt.offer
        if (
            attempt.decision == "blocked"
            and is_named
            and not is_crowded
            and (pair, action) not in ledger.refused
        ):
            yield Violation("acknowledged offers", "lost", f"{where}: blocked, and not remembered")
        before = decided.setdefault((pair, action), str(attempt.decision))
        if before != attempt.decision and not is_crowded:
            yield Violation(
                "acknowledged offers", "contradicted", f"{where}: {before}, then {attempt.decision}"
            )


def doubled(ledger: Ledger) -> Iterator[Violation]:
    """No action reaches a state twice, and no event id is in a visitor-offer twice."""
    for (_, action, state), events in ledger.reached.items():
        if len(events) > 1:
            where = ", ".join(str(one.position) for one in events)
            yield Violation("doubled events", "doubled", f"{state} of action {action} at positions {where}")


def refusals(ledger: Ledger) -> Iterator[Violation]:
    """A report is in the refusal log at most as often as it was sent."""
    if ledger.evidence.refusals is None:
        return
    sent: Counter[tuple[str, str]] = Counter()
    for attempt, text, _, _ in ledger.signals():
        if attempt.fate != DECLINED:
            sent[attempt.organization, text] += 1
    for (organization, text), count in ledger.kept_texts.items():
        if count > sent[organization, text]:
            what = f"sent {sent[organization, text]} times, kept {count} times by {organization}: {text}"
            yield Violation("refusal log", "doubled", what)


def declined(ledger: Ledger) -> Iterator[Violation]:
    """Nothing was taken of a request that was declined: sent again, its signals are no duplicates.

    Signals that anybody else sent too, or asked for as an offer, are left out, and time-outs, which the
    service records by itself.
    """
    by_request = {one.request: one for one in ledger.evidence.attempts}
    senders: defaultdict[Key, list[str]] = defaultdict(list)
    for attempt, _, one_sent, _ in ledger.signals():
        if one_sent is not None and attempt.again is None:
            senders[one_sent.pair, one_sent.action, one_sent.state].append(attempt.request)
    for attempt in ledger.evidence.attempts:
        if attempt.offer is not None:  # one that is blocked is remembered too
            action = str(attempt.action or attempt.offer.get("actionId"))
            senders[pair_of_offer(attempt), action, "offered"].append(attempt.request)
    for attempt, text, one_sent, outcome in ledger.signals():
        if one_sent is None or outcome is None or outcome[0] != "duplicate" or one_sent.state == "timedout":
            continue
        before = _before(attempt, by_request)
        is_alone = len(senders[one_sent.pair, one_sent.action, one_sent.state]) == 1
        if before and is_alone and all(one.fate == DECLINED for one in before):
            what = f"declined {len(before)} times, then a duplicate in request {attempt.request}: {text}"
            yield Violation("declined requests", "contradicted", what)


def _before(attempt: Attempt, by_request: Mapping[str, Attempt]) -> list[Attempt]:
    """List the attempts before this one of the same request."""
    found: list[Attempt] = []
    while attempt.again is not None:
        attempt = by_request[attempt.again]
        found.append(attempt)
    return found


def unsent(ledger: Ledger) -> Iterator[Violation]:
    """Nothing is in the log that nobody sent."""
    sent: defaultdict[Key, list[tuple[SentSignal, str]]] = defaultdict(list)
    for _, text, one_sent, _ in ledger.signals():
        if one_sent is not None:
            sent[one_sent.pair, one_sent.action, one_sent.state].append((one_sent, text))
    asked: dict[tuple[Pair, str], set[str]] = defaultdict(set)
    unnamed: dict[Pair, set[str]] = defaultdict(set)
    for attempt in ledger.evidence.attempts:
        if attempt.offer is None:
            continue
        session = attempt.offer["sessionId"]
        if "actionId" in attempt.offer:
            asked[pair_of_offer(attempt), attempt.offer["actionId"]].add(session)
        else:
            unnamed[pair_of_offer(attempt)].add(session)
    for event in ledger.evidence.log:
        if event.kind == "parking-ended" or _is_by_the_service(ledger, event):
            continue
        key = event.pair, event.action, event.state
        is_asked = event.state == "offered" and event.event_id is None and not event.dated
        is_asked = is_asked and event.session in asked[event.pair, event.action] | unnamed[event.pair]
        if not is_asked and not any(_is_same(*one, event) for one in sent.get(key, ())):
            what = f"{event.kind} at position {event.position}, event id {event.event_id}: nobody sent it"
            yield Violation("unsent events", "contradicted", what)


def _is_same(one_sent: SentSignal, text: str, event: Logged) -> bool:
    is_same_time = one_sent.at == event.occurred if event.dated else one_sent.at is None
    reported = one_sent.event_id, one_sent.session, one_sent.error
    is_same_text = event.raw is None or event.raw == text
    return reported == (event.event_id, event.session, event.error) and is_same_time and is_same_text


def _is_by_the_service(ledger: Ledger, event: Logged) -> bool:
    """Whether it is a time-out that the service recorded when it was due."""
    if event.kind != "timedout" or event.event_id is not None:
        return False
    offered = ledger.reached.get((event.pair, event.action, "offered"), [])
    return any(
        one.timeout is not None and event.occurred - one.occurred == one.timeout * _SECOND for one in offered
    )
