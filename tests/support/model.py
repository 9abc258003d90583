"""A naive model of the service, written from the domain description alone: plain dicts and lists.

It shares no code with the program. A signal is a dict: customer, kind, map, action, state, media, at (None
where it does not say), id, session, version, code, message, timeout, name, and raw, the text that came.
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

LEGAL = {
    "offered": ["accepted", "rejected", "ignored", "errored", "timedout"],
    "accepted": ["rejected", "started"],
    "started": ["abandoned", "engaged"],
}
TERMINAL = ["engaged", "rejected", "timedout", "ignored", "abandoned"]
ORDER = ["offered", "accepted", "started"]
CONTENT = ["action", "state", "media", "version", "session", "code", "message", "timeout"]
MINUTE = timedelta(minutes=1)
CROWD = 64

Document = dict[str, Any]


def rank(signal: Document) -> int:
    """The place in lifecycle order; final states share the last one."""
    return ORDER.index(signal["state"]) if signal["state"] in ORDER else 3


def reachable(state: str) -> list[str]:
    """Every state that can still come behind this one."""
    return [later for follower in LEGAL.get(state, []) for later in [follower, *reachable(follower)]]


def same(known: Document, repeat: Document) -> bool:
    """Whether a report says what an earlier one said."""
    undated = known["at"] is None or repeat["at"] is None
    return (undated or known["at"] == repeat["at"]) and all(known[name] == repeat[name] for name in CONTENT)


class Model:
    """One organization.

    Attributes:
        offers: By customer, kind of id and map: the events, what waits, and the offers refused.
        refusals: The refusal log: reason and raw text.
        names: By map, every display name told: when, which.
        open_action_ttl: As the service has it; so the next two.
    """

    open_action_ttl = 30 * MINUTE
    parking_time = 15 * MINUTE
    deadline_grace = 15 * MINUTE

    def __init__(self) -> None:
        self.offers: dict[tuple[str, str, str], Document] = {}
        self.refusals: list[tuple[str, bytes]] = []
        self.names: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)

    def of(self, signal: Document) -> Document:
        """The visitor-offer that a signal is about."""
        key = signal["customer"], signal["kind"], signal["map"]
        return self.offers.setdefault(key, {"key": key, "events": [], "parked": [], "refused": []})

    def record(self, batch: list[Document], now: datetime) -> list[str]:
        """The outcome of each signal of a batch."""
        outcomes = ["refused: malformed" if "state" not in one else "refused: not_tracked" for one in batch]
        tracked = [n for n, one in enumerate(batch) if one.get("media") == "webchat" and self._is_ours(one)]
        order = dict(zip(tracked, tracked, strict=True))
        for n in tracked:
            mine = [m for m in tracked if self._is_same_action(batch[n], batch[m])]
            order |= dict(zip(mine, sorted(mine, key=lambda m: rank(batch[m])), strict=True))
        for place in tracked:
            outcomes[order[place]] = self.hear(batch[order[place]], now)
        for outcome, signal in zip(outcomes, batch, strict=True):
            if outcome.startswith("refused"):
                self.refusals.append((outcome.removeprefix("refused: "), signal["raw"]))
        return outcomes

    def hear(self, signal: Document, now: datetime, *, remember: bool = True) -> str:
        """The checks of one signal, in their order."""
        if signal["at"] is not None and signal["at"] > now + 5 * MINUTE:
            return "refused: from_the_future"
        if signal["at"] is not None and signal["at"].year < 2000:
            return "refused: too_old"
        offer = self.of(signal)
        self.end_parking(offer, now)
        return self._known(offer, signal) or self._moved(offer, signal, now, remember=remember)

    def blocker(
        self, offer: Document, at: datetime | None, now: datetime
    ) -> tuple[str, str, str, datetime] | None:
        """What stands against a new offer dated so, or undated: reason, state, action, since."""
        if not offer["events"]:
            return None
        last = offer["events"][-1]
        mine = [event for event in offer["events"] if event["action"] == last["action"]]
        if at is None:
            at, seen = now, [max(event["occurred"], event["recorded"]) for event in mine]
        else:
            seen = [event["occurred"] for event in mine]
        if self._withdrawn(last) and at >= seen[0] + self._timeout(last) + self.deadline_grace:
            return "terminal_state", "timedout", last["action"], last["occurred"] + self._timeout(last)
        if last["state"] in TERMINAL:
            return "terminal_state", last["state"], last["action"], last["occurred"]
        if last["state"] == "errored" or at - max(seen) >= self.open_action_ttl:
            return None
        return "already_open", last["state"], last["action"], last["occurred"]

    def decide(self, signal: Document, now: datetime, *, named: bool) -> Any:
        """The offer decision: None where it is made, else what stands against it."""
        offer = self.of(signal)
        self.hear(signal | {"at": None}, now, remember=named)
        for refused in offer["refused"]:
            if refused["action"] == signal["action"]:
                return refused["by"]
        if any(event["action"] == signal["action"] for event in offer["events"]):
            return None
        return self.blocker(offer, None, now)

    def expire(self, now: datetime) -> None:
        """What the passing of time alone brings about."""
        for offer in self.offers.values():
            self.end_parking(offer, now)
            if offer["events"]:
                last = offer["events"][-1]
                later = max(last["occurred"], last["recorded"])
                if self._withdrawn(last) and now >= later + self._timeout(last) + self.deadline_grace:
                    self._time_out(offer, now)

    def end_parking(self, offer: Document, now: datetime) -> None:
        """Give up what has waited for too long."""
        for waiting in [one for one in offer["parked"] if now - one["since"] >= self.parking_time]:
            offer["parked"].remove(waiting)
            self.refusals.append(("never_reachable", waiting["raw"]))

    def suppressions(self) -> list[tuple[Any, ...]]:
        """Customer, kind, map, state, action and since of every offer that must not be made again."""
        last = [(offer["key"], offer["events"][-1]) for offer in self.offers.values() if offer["events"]]
        return sorted(
            (*key, event["state"], event["action"], event["occurred"])
            for key, event in last
            if event["state"] in TERMINAL
        )

    def report(
        self, *, cohort: str, distinct: bool, hourly: bool
    ) -> dict[tuple[str, str | None], Counter[str]]:
        """Counts by map and hour of UTC, in the full view."""
        reached: defaultdict[tuple[str, str | None, str], list[tuple[str, ...]]] = defaultdict(list)
        for key, offer in self.offers.items():
            for event in offer["events"]:
                begun = next(one for one in offer["events"] if one["action"] == event["action"])
                at = (begun if cohort == "offered" else event)["occurred"]
                hour = at.replace(minute=0, second=0, microsecond=0).isoformat() if hourly else None
                reached[key[2], hour, event["state"]].append(key)
        rows: defaultdict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
        for (action_map, hour, state), who in reached.items():
            rows[action_map, hour][state] = len(set(who)) if distinct else len(who)
        return rows

    def _known(self, offer: Document, signal: Document) -> str | None:
        known = [*offer["events"], *offer["parked"], *offer["refused"]]
        for report in known:
            if signal["id"] is not None and report["id"] == signal["id"]:
                return "duplicate" if same(report, signal) else "refused: conflicting_duplicate"
        state, action = signal["state"], signal["action"]
        if any(report["action"] == action for report in offer["refused"]):
            return "duplicate" if state == "offered" else "refused: offer_refused"
        if any((report["action"], report["state"]) == (action, state) for report in known):
            return "duplicate"
        return None

    def _moved(self, offer: Document, signal: Document, now: datetime, *, remember: bool) -> str:
        state, action = signal["state"], signal["action"]
        mine = [event["state"] for event in offer["events"] if event["action"] == action]
        if not mine and state == "offered":
            return self._offer(offer, signal, now, remember=remember)
        if mine and (mine[-1] not in LEGAL or offer["events"][-1]["action"] != action):
            return "refused: action_over"
        if mine and state in LEGAL[mine[-1]]:
            self._append(offer, signal, now)
            return "recorded"
        if mine and state not in reachable(mine[-1]):
            return "refused: not_legal"
        if len(offer["parked"]) >= CROWD:
            return "refused: crowded"
        offer["parked"].append(signal | {"since": now})
        return "parked"

    def _offer(self, offer: Document, signal: Document, now: datetime, *, remember: bool) -> str:
        by = self.blocker(offer, signal["at"], now)
        if by is not None and by[1] == "timedout" and offer["events"][-1]["state"] == "offered":
            self._time_out(offer, now)
        if by is None:
            self._append(offer, signal, now)
            return "recorded"
        if remember and len(offer["refused"]) < CROWD:
            offer["refused"].append(signal | {"by": by})
            for waiting in [one for one in offer["parked"] if one["action"] == signal["action"]]:
                offer["parked"].remove(waiting)
                self.refusals.append(("offer_refused", waiting["raw"]))
        return f"refused: {by[0]}"

    def _append(self, offer: Document, signal: Document, now: datetime) -> None:
        before = [event["state"] for event in offer["events"] if event["action"] == signal["action"]]
        stages = {"offered": "invitation", "accepted": "form"}
        stage = stages[before[-1]] if signal["state"] == "rejected" else None
        occurred = signal["at"] or signal.get("since") or now
        offer["events"].append(signal | {"occurred": occurred, "recorded": now, "stage": stage})
        if signal["name"] is not None:
            self.names[signal["map"]].append((occurred, signal["name"]))
        mine = [one for one in offer["parked"] if one["action"] == signal["action"]]
        following = [one for one in mine if one["state"] in LEGAL.get(signal["state"], [])]
        if following:
            first = min(following, key=rank)
            offer["parked"].remove(first)
            self._append(offer, first, now)

    def _time_out(self, offer: Document, now: datetime) -> None:
        last = offer["events"][-1]
        silent = dict.fromkeys(["id", "code", "message", "timeout", "name"])
        at = last["occurred"] + self._timeout(last)
        self._append(offer, last | silent | {"state": "timedout", "at": at}, now)

    @staticmethod
    def _withdrawn(event: Document) -> bool:
        return event["state"] == "offered" and event["timeout"] is not None

    @staticmethod
    def _timeout(event: Document) -> timedelta:
        return timedelta(seconds=event["timeout"])

    @staticmethod
    def _is_ours(signal: Document) -> bool:
        return signal["state"] in {*ORDER, *TERMINAL, "errored"}

    @staticmethod
    def _is_same_action(one: Document, other: Document) -> bool:
        return all(one[name] == other[name] for name in ("customer", "kind", "map", "action"))
