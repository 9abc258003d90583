"""The command serve with workers: the work of the supervisor and of each of its processes."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from offerlog_infrastructure.cli import ending
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.serving import Serving, make_app, observe
from offerlog_infrastructure.cli.trial import Trial
from offerlog_infrastructure.embedded import default_data_dir
from offerlog_infrastructure.embedded.keeping import keep_server
from offerlog_infrastructure.http.metrics import ServiceMetrics
from offerlog_infrastructure.http.server.server import run
from offerlog_infrastructure.http.shared.metric_exchange import MetricExchange, note_end
from offerlog_infrastructure.http.shared.tables import WorkerState
from offerlog_infrastructure.workers.shared_folder import SharedFolder
from offerlog_infrastructure.workers.sockets import WorkerSockets
from offerlog_infrastructure.workers.supervisor import BACKGROUND, ProcessEndedError, Supervisor

if TYPE_CHECKING:
    import socket

    from offerlog_infrastructure.embedded.lease import Lease

Report = Callable[[Mapping[str, Any]], None]
"""Tells the supervisor that a process is ready."""

_log = logging.getLogger(__name__)


def serve_workers(
    serving: Serving, count: int, listening: "socket.socket", metrics: "socket.socket | None"
) -> None:
    """Serve with several processes until SIGTERM or SIGINT.

    Args:
        serving: The call.
        count: The number of processes that answer HTTP.
        listening: The open socket of the port.
        metrics: The open socket of the metrics' port; None without one. All workers share it.

    Raises:
        SystemExit: A process could not start, and has said why.
        NotReadyError: The call was a check, and the service was not ready in time.
    """
    observe(serving.settings)
    trial = Trial(f"{serving.url}/readyz")
    with ExitStack() as held:
        folder = SharedFolder.make()
        held.callback(folder.remove)
        sockets = WorkerSockets(listening, count)
        held.callback(sockets.close)
        work = _Work(serving, count, sockets, metrics, folder)
        supervisor = Supervisor(count, work.live, work.prepare, work.note_end)
        held.callback(work.release_store)  # behind the end of all processes
        held.callback(supervisor.stop)
        try:
            news = supervisor.start(work.keep_store)
        except ProcessEndedError as ended:
            raise SystemExit(ended.code if ended.code >= 0 else 128 - ended.code) from None

        def began() -> None:
            pids = [pid for _, pid in sorted(supervisor.pids.items())]
            serving.announce_start(
                news["organization"],
                has_keys=news["has_keys"],
                workers=count,
                background=pids[0],
                processes=pids[1:],
            )
            if serving.check:
                threading.Thread(target=_try, args=(trial,), daemon=True).start()

        supervisor.watch(began)
    _log.info("stopped", extra={"address": serving.url})
    if serving.check:
        trial.prove()
    serving.announce_end()


def _try(trial: Trial) -> None:
    """Ask until the service is ready; then end it."""
    trial.run(threading.Event())
    os.kill(os.getpid(), signal.SIGTERM)


class _Work:
    """The work of the processes of one service.

    Args:
        serving: The call.
        count: The number of processes that answer HTTP.
        sockets: Their sockets.
        metrics: The socket of the metrics' port; None without one.
        folder: What they share.
    """

    def __init__(
        self,
        serving: Serving,
        count: int,
        sockets: WorkerSockets,
        metrics: "socket.socket | None",
        folder: SharedFolder,
    ) -> None:
        self._serving = serving
        self._count = count
        self._sockets = sockets
        self._metrics = metrics
        self._folder = folder
        self._lease: Lease | None = None
        self._supervisor = os.getpid()

    def keep_store(self) -> None:
        """Keep the embedded server running for the processes, in the supervisor."""
        serving = self._serving
        if serving.data is not None or serving.settings.database_url is None:
            self._lease = keep_server(serving.data or serving.settings.data or default_data_dir())

    def release_store(self) -> None:
        """Release the embedded server, and wait until it has stopped."""
        if self._lease is not None:
            self._lease.release()

    def prepare(self, number: int) -> None:
        """Open the port of a process, in the supervisor.

        Raises:
            OSError: The port cannot be opened.
        """
        if number != BACKGROUND:
            self._sockets.of(number - 1)

    def note_end(self, number: int, is_soon_back: bool) -> None:  # noqa: FBT001 - the supervisor's call
        """Keep the counts of a process that has died, in the supervisor."""
        note_end(self._folder.path, number)
        if number != BACKGROUND and not is_soon_back:
            self._sockets.close_one(number - 1)

    def live(self, number: int, report: Report) -> int:
        """Live as one of the processes; returns its exit code."""
        from offerlog_infrastructure.cli.commands import report_error  # noqa: PLC0415 - a circle: it loads this command

        ending.end_in_order()
        if self._lease is not None:
            self._lease.drop()  # the supervisor keeps it
        self._sockets.close_others(number - 1)
        code = 0
        try:
            if number == BACKGROUND:
                self._do_background(report)
            else:
                self._serve(number, report)
        except KeyboardInterrupt:
            code = ending.exit_code()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Exception as error:  # noqa: BLE001 - reported, as the command does
            code = report_error(error)
        if os.getppid() != self._supervisor:  # it has died, and can remove its folder no more
            self._folder.remove()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or its reader is gone
                stream.flush()
        return code

    def _do_background(self, report: Report) -> None:
        """Keep projections, deadlines, the tree, checkpoints and webhooks until SIGTERM."""
        serving = self._serving
        with ExitStack() as held:
            tracing = observe(serving.settings, BACKGROUND)
            if tracing is not None:
                held.callback(tracing.close)
            service = held.enter_context(
                serving.open_service(Access.WRITE, tracing, (BACKGROUND, self._count), project=True)
            )
            has_keys = serving.begin(service)
            exchange = MetricExchange(self._folder.path, BACKGROUND)
            held.callback(exchange.close)
            ServiceMetrics(service, exchange)
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            report({"organization": service.organization, "has_keys": has_keys})
            stop.wait()

    def _serve(self, number: int, report: Report) -> None:
        """Serve HTTP until SIGTERM."""
        serving = self._serving
        with ExitStack() as held:
            tracing = observe(serving.settings, number)
            if tracing is not None:
                held.callback(tracing.close)
            service = held.enter_context(
                serving.open_service(Access.MAINTAIN, tracing, (number, self._count), project=False)
            )
            service.keep_key_uses()
            shared = WorkerState(self._folder.path, number, self._count)
            held.callback(shared.close)
            app = make_app(service, serving.settings, tracing, shared)
            run(
                app,
                self._sockets.of(number - 1),
                partial(report, {}),
                metrics=self._metrics,
                signals=(signal.SIGTERM,),
            )
