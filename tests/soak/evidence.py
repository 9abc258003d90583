"""All that the checker looks at when a soak is over: histories, a copy of the log, what readers showed."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from soak.erased import ErasedCopy
from soak.history import ANSWERED, DECLINED, SENT, UNKNOWN, Entry
from soak.log_copy import Logged, Pair
from soak.policies import Policies
from soak.shown import CurrentAction, CurrentOffer, Suppressed, Waiting
from soak.visitor_copies import Visitor

Figures = dict[str, Counter[str]]
"""Counts by action map and metric (the state it counts)."""


@dataclass
class Attempt:
    """One request, as its client's history has it.

    Attributes:
        request: Its number.
        way: How it was sent.
        signals: Its reports, as they were sent.
        offer: The offer asked for; None for signals.
        again: The number of the attempt before, of the same request.
        sent: When; `ended`: when its outcome was known, by the monotonic clock.
        fate: `answered`, `declined`, or `unknown`, also where the client died waiting.
        outcomes: Those acknowledged, in the order of `signals`; perhaps not of all of them.
        decision: `offered` or `blocked`; `action`: of which action; of an offer asked for and answered.
        position: The log's position that the answer gave.
    """

    request: str
    way: str
    organization: str
    sent: float
    signals: tuple[str, ...] = ()
    offer: dict[str, Any] | None = None
    again: str | None = None
    ended: float | None = None
    fate: str = UNKNOWN
    outcomes: tuple[tuple[str, str | None], ...] = ()
    decision: str | None = None
    action: str | None = None
    position: int | None = None


@dataclass
class Evidence:
    """Everything. What is None was not looked at, and is not checked.

    Attributes:
        attempts: All requests of all clients.
        log: In order of position.
        unopened: What could not be opened with the visitors' keys, in words.
        visitors: The rows of the visitors.
        refusals: The refusal log: organization, reason, text.
        tailed: What a reader was shown that tailed the log: position, stream, version, in order.
        current: The projection of current states, by visitor-offer; `actions`: by action.
        waiting: The projection of parked signals.
        suppressed: The suppression lists.
        replica: What the local replica answered.
        reports: Figures by organization, `count_by`, `cohort` and hour (None: in total).
        streamed: The last figures that a stream of changes told, by organization.
        verified: The exit code of `offerlog projections verify --contents`, and what it said.
        seen: What was seen to be wrong while the soak ran: check and words.
        others: Position, stream and version of events that are not in `log` (see `LogCopy`).
        erased: What is left of erased visitors.
        policies: The cool-down policies, which held from the begin to the end.
    """

    attempts: list[Attempt]
    log: list[Logged]
    unopened: list[str] = field(default_factory=list)
    visitors: list[Visitor] | None = None
    refusals: list[tuple[str, str, str]] | None = None
    tailed: list[tuple[int, str, int]] | None = None
    current: set[CurrentOffer] | None = None
    actions: set[CurrentAction] | None = None
    waiting: set[Waiting] | None = None
    suppressed: Counter[Suppressed] | None = None
    replica: Counter[Suppressed] | None = None
    reports: dict[tuple[str, str, str, str | None], Figures] | None = None
    streamed: dict[str, Figures] | None = None
    verified: tuple[int, str] | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    others: list[tuple[int, str, int]] = field(default_factory=list)
    erased: ErasedCopy | None = None
    open_action_ttl: timedelta = timedelta(minutes=30)
    deadline_grace: timedelta = timedelta(minutes=15)
    policies: Policies = field(default_factory=dict)


def attempts_of(entries: Iterable[Entry]) -> list[Attempt]:
    """Put the histories' lines together, request by request."""
    found: dict[str, Attempt] = {}
    for entry in entries:
        if entry["kind"] == SENT:
            found[entry["request"]] = Attempt(
                entry["request"],
                entry["way"],
                entry["organization"],
                entry["at"],
                tuple(entry.get("signals", ())),
                entry.get("offer"),
                entry.get("again"),
            )
        elif entry["kind"] in {ANSWERED, DECLINED, UNKNOWN}:
            attempt = found[entry["request"]]
            attempt.ended, attempt.fate = entry["at"], entry["kind"]
            attempt.outcomes = tuple((one[0], one[1]) for one in entry.get("outcomes", ()))
            attempt.decision, attempt.action = entry.get("decision"), entry.get("action_id")
            attempt.position = entry.get("position")
    return sorted(found.values(), key=lambda one: one.sent)


class SentSignal(NamedTuple):
    """What a report says, as far as it can be read: what a sender and the log both know of it."""

    pair: Pair
    session: str
    action: str
    state: str
    event_id: str | None
    at: datetime | None
    error: tuple[str | None, str | None] = (None, None)


def told_by(organization: str, text: str) -> SentSignal | None:
    """Read a report's text; None where it lacks something required, so that it can only be refused."""
    wire = json.loads(text)
    at = wire.get("createdDate")
    try:
        return SentSignal(
            Pair(organization, wire.get("customerIdType", "cookie"), wire["customerId"], wire["actionMapId"]),
            wire["sessionId"],
            wire["actionId"],
            wire["actionState"],
            wire.get("eventId"),
            datetime.fromisoformat(at) if at else None,
            (wire.get("errorCode"), wire.get("errorMessage")),
        )
    except KeyError:
        return None


def pair_of_offer(attempt: Attempt) -> Pair:
    """Return what an offer was asked for."""
    offer = attempt.offer or {}
    return Pair(attempt.organization, offer["customerIdType"], offer["customerId"], offer["actionMapId"])


KINDS: Final = ("lost", "doubled", "misplaced", "contradicted", "other")
"""What a violation may be. Misplaced: on another server than that of the visitor."""


@dataclass(frozen=True)
class Violation:
    """Something that must never be.

    Attributes:
        check: Which check found it.
        kind: One of `KINDS`.
        what: In words, with the ids that lead to it.
    """

    check: str
    kind: str
    what: str


Violations = Sequence[Violation]
