"""Time from a durable outcome until all three projections show it, at a steady 2,000 signals/s."""

import math
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import closing

from children import END_SECONDS, limited
from ground import database, percentile, say, server, settle
from traffic import lifecycles

from offerlog_application.offerlog import Offerlog
from offerlog_application.recording.batches import Receipt
from offerlog_infrastructure.composition import open_offerlog

RATE = 2_000
CALL = 10
WARM_UP_SECONDS = 2.0


class Watch:
    """Looks all the time how far the projections are, and settles what they show."""

    def __init__(self, service: Offerlog) -> None:
        self._service = service
        self._waiting: deque[tuple[int, float]] = deque()
        self._done = threading.Event()
        self.lags: list[float] = []
        self._until = math.inf
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def durable(self, done: Future[Receipt]) -> None:
        """A call has been answered."""
        position = done.result(0).position
        if isinstance(position, int):
            self._waiting.append((position, time.perf_counter()))

    def close(self) -> None:
        """Settle the rest and stop."""
        self._until = time.perf_counter() + END_SECONDS
        self._done.set()
        self._thread.join(2 * END_SECONDS)
        assert not self._waiting, (
            f"{len(self._waiting)} calls were not shown {END_SECONDS:g} s after the last"
        )

    def _look(self) -> None:
        while (self._waiting or not self._done.is_set()) and time.perf_counter() < self._until:
            reached = self._service.position()
            now = time.perf_counter()
            while self._waiting and self._waiting[0][0] <= reached:
                self.lags.append(now - self._waiting.popleft()[1])
            time.sleep(0.002)


def main(seconds: float) -> None:
    """Measure and print."""
    signals = [signal for lifecycle in lifecycles(int(RATE * seconds / 2.5)) for signal in lifecycle]
    settle()
    with (
        server() as dsn,
        open_offerlog(database_url=database(dsn), keep_deadlines=False) as service,
        closing(Watch(service)) as watch,
    ):
        started = time.perf_counter()
        sent = 0
        while (elapsed := time.perf_counter() - started) < seconds and sent < len(signals):
            while sent < min(elapsed * RATE, len(signals)):
                service.submit(signals[sent : sent + CALL]).add_done_callback(watch.durable)
                sent += CALL
            time.sleep(0.002)
        took = time.perf_counter() - started
    lags = watch.lags[int(len(watch.lags) * WARM_UP_SECONDS / seconds) :]
    figures = {"signals/s sent": sent / took, "calls measured": float(len(lags))}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        figures[f"lag {name}, ms"] = percentile(lags, share) * 1_000
    say("lag", figures, {})


if __name__ == "__main__":
    with limited():
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
