"""One visitor-offer with 10,000 actions, and 100,000 parked signals of one tenant: does a signal cost more?

The first and the last quarter of each are compared in one run. The limit is the same work spread over
many visitor-offers, where nothing is crowded.
"""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from children import limited
from ground import database, say, server, settle
from traffic import MAPS

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog

ACTIONS = 10_000
PARKED = 100_000
PER_OFFER = 50
_BATCH = 100


class LateClock:
    """The machine's clock, until somebody moves it on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return datetime.now(UTC) + self.ahead


def signal(state: str, visitor: str, action: str) -> bytes:
    """One report."""
    fields = {"actionId": action, "actionState": state, "actionMapId": MAPS[0], "customerId": visitor}
    return json.dumps(fields | {"sessionId": action, "eventId": str(uuid.uuid4())}).encode()


def actions(count: int, *, one_visitor: bool) -> list[bytes]:
    """Invitations that fail one after the other: the map may offer again each time."""
    found: list[bytes] = []
    for n in range(count):
        action = str(uuid.uuid4())
        visitor = "undefined" if one_visitor else f"visitor-{n}"
        found += [signal("offered", visitor, action), signal("errored", visitor, action)]
    return found


def quarters(service: Offerlog, signals: Sequence[bytes]) -> tuple[float, float]:
    """Signals a second over the first and over the last quarter."""
    rates = []
    for start in range(0, len(signals), len(signals) // 4):
        part = signals[start : start + len(signals) // 4]
        began = time.perf_counter()
        for batch in batches(part):
            service.record(batch)
        rates.append(len(part) / (time.perf_counter() - began))
    return rates[0], rates[3]


def batches(signals: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Requests of a hundred signals."""
    for start in range(0, len(signals), _BATCH):
        yield signals[start : start + _BATCH]


def asked(service: Offerlog, visitor: str) -> float:
    """Milliseconds that one question about a visitor takes."""
    began = time.perf_counter()
    for _ in range(100):
        service.eligibility(customer_id=visitor, action_map_id=MAPS[0])
    return (time.perf_counter() - began) * 10


def main() -> None:
    """Measure and print."""
    with server() as dsn:
        ours, clock = database(dsn), LateClock()
        settle()
        with open_offerlog(database_url=ours, keep_deadlines=False, clock=clock) as service:
            service.record(actions(200, one_visitor=False))
            service.record([signal("offered", "alone", str(uuid.uuid4()))])
            spread = quarters(service, actions(ACTIONS, one_visitor=False))
            crowded = quarters(service, actions(ACTIONS, one_visitor=True))
            service.catch_up()
            question = asked(service, "undefined") / asked(service, "alone")
        with open_offerlog(database_url=ours, keep_deadlines=False, clock=clock) as service:
            began = time.perf_counter()
            service.record([signal("offered", "undefined", str(uuid.uuid4()))])
            load = (time.perf_counter() - began) * 1000
            waiting = [
                signal("accepted", f"early-{n // PER_OFFER}", str(uuid.uuid4())) for n in range(PARKED)
            ]
            parked = quarters(service, waiting)
            clock.ahead = timedelta(minutes=16)
            began = time.perf_counter()
            ended = service.expire()
            ending = ended.never_reachable / (time.perf_counter() - began)
            assert ended.never_reachable == PARKED
    say(
        "hot-offer",
        {
            "signals/s, visitor-offers of their own": spread[1],
            f"signals/s, the first quarter of {ACTIONS:,} actions of one": crowded[0],
            f"signals/s, the last quarter of {ACTIONS:,} actions of one": crowded[1],
            f"the first signal after a start, {ACTIONS:,} actions to read, ms": load,
            f"parked signals/s, the first quarter of {PARKED:,}": parked[0],
            f"parked signals/s, the last quarter of {PARKED:,}": parked[1],
            f"parked signals/s ended by the clock, {PARKED:,}": ending,
        },
        {
            "one visitor-offer, last vs first": crowded[1] / crowded[0],
            "one visitor-offer vs many, last quarter": crowded[1] / spread[1],
            "eligibility, crowded vs alone": question,
            "parked, last vs first": parked[1] / parked[0],
        },
    )


if __name__ == "__main__":
    with limited():
        main()
