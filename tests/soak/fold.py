"""A brute-force fold of a log: what each visitor-offer has become, and what projections must show of it.

It shares no code with the product. Whether an offer may be made, the naive model of the tests says.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from soak.evidence import Evidence, Figures, Violation
from soak.log_copy import Logged, Pair
from soak.policies import Policies, PolicyKey, is_over
from soak.shown import Suppressed
from support.model import BEFORE_OFFER, LEGAL, TERMINAL, Model, reachable, since_offer


class Oracle(Model):
    """The naive model with the periods of a run."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self.open_action_ttl = evidence.open_action_ttl
        self.deadline_grace = evidence.deadline_grace
        self.policies = evidence.policies


def streams(log: Iterable[Logged]) -> dict[str, list[Logged]]:
    """Sort a log by streams; each keeps the log's order."""
    found: defaultdict[str, list[Logged]] = defaultdict(list)
    for event in log:
        found[event.stream].append(event)
    return found


def order_violations(evidence: Evidence) -> Iterator[Violation]:
    """Find what the log's own order does not allow: an offer while suppressed, an impossible step."""
    oracle = Oracle(evidence)
    for stream, events in streams(evidence.log).items():
        replay = _Replay(oracle)
        for event in events:
            if wrong := replay.take(event):
                where = f"stream {stream} version {event.version} (position {event.position})"
                what = f"{where}: {event.kind} of {event.action}: {wrong}"
                yield Violation("order of the log", "contradicted", what)


class _Replay:
    """One stream, event by event; each method says what the event contradicts, or None."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._history: dict[str, Any] = {"events": []}
        self._parked: dict[tuple[str, str], int] = {}
        self._offers: dict[str, Logged] = {}

    def take(self, event: Logged) -> str | None:
        """Take the next event in."""
        if event.is_lifecycle:
            if event.kind == "offered":
                wrong = self._offered(event)
                self._offers.setdefault(event.action, event)
            else:
                wrong = self._moved(event)
            wrong = wrong or self._numbered(event) or self._ends(event, (event.action, event.state))
            self._parked.pop((event.action, event.state), None)
            self._history["events"].append(_for_the_oracle(event))
            return wrong
        return {
            "parking-ended": self._ended,
            "signal-parked": self._waits,
            "offer-refused": self._refused,
        }[event.kind](event)

    def _states(self, event: Logged) -> list[str]:
        return [one["state"] for one in self._history["events"] if one["action"] == event.action]

    def _blocker(self, event: Logged) -> Any:
        by = self._oracle.blocker(self._history, event.occurred if event.dated else None, event.recorded)
        if by is not None and by[0] == "terminal_state":
            key = PolicyKey(event.pair.organization, event.pair.action_map, by[1])
            at = event.occurred if event.dated else event.recorded
            return None if is_over(self._oracle.policies, key, by[3], at) else by
        return by

    def _offered(self, event: Logged) -> str | None:
        by = self._blocker(event)
        if self._states(event) not in ([], ["qualified"]):
            return "the action was offered before"
        return by and f"offered while {by[0]}: {by[1]} of {by[2]} since {by[3]}"

    def _moved(self, event: Logged) -> str | None:
        mine = self._states(event)
        if event.kind in BEFORE_OFFER:
            is_legal = not mine or (mine == ["qualified"] and event.kind != "qualified")
            return None if is_legal else f"it cannot follow {mine[-1]}"
        if not mine or event.state not in LEGAL[event.media].get(mine[-1], ()):
            return f"it cannot follow {mine[-1] if mine else 'nothing'}"
        newest = since_offer(self._history)[-1]
        if newest["action"] != event.action:
            return "a newer action has begun"
        if newest["media"] != event.media:
            return f"its action was offered as {newest['media']}"
        stage = "invitation" if mine[-1] == "offered" else "form"
        if event.stage not in {None, stage}:
            return f"rejected at the stage {event.stage} behind {mine[-1]}"
        return None

    def _numbered(self, event: Logged) -> str | None:
        """The action's number is its place among the offers, and the time of its offer is the offer's."""
        if event.kind in BEFORE_OFFER:
            right = len(self._offers) + 1, event.occurred
        else:
            right = list(self._offers).index(event.action) + 1, self._offers[event.action].occurred
        written = event.number, event.offered_at
        return None if written == right else f"number and time of the offer are {written} instead of {right}"

    def _ends(self, event: Logged, *parked: tuple[str, str]) -> str | None:
        """An event names the places of the signals that do not wait any more."""
        right = {self._parked[one] for one in parked if one in self._parked}
        return None if set(event.ended) == right else f"it ends the parked {event.ended} instead of {right}"

    def _waits(self, event: Logged) -> str | None:
        mine = self._states(event)
        self._parked[event.action, event.state] = event.version
        if not mine:
            return "an offer waits for nothing" if event.state == "offered" else None
        followers = LEGAL[event.media].get(mine[-1], ())
        if event.state in followers or event.state not in reachable(event.media, mine[-1]):
            return f"{event.state} has nothing to wait for behind {mine[-1]}"
        return None

    def _refused(self, event: Logged) -> str | None:
        ended = [one for one in self._parked if one[0] == event.action]
        wrong = self._ends(event, *ended)
        for one in ended:
            del self._parked[one]
        by = self._blocker(event)
        if by is None or (by[0], (by[2], by[1])) != (event.reason, event.blocked_by):
            return f"refused as {event.reason} by {event.blocked_by}, but there stands {by}"
        return wrong

    def _ended(self, event: Logged) -> str | None:
        if (event.action, event.state) not in self._parked:
            return "nothing of it was parked"
        wrong = self._ends(event, (event.action, event.state))
        del self._parked[event.action, event.state]
        return wrong


def _for_the_oracle(event: Logged) -> dict[str, Any]:
    return {
        "action": event.action,
        "state": event.state,
        "occurred": event.occurred,
        "recorded": event.recorded,
        "timeout": event.timeout,
        "media": event.media,
    }


def suppressed(log: Iterable[Logged]) -> Counter[Suppressed]:
    """Return what the suppression lists must hold: where a policy allows another offer, that ends the row."""
    found: dict[str, Suppressed] = {}
    for event in log:
        if event.kind == "offered":
            found.pop(event.stream, None)
        elif event.is_lifecycle and event.state in TERMINAL[event.media]:
            found[event.stream] = Suppressed(event.pair, event.state, event.action, event.occurred)
    return Counter(found.values())


def lasting(suppressions: Counter[Suppressed], policies: Policies) -> Counter[Suppressed]:
    """Return the suppressions that no policy ends, whenever somebody looks."""
    return Counter(
        {
            one: number
            for one, number in suppressions.items()
            if PolicyKey(one.pair.organization, one.pair.action_map, one.state) not in policies
        }
    )


def figures(log: Iterable[Logged]) -> dict[tuple[str, str, str, str | None], Figures]:
    """Return every report: by organization, `count_by`, `cohort`, and hour of UTC (None: in total)."""
    reached: defaultdict[tuple[str, str, str | None], Counter[tuple[Pair, str]]] = defaultdict(Counter)
    begun: dict[tuple[str, str], Logged] = {}
    for event in log:
        if not event.is_lifecycle:
            continue
        if event.state in BEFORE_OFFER:
            offered = event
        else:
            offered = begun.setdefault((event.stream, event.action), event)
        for cohort, at in (("event", event.occurred), ("offered", offered.occurred)):
            hour = (
                at - timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
            ).isoformat()
            for bucket in (None, hour):
                reached[event.pair.organization, cohort, bucket][event.pair, event.state] += 1
    found: dict[tuple[str, str, str, str | None], Figures] = {}
    for (organization, cohort, bucket), counts in reached.items():
        actions: Figures = defaultdict(Counter)
        visitors: Figures = defaultdict(Counter)
        for (pair, state), count in counts.items():
            actions[pair.action_map][state] += count
            visitors[pair.action_map][state] += 1
        found[organization, "actions", cohort, bucket] = dict(actions)
        found[organization, "visitors", cohort, bucket] = dict(visitors)
    return found
