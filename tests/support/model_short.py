"""The naive model of the service, with short signals: they name their action alone."""

from datetime import datetime, timedelta
from typing import Any

from support.model import LEGAL, MINUTE, Document, Model, rank, reachable, since_offer

WINDOW = timedelta(hours=2)
"""Time for which an action is found by its id alone, where open actions lapse after half an hour."""

TRACKED = {state for media in LEGAL for state in ["qualified", *reachable(media, "qualified")]}


class ShortModel(Model):
    """One organization. A short signal has `state`, `action`, `session`, `id`, `code`, `message` and `raw`.

    Attributes:
        waiting: Short signals that wait beside the visitor-offers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Document] = []

    def record_short(self, short: Document, now: datetime) -> str:
        """The outcome of one short signal."""
        outcome = self._hear_short(short, now)
        if outcome.startswith("refused"):
            self.refusals.append((outcome.removeprefix("refused: "), short["raw"]))
        return outcome

    def expire(self, now: datetime) -> None:
        """Release what waits, then what the passing of time brings about."""
        for one in sorted(self.waiting, key=lambda one: (one["action"], _rank(one), one["came"])):
            outcome = None
            found = self._find(one["action"])
            if len(found) == 1 and found[0]["recorded"] < one["came"] + 15 * MINUTE:
                outcome = self._hear_whole(one, found[0], now)
            elif now >= one["came"] + 15 * MINUTE:
                outcome = "refused: never_reachable"
            if outcome is not None:
                self.waiting.remove(one)
                if outcome.startswith("refused"):
                    self.refusals.append((outcome.removeprefix("refused: "), one["raw"]))
        super().expire(now)

    def _hear_short(self, short: Document, now: datetime) -> str:
        if short["state"] not in TRACKED:
            return "refused: not_tracked"
        found = self._find(short["action"])
        if len(found) == 1:
            return self._hear_whole(short, found[0], now)
        if any((one["action"], one["state"]) == (short["action"], short["state"]) for one in self.waiting):
            return "duplicate"
        self.waiting.append(short | {"came": now})
        return "parked"

    def _hear_whole(self, short: Document, offered: Document, now: datetime) -> str:
        names = ("customer", "kind", "map", "media", "version")
        rest: dict[str, Any] = {name: offered[name] for name in names}
        whole = short | rest | {"at": None, "timeout": None, "name": None}
        return self.hear(whole, now) if self._is_ours(whole) else "refused: not_tracked"

    def _find(self, action: str) -> list[Document]:
        """The offer of an action that was made lately: of several, those whose action is open."""
        found = [
            (offer, event)
            for offer in self.offers.values()
            for event in offer["events"]
            if (event["action"], event["state"]) == (action, "offered")
            and event["occurred"] > event["recorded"] - WINDOW
        ]
        if len(found) > 1:
            last = [since_offer(offer)[-1] for offer, _ in found]
            opened = [one["action"] == action and one["state"] in LEGAL[one["media"]] for one in last]
            found = [one for one, is_open in zip(found, opened, strict=True) if is_open]
        return [event for _, event in found]

    def _append(self, offer: Document, signal: Document, now: datetime) -> None:
        super()._append(offer, signal | {"since": signal["came"]} if "came" in signal else signal, now)


def _rank(short: Document) -> int:
    return rank(short | {"media": "webchat"})
