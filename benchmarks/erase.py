"""Erasures: one visitor at a time, from the call until projections follow and the receipt is durable."""

import json
import sys
from functools import partial

from children import limited
from ground import database, percentile, say, server, settle, timed
from ingest_bulk import IN_FLIGHT, record
from traffic import day

from offerlog_infrastructure.composition import open_offerlog

ERASURES = 100


def customers(lines: list[bytes], count: int) -> list[tuple[str, str]]:
    """Ids and types of some visitors, spread over the day."""
    found = dict.fromkeys(
        (signal["customerId"], signal.get("customerIdType") or "cookie")
        for signal in map(json.loads, lines[:: max(len(lines) // (4 * count), 1)])
    )
    return list(found)[:count]


def main(visitors: int) -> None:
    """Measure and print."""
    lines = [line for line in day(visitors) if line.startswith(b'{"actionId"')]
    settle()
    with server() as dsn, open_offerlog(database_url=database(dsn), keep_deadlines=False) as service:
        record(service, lines, IN_FLIGHT)
        service.catch_up()
        times, events = [], 0
        for customer, kind in customers(lines, ERASURES):
            held = service.visitor_data(customer_id=customer, customer_id_type=kind)
            events += sum(1 for row in held if row.place == "offerlog_events")
            erase = partial(service.erase, customer_id=customer, customer_id_type=kind)
            times.append(timed(erase) * 1_000)
        figures = {
            "visitors": float(visitors),
            "events of an erased visitor": events / len(times),
            "p50, ms": percentile(times, 0.5),
            "p99, ms": percentile(times, 0.99),
        }
    say("erase", figures, {})


if __name__ == "__main__":
    with limited():
        main(4_000 if "--small" in sys.argv else 20_000)
