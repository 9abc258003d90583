"""The work of every process of `serve`: ports, log, first key, and lines for people."""

import logging
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offerlog_infrastructure.cli.first_key import make_first_key, usual_file, write_first_key
from offerlog_infrastructure.cli.invocation import called_as, with_options
from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.output import console, usage
from offerlog_infrastructure.cli.streams import drop_output, telling
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    import socket

    from fastapi import FastAPI

    from offerlog_application.offerlog import Offerlog
    from offerlog_infrastructure.http.shared.state import SharedState
    from offerlog_infrastructure.observability.tracing import Tracing
    from offerlog_infrastructure.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """One call of the command.

    Attributes:
        settings: The settings.
        data: The value of `--data`, if it was given.
        keyring: The value of `--keyring`, if it was given.
        organization: The value of `--organization`, if it was given.
        host: The address to listen on.
        port: The port that is open.
        metrics_port: The open port of the metrics; None without one.
        check: True to start, wait until the service is ready, and stop.
    """

    settings: "Settings"
    data: Path | None
    keyring: Path | None
    organization: str | None
    host: str
    port: int
    metrics_port: int | None
    check: bool

    @property
    def url(self) -> str:
        """The address of the service."""
        return f"http://{self._shown_host}:{self.port}"

    @property
    def _shown_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def open_service(
        self, access: Access, tracing: "Tracing | None", process: tuple[int, int] | None, *, project: bool
    ) -> "Offerlog":
        """Open the service of this process.

        Args:
            access: What the process needs.
            tracing: Traces, if they are set up.
            process: The number of this process and the number of workers; None for a service of one process.
            project: True if this process runs the projections.
        """
        from offerlog_infrastructure.observing.services import name_service  # noqa: PLC0415 - --help need not wait for it

        return open_service(
            self.data,
            self.keyring,
            self.organization,
            access,
            project=project,
            trace=tracing,
            serves=True,
            application_name=name_service(self.url, self.metrics_port, process),
        )

    def begin(self, service: "Offerlog") -> bool:
        """Do what one process of the service does at its start; returns whether the organization had keys."""
        service.keep_deadlines()
        service.organizations.register(service.organization)
        if service.keys.all(service.organization):
            return True
        _give_first_key(service, self.settings, self.data)
        return False

    def announce_start(self, organization: str, *, has_keys: bool, workers: int = 1, **more: object) -> None:
        """Log and print that the service serves.

        Args:
            organization: The organization of calls that name none.
            has_keys: True if it had keys before this start.
            workers: The number of processes that serve HTTP.
            more: Further fields for the log.
        """
        from offerlog_infrastructure.cli.settings_list import describe_store  # noqa: PLC0415 - --help need not wait for it

        fields = {
            "version": version("offerlog"),
            "store": describe_store(self.settings, self.data),
            "address": self.url,
            "metrics_port": self.metrics_port,
            "organization": organization,
            "keeps_deadlines": True,
            "projects": True,
        }
        if workers > 1:
            fields["workers"] = workers
        _log.info("started", extra={**fields, **more})
        by = f" with {workers} workers" if workers > 1 else ""
        _announce(f"Serving at {self.url}{by}" + ("" if self.check else " until Ctrl-C"))
        if self.metrics_port is not None:
            _announce(f"Metrics at http://{self._shown_host}:{self.metrics_port}/metrics")
        if has_keys and not self.check:
            _say_how_to_log_in(organization, with_options(self.data, self.keyring, self.organization))

    def announce_end(self) -> None:
        """Print that the service has stopped."""
        _announce("ready, and stopped again" if self.check else "stopped; all that was accepted is recorded")


def make_app(
    service: "Offerlog", settings: "Settings", tracing: "Tracing | None", shared: "SharedState | None" = None
) -> "FastAPI":
    """Build the application of this process.

    Args:
        service: Its open service.
        settings: The settings.
        tracing: Traces, if they are set up.
        shared: What the processes of the service share; None where there is one.
    """
    from offerlog_infrastructure.http.app import create_app  # noqa: PLC0415 - --help need not wait for it

    app = create_app(service, service.keys, settings, shared)
    if tracing is not None:
        from offerlog_infrastructure.http.middleware.traced_requests import TracedRequests  # noqa: PLC0415 - an extra

        app.add_middleware(TracedRequests, tracing=tracing)
    return app


def _announce(text: str) -> None:
    """Print a line for people; if that fails, log it instead."""
    try:
        sys.stdout.write(f"{spell_out(text)}\n")
        sys.stdout.flush()
    except OSError as error:
        _log.warning("%s, so this was not printed: %s", error.strerror, text)
        drop_output()


def _say_how_to_log_in(organization: str, options: str) -> None:
    """Print on a terminal how to get a key, if the first one was shown before."""
    out = console()
    if out.is_terminal:
        command = f"{called_as()} keys create --role reporter{options}"
        advice = f"Log in there with a key of organization {organization}; a new one: {command}"
        out.print(spell_out(advice), soft_wrap=True, markup=False)


def listen_for_metrics(host: str, port: int, listening: "socket.socket") -> "socket.socket":
    """Open the port of the metrics; exactly this port, because a monitor reads it."""
    from offerlog_infrastructure.http.server.server import listen  # noqa: PLC0415 - --help need not wait for it

    made = listen(host, port)
    found = made.getsockname()[1]
    if port in {0, found}:
        return made
    made.close()
    is_ours = port == listening.getsockname()[1]
    if is_ours:
        raise usage(f"--metrics-port: port {port} is taken, by the service itself")
    raise OSError(f"--metrics-port: port {port} of {host} is taken by another program")


def _give_first_key(service: "Offerlog", settings: "Settings", data: Path | None) -> None:
    """Make the first admin key; show it on a terminal or write it into a file."""
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - --help need not wait

    file = settings.admin_key_file
    if file is None and sys.stdout.isatty():
        make_first_key(service, lambda text: _show_first_key(service.organization, text))
        return
    if file is None and (data is not None or settings.database_url is None):
        file = usual_file(data or settings.data or default_data_dir(), service.organization)
    if file is None:
        _log.warning(
            "organization %s has no key, and none is written into a log: make one with"
            " `offerlog keys create --role admin`, or set OFFERLOG_ADMIN_KEY_FILE",
            service.organization,
        )
    elif write_first_key(service, file):
        _announce(f"The admin key of organization {service.organization} is in {file}")


def _show_first_key(organization: str, text: str) -> None:
    with telling("no key was made"):
        typer.echo(f"The admin key of organization {organization}, shown this once: {text}")


def observe(settings: "Settings", worker: int | None = None) -> "Tracing | None":
    """Start the log, and traces if they are set up and their packages are installed.

    Args:
        settings: The settings.
        worker: The number of this process, for its lines of the log; None for a service of one process.
    """
    from offerlog_infrastructure.observability.log_output import log_to_stderr, name_worker  # noqa: PLC0415 - --help need not wait for it

    more = [] if worker is None else [name_worker(worker)]
    if not settings.traced:
        log_to_stderr(settings.log_level, settings.log_format, *more)
        return None
    try:
        from offerlog_infrastructure.observability.tracing import add_trace_id, start_tracing  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        log_to_stderr(settings.log_level, settings.log_format, *more)
        _log.warning("no traces: %s is missing; install offerlog with its extra otel", missing.name)
        return None
    log_to_stderr(settings.log_level, settings.log_format, add_trace_id, *more)
    return start_tracing()
