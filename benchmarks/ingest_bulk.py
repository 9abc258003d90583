"""record of NDJSON, 1,000 signals a call, validation to durable outcome, beside the binary-COPY limit."""

import sys
from collections import Counter, deque
from functools import partial

from children import SECONDS, limited
from ground import database, say, server, settle, timed
from peers import copy_rate, stored_rows
from traffic import day
from unsealed import parts_unsealed

from offerlog_application.offerlog import Offerlog
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_infrastructure.composition import open_offerlog

CALL = 1_000
IN_FLIGHT = 3


def record(service: Offerlog, lines: list[bytes], in_flight: int) -> Counter[str]:
    """Send everything, with so many calls at once; returns the outcomes."""
    outcomes: Counter[str] = Counter()
    waiting: deque[PendingAnswer[Receipt]] = deque()
    for start in range(0, len(lines), CALL):
        waiting.append(service.hand_in(lines[start : start + CALL]))
        if len(waiting) >= in_flight:
            outcomes.update(o.kind.value for o in waiting.popleft().result(SECONDS).outcomes)
    while waiting:
        outcomes.update(o.kind.value for o in waiting.popleft().result(SECONDS).outcomes)
    return outcomes


def main(visitors: int) -> None:
    """Measure and print."""
    lines = day(visitors)
    settle()
    figures: dict[str, float] = {"signals": len(lines)}
    with server() as dsn:
        rates = {}
        for in_flight in (1, IN_FLIGHT):
            ours = database(dsn)
            with open_offerlog(database_url=ours, keep_deadlines=False, project=False) as service:
                seconds = timed(partial(record, service, lines, in_flight))
            rates[in_flight] = len(lines) / seconds
            figures[f"signals/s, {in_flight} calls in flight"] = rates[in_flight]
        with (
            open_offerlog(database_url=database(dsn), keep_deadlines=False, project=False) as service,
            parts_unsealed(),
        ):
            figures["signals/s, nothing sealed"] = len(lines) / timed(
                partial(record, service, lines, IN_FLIGHT)
            )
        rows = stored_rows(ours)
        figures["events stored"] = len(rows.rows)
        limit = copy_rate(database(dsn), rows, CALL)
        figures["COPY limit, rows/s"] = limit
    best = max(rates.values())
    ratios = {
        "vs_copy": best / limit,
        "vs_copy one call at a time": rates[1] / limit,
        "vs_unsealed": rates[IN_FLIGHT] / figures["signals/s, nothing sealed"],
    }
    say("ingest-bulk", figures, ratios)


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
