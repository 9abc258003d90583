"""A naive model of the service, written from the domain description alone: plain dicts and lists.

It shares no code with the program. A signal is a dict: customer, kind, map, action, state, media, at (None
where it does not say), id, session, version, code, message, timeout, name, and raw, the text that came.
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

CHAT = {
    "offered": ["accepted", "rejected", "ignored", "errored", "timedout"],
    "accepted": ["rejected", "started"],
    "started": ["abandoned", "engaged"],
}
WITHHELD = ["qualifiedOutsideSchedule", "offeredOutsideSchedule", "frequencyCapReached"]
FIRST = {"qualified": ["offered", *WITHHELD]}
LEGAL = {
    "webchat": FIRST | CHAT,
    "webMessagingOffer": FIRST | CHAT,
    "contentOffer": FIRST | {"offered": ["accepted", "rejected", "ignored", "errored"]},
}
BEFORE_OFFER = ["qualified", *WITHHELD]
CHAT_ENDS = ["engaged", "rejected", "timedout", "ignored", "abandoned"]
TERMINAL = {
    "webchat": CHAT_ENDS,
    "webMessagingOffer": CHAT_ENDS,
    "contentOffer": ["accepted", "rejected", "ignored"],
}
ORDER = ["qualified", "offered", "accepted", "started"]
CONTENT = ["action", "state", "media", "version", "session", "code", "message", "timeout"]
MINUTE = timedelta(minutes=1)
CROWD = 64

Document = dict[str, Any]


def rank(signal: Document) -> int:
    """The place in lifecycle order; final states share the last one."""
    return ORDER.index(signal["state"]) if signal["state"] in LEGAL[signal["media"]] else 4


def reachable(media: str, state: str) -> list[str]:
    """Every state that can still come behind this one."""
    followers = LEGAL[media].get(state, [])
    return [later for follower in followers for later in [follower, *reachable(media, follower)]]


def since_offer(offer: Document) -> list[Document]:
    """The events of a visitor-offer without those before an offer: these block and suppress nothing."""
    return [event for event in offer["events"] if event["state"] not in BEFORE_OFFER]


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
        tracked = [n for n, one in enumerate(batch) if one.get("media") in LEGAL and self._is_ours(one)]
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
        events = since_offer(offer)
        if not events:
            return None
        last = events[-1]
        mine = [event for event in events if event["action"] == last["action"]]
        if at is None:
            at, seen = now, [max(event["occurred"], event["recorded"]) for event in mine]
        else:
            seen = [event["occurred"] for event in mine]
        if self._withdrawn(last) and at >= seen[0] + self._timeout(last) + self.deadline_grace:
            return "terminal_state", "timedout", last["action"], last["occurred"] + self._timeout(last)
        if last["state"] in TERMINAL[last["media"]]:
            return "terminal_state", last["state"], last["action"], last["occurred"]
        if last["state"] == "errored" or at - max(seen) >= self.open_action_ttl:
            return None
        return "already_open", last["state"], last["action"], last["occurred"]

    def decide(self, signal: Document, now: datetime, *, named: bool) -> Any:
        """The offer decision: None where it is made, else what stands against it, or what its id meets."""
        offer = self.of(signal)
        outcome = self.hear(signal | {"at": None}, now, remember=named)
        if outcome in {"refused: action_over", "refused: not_legal"}:
            return outcome
        for refused in offer["refused"]:
            if refused["action"] == signal["action"]:
                return refused["by"]
        if any(event["action"] == signal["action"] for event in since_offer(offer)):
            return None
        return self.blocker(offer, None, now)

    def expire(self, now: datetime) -> None:
        """What the passing of time alone brings about."""
        for offer in self.offers.values():
            self.end_parking(offer, now)
            if since_offer(offer):
                last = since_offer(offer)[-1]
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
        last = [(one["key"], since_offer(one)[-1]) for one in self.offers.values() if since_offer(one)]
        return sorted(
            (*key, event["state"], event["action"], event["occurred"])
            for key, event in last
            if event["state"] in TERMINAL[event["media"]]
        )

    def report(
        self, *, cohort: str, distinct: bool, hourly: bool, media: str | None = None
    ) -> dict[tuple[str, str | None], Counter[str]]:
        """Counts by map and hour of UTC, in the full view."""
        reached: defaultdict[tuple[str, str | None, str], list[tuple[str, ...]]] = defaultdict(list)
        for key, offer in self.offers.items():
            for event in [one for one in offer["events"] if media in {None, one["media"]}]:
                made = [one for one in since_offer(offer) if one["action"] == event["action"]]
                is_before = event["state"] in BEFORE_OFFER or cohort != "offered"
                at = (event if is_before else made[0])["occurred"]
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
        state = signal["state"]
        events = [event for event in offer["events"] if event["action"] == signal["action"]]
        if wrong := self._wrong(offer, signal, events):
            return f"refused: {wrong}"
        if state == "offered":
            return self._offer(offer, signal, now, remember=remember)
        if state in (LEGAL[signal["media"]][events[-1]["state"]] if events else BEFORE_OFFER):
            self._append(offer, signal, now)
            return "recorded"
        if len(offer["parked"]) >= CROWD:
            return "refused: crowded"
        offer["parked"].append(signal | {"since": now})
        return "parked"

    @staticmethod
    def _wrong(offer: Document, signal: Document, events: list[Document]) -> str | None:
        """Why a signal can never follow the events of its action; None where it can."""
        if not events:
            return None
        media, last = events[-1]["media"], events[-1]["state"]
        is_older = last != "qualified" and since_offer(offer)[-1:] != events[-1:]
        if last not in LEGAL[media] or is_older:
            return "action_over"
        can_follow = media == signal["media"] and signal["state"] in reachable(media, last)
        return None if can_follow else "not_legal"

    def _offer(self, offer: Document, signal: Document, now: datetime, *, remember: bool) -> str:
        by = self.blocker(offer, signal["at"], now)
        if by is not None and by[1] == "timedout" and since_offer(offer)[-1]["state"] == "offered":
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
        followers = LEGAL[signal["media"]].get(signal["state"], [])
        following = [one for one in mine if one["media"] == signal["media"] and one["state"] in followers]
        if following:
            first = min(following, key=rank)
            offer["parked"].remove(first)
            self._append(offer, first, now)

    def _time_out(self, offer: Document, now: datetime) -> None:
        last = since_offer(offer)[-1]
        silent = dict.fromkeys(["id", "code", "message", "timeout", "name"])
        at = last["occurred"] + self._timeout(last)
        self._append(offer, last | silent | {"state": "timedout", "at": at}, now)

    @staticmethod
    def _withdrawn(event: Document) -> bool:
        can_time_out = "timedout" in LEGAL[event["media"]]["offered"]
        return event["state"] == "offered" and event["timeout"] is not None and can_time_out

    @staticmethod
    def _timeout(event: Document) -> timedelta:
        return timedelta(seconds=event["timeout"])

    @staticmethod
    def _is_ours(signal: Document) -> bool:
        return signal["state"] in {"qualified", *reachable(signal["media"], "qualified")}

    @staticmethod
    def _is_same_action(one: Document, other: Document) -> bool:
        return all(one[name] == other[name] for name in ("customer", "kind", "map", "action"))
