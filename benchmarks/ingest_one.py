"""512 callers in flight, each records one signal and waits for its durable outcome; whole lifecycles."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from children import DSN, SECONDS, child, limited
from ground import database, percentile, say, server, settle, timed
from peers import copy_rate, stock_rate, stored_rows
from traffic import LIFECYCLES, lifecycles
from unsealed import no_tree, parts_unsealed

from offerlog_application.offerlog import Offerlog
from offerlog_application.recording.batches import Receipt
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_infrastructure.composition import open_offerlog

CALLERS = 512
STOCK_SECONDS = 6.0


class Caller:
    """Sends lifecycle after lifecycle, one signal at a time, the next one when the last is durable."""

    def __init__(self, service: Offerlog, work: "Work") -> None:
        self._service = service
        self._work = work
        self._left: list[bytes] = []

    def next(self, done: PendingAnswer[Receipt] | None = None) -> None:
        """Send the next signal; called when the one before is durable."""
        if done is not None and not self._work.count(done):
            return
        if not self._left:
            lifecycle = self._work.take()
            if lifecycle is None:
                self._work.leave()
                return
            self._left = lifecycle[::-1]
        self._service.hand_in([self._left.pop()]).add_done_callback(self.next)


class Work:
    """The lifecycles still to be sent, and what has come back."""

    def __init__(self, sent: list[list[bytes]], callers: int) -> None:
        self._sent = iter(sent)
        self._callers = callers
        self._lock = threading.Lock()
        self.recorded = 0
        self.done = threading.Event()
        self.failure: object = None

    def take(self) -> list[bytes] | None:
        """The next lifecycle, None when all are taken."""
        with self._lock:
            return next(self._sent, None)

    def count(self, done: PendingAnswer[Receipt]) -> bool:
        """One more outcome; one that is not as it must be ends the measurement."""
        failure = done.exception(0) or done.result(0).outcomes[0]
        if isinstance(failure, BaseException) or failure.kind != "recorded":
            self.failure = failure
            self.done.set()
            return False
        self.recorded += 1
        return True

    def leave(self) -> None:
        """A caller has nothing more to send."""
        with self._lock:
            self._callers -= 1
            if not self._callers:
                self.done.set()


def rate(service: Offerlog, sent: list[list[bytes]], callers: int) -> float:
    """Signals a second, each durable before its caller sends the next."""
    work = Work(sent, callers)

    def run() -> None:
        for _ in range(callers):
            Caller(service, work).next()
        assert work.done.wait(SECONDS), "some signals were never answered"

    seconds = timed(run)
    assert work.failure is None, work.failure
    return work.recorded / seconds


@contextmanager
def projector(dsn: str) -> Iterator[None]:
    """A separate process that feeds the projections."""
    feeding = (
        "import os, sys; from offerlog_infrastructure.composition import open_offerlog\n"
        f"with open_offerlog(database_url=os.environ[{DSN!r}], keep_deadlines=False): sys.stdin.read()"
    )
    with child(sys.executable, "-c", feeding, dsn=dsn):
        time.sleep(1.5)  # it has taken the projections by then
        yield


def main(count: int) -> None:
    """Measure and print.

    The plain library keeps no projections beside its log, so like is compared with like where ours has none;
    the other two figures are what a site gets.
    """
    sent = list(lifecycles(count))
    settle()
    figures: dict[str, float] = {}
    with server() as dsn:
        for where, project, beside, sealed in (
            ("projector in the same process, nothing sealed, no tree", True, False, False),
            ("no projector", False, False, True),
            ("projector in a process of its own", False, True, True),
            ("projector in the same process", True, False, True),
        ):
            ours = database(dsn)
            with (
                nullcontext() if sealed else parts_unsealed(),
                nullcontext() if sealed else no_tree(),
                projector(ours) if beside else nullcontext(),
                open_offerlog(database_url=ours, keep_deadlines=False, project=project) as service,
            ):
                alone, rest = sent[: count // 50], sent[count // 50 :]
                figures[f"signals/s, 1 caller, {where}"] = rate(service, alone, 1)
                rates = [rate(service, rest[n::3], CALLERS) for n in range(3)]
                figures[f"signals/s, {CALLERS} callers, {where}"] = percentile(rates, 0.5)
        plain = stock_rate(dsn, list(LIFECYCLES), 8, STOCK_SECONDS)
        figures["plain library, 8 threads, events/s"] = plain
        figures["plain library, 1 thread, events/s"] = stock_rate(dsn, list(LIFECYCLES), 1, STOCK_SECONDS)
        limit = copy_rate(database(dsn), stored_rows(ours), 1_000)
        figures["COPY limit, rows/s"] = limit
    like = figures[f"signals/s, {CALLERS} callers, no projector"]
    apart = figures[f"signals/s, {CALLERS} callers, projector in a process of its own"]
    together = figures[f"signals/s, {CALLERS} callers, projector in the same process"]
    ratios = {
        "vs_stock": like / plain,
        "vs_stock, with projections": apart / plain,
        "vs_stock, with projections, one process": together / plain,
        "vs_unsealed, no tree": together
        / figures[f"signals/s, {CALLERS} callers, projector in the same process, nothing sealed, no tree"],
        "vs_copy": like / limit,
    }
    say("ingest-one", figures, ratios)


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 30_000)
