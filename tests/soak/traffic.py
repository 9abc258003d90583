"""The clients' requests: widgets' reports, good and bad, and requests for offers. All of it from a seed."""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from support.model import LEGAL

ORGANIZATIONS: Final = ("alpha", "beta", "gamma")
MAPS: Final = tuple(str(UUID(int=0xA0000000_0000_4000_8000_000000000000 + n)) for n in range(5))
HOT: Final = 12
"""So many visitors of an organization are everybody's: all clients report about the same actions."""
HOT_SECONDS: Final = 20.0
"""After this time others are hot: sooner or later every visitor-offer is over."""
TIMEOUTS: Final = (1, 43_200)
"""Seconds after which an invitation times out: at once, or never while a soak runs."""

CONTENT_OFFERS: Final = 6
"""One action in so many is a content offer, whoever reports about it."""
_ASKED: Final = ("customerId", "customerIdType", "actionMapId", "sessionId", "actionMediaType")

_PATHS: Final = {"offered": 8, "accepted": 6, "started": 5}
"""Weight of going on in a journey, against ending at this state."""
_ENDS_WITH_AN_ERROR: Final = 0.3
_MAX_SIGNALS: Final = 40
_MAX_WAITING: Final = 400

Wire = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One request: signals, or one offer asked for.

    Attributes:
        organization: Whose.
        signals: The reports, each as JSON text; empty where an offer is asked for.
        offer: The fields of the offer asked for, by their wire names; None for signals.
    """

    organization: str
    signals: tuple[str, ...] = ()
    offer: Wire | None = None


class Traffic:
    """The requests of one client, one after the other.

    Args:
        seed: All choices come from it, and from `client`.
        client: Unique in the run: its own visitors and actions have ids that no other client makes.
        began: Wall-clock time of the soak's begin: what is dated, is dated by it.
        share_of_offers: How many of the requests ask for an offer.
        accepts: Whether it may report about a visitor of an organization; about everybody by default.
    """

    def __init__(
        self,
        seed: int,
        client: str,
        began: float,
        share_of_offers: float = 0.2,
        accepts: Callable[[str, str], bool] = lambda _organization, _visitor: True,
    ) -> None:
        self._seed = seed
        self._client = client
        self._began = began
        self._share_of_offers = share_of_offers
        self._accepts = accepts
        self._chance = Random(f"traffic {seed} {client}")  # noqa: S311 - repeatable traffic, no secret
        self._number = 0
        self._waiting: dict[str, deque[Wire]] = {one: deque() for one in ORGANIZATIONS}
        self._sent: dict[str, deque[str]] = {one: deque(maxlen=200) for one in ORGANIZATIONS}

    def next(self) -> Request:
        """Make the next request."""
        chance = self._chance
        organization = chance.choice(ORGANIZATIONS)
        if chance.random() < self._share_of_offers:
            return self._offer(organization)
        waiting = self._waiting[organization]
        number = chance.choice((1, 1, 2, 5, 10, _MAX_SIGNALS))
        while len(waiting) < max(number, 20):
            self._begin_journey(organization)
        signals = [json.dumps(waiting.popleft()) for _ in range(number)]
        for n in range(number):
            signals[n] = self._disturbed(organization, signals[n])
        self._sent[organization].extend(signals)
        return Request(organization, tuple(signals))

    def _offer(self, organization: str) -> Request:
        """Ask for an offer, mostly with an action id of our own, and report what becomes of it."""
        wire = self._first(organization, is_hot=self._chance.random() < 0.5)
        asked = {name: wire[name] for name in _ASKED}
        asked["timeoutSeconds"] = self._chance.choice((None, *TIMEOUTS))
        if self._chance.random() < 0.9:
            asked["actionId"] = wire["actionId"]
            self._follow(organization, wire, "offered")
        return Request(organization, offer=asked)

    def _begin_journey(self, organization: str) -> None:
        wire = self._first(organization, is_hot=self._chance.random() < 0.4)
        self._waiting[organization].append(wire)
        self._follow(organization, wire, "offered")

    def _follow(self, organization: str, wire: Wire, state: str) -> None:
        """Let the reports of what follows wait, in order or not."""
        reports: list[Wire] = []
        at = datetime.fromisoformat(wire["createdDate"]) if "createdDate" in wire else None
        legal = LEGAL[wire["actionMediaType"]]
        while state in legal and self._chance.randrange(10) < _PATHS[state]:
            choices = legal[state]
            errs = state == "offered" and self._chance.random() < _ENDS_WITH_AN_ERROR
            state = "errored" if errs else self._chance.choice(choices)
            wire = wire | {"actionState": state, "eventId": self._event_id(wire["actionId"], state)}
            wire.pop("timeoutSeconds", None)
            if at is not None:
                at += timedelta(seconds=1)
                wire["createdDate"] = at.isoformat()
            if state == "errored":
                wire |= {"errorCode": "00045", "errorMessage": "no frame"}
            reports.append(wire)
        if self._chance.random() < 0.05:
            reports.append(wire | {"actionState": "engaged", "eventId": self._fresh_id()})  # a wrong one
        if self._chance.random() < 0.2:
            self._chance.shuffle(reports)
        waiting = self._waiting[organization]
        for report in reports:
            if self._chance.random() < 0.3 and len(waiting) < _MAX_WAITING:
                waiting.append(report)  # late: behind what waits already
            else:
                waiting.insert(min(len(waiting), self._chance.randrange(1, 6)), report)

    def _first(self, organization: str, *, is_hot: bool) -> Wire:
        """The report that an invitation was shown, to a visitor who is accepted."""
        wire = self._draw_first(organization, is_hot=is_hot)
        while not self._accepts(organization, wire["customerId"]):
            wire = self._draw_first(organization, is_hot=False)
        return wire

    def _draw_first(self, organization: str, *, is_hot: bool) -> Wire:
        chance, wall = self._chance, time.time()
        action_map = chance.choice(MAPS)
        wire: Wire = {"actionState": "offered", "actionMapId": action_map}
        if is_hot:
            turn = int((wall - self._began) / HOT_SECONDS)
            visitor = f"hot-{chance.randrange(HOT)}-{turn}"
            which = chance.randrange(6)
            action = self._id(f"hot action {organization} {visitor} {action_map} {which}")
            at = self._began + turn * HOT_SECONDS + which
            is_dated = which % 2 == 0
            session = self._id(f"session {visitor}")
        else:
            visitor, action, session = self._fresh_id(), self._fresh_id(), self._fresh_id()
            at = wall - chance.choice((0, 0, 1, 60, 7_200))
            is_dated = chance.random() < 0.6
            if chance.random() < 0.3:
                visitor = f"{self._client}-{self._number // 50}"  # comes again, with another action
        wire |= {"customerId": visitor, "customerIdType": "cookie", "sessionId": session, "actionId": action}
        wire["eventId"] = self._event_id(action, "offered")
        wire["actionMediaType"] = "webchat" if UUID(action).int % CONTENT_OFFERS else "contentOffer"
        if is_dated:
            wire["createdDate"] = datetime.fromtimestamp(at, UTC).isoformat()
        if not is_hot and chance.random() < 0.3:
            wire |= {"timeoutSeconds": chance.choice(TIMEOUTS), "actionMapVersion": 3}
        return wire

    def _disturbed(self, organization: str, text: str) -> str:
        """Replace a report, now and then: by a repeat of an earlier one, or by a wrong one."""
        chance = self._chance
        draw = chance.random()
        if draw < 0.06 and self._sent[organization]:
            return chance.choice(self._sent[organization])
        wire = json.loads(text)
        if draw < 0.08:
            wire["eventId"] = self._fresh_id()  # the same, told anew
        elif draw < 0.09:
            wire["sessionId"] = self._fresh_id()  # a contradiction, where the other one comes too
        elif draw < 0.10:
            del wire[chance.choice(("sessionId", "actionId", "customerId"))]
            wire["marker"] = self._fresh_id()
        elif draw < 0.11:
            wire |= {"actionState": "qualified", "marker": self._fresh_id()}
        elif draw < 0.115:
            wire["createdDate"] = "2999-01-01T00:00:00Z"
        return json.dumps(wire)

    def _event_id(self, action: str, state: str) -> str:
        return str(uuid5(NAMESPACE_OID, f"{action} {state}"))

    def _id(self, name: str) -> str:
        return str(uuid5(NAMESPACE_OID, f"{self._seed} {self._began} {name}"))

    def _fresh_id(self) -> str:
        self._number += 1
        return self._id(f"{self._client} {self._number}")
