"""The signals that benchmarks send, and the events they come to."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from offerlog_infrastructure.simulation import Traffic, simulate

MAPS = [str(uuid.UUID(int=n + 1)) for n in range(12)]

LIFECYCLES = (
    ("offered", "ignored"),
    ("offered", "accepted", "started", "engaged"),
    ("offered", "rejected"),
    ("offered", "accepted", "rejected"),
    ("offered", "accepted", "started", "abandoned"),
)
"""Whole lifecycles in turn: 3 signals on average."""


def day(visitors: int, seed: int = 7) -> list[bytes]:
    """A simulated day with disorder and repeats, as NDJSON lines in order of arrival."""
    traffic = Traffic(visitors, 12, 1, date(2026, 11, 20), seed, disorder=True, repeats=True)
    return [line.encode() for line in simulate(traffic)]


def lifecycles(count: int) -> Iterator[list[bytes]]:
    """Whole lifecycles, each of another visitor, one JSON text a signal."""
    started = datetime.now(UTC) - timedelta(hours=1)
    for n in range(count):
        action, visitor, session = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        yield [
            (
                f'{{"actionId":"{action}","actionState":"{state}","actionMediaType":"webchat",'
                f'"actionMapId":"{MAPS[n % 12]}","actionMapVersion":3,"customerId":"{visitor}",'
                f'"customerIdType":"cookie","sessionId":"{session}","errorCode":null,"errorMessage":null,'
                f'"eventId":"{uuid.uuid4()}","createdDate":"{_stamp(started + timedelta(seconds=step))}",'
                f'"timeoutSeconds":null,"actionMapName":"Checkout help"}}'
            ).encode()
            for step, state in enumerate(LIFECYCLES[n % len(LIFECYCLES)])
        ]


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
