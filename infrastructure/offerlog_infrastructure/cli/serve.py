"""The command serve: the HTTP service, and the first key of an organization."""

import logging
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.options import Data, Host, KeyringFile, Organization, read_process_count
from offerlog_infrastructure.cli.output import usage
from offerlog_infrastructure.cli.trial import Trial

if TYPE_CHECKING:
    import socket

    from offerlog_infrastructure.cli.serving import Serving
    from offerlog_infrastructure.observability.tracing import Tracing

_log = logging.getLogger(__name__)

_USUAL_PORT: Final = 8000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog serve --port 8000")(serve)


def serve(
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Port to listen on; 0 for any. [dim]8000, or the next free one[/]",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Start, wait until it is ready, print the URL, and stop.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Serve [dim]/metrics[/] on this port instead; 0 for any.",
            show_default=False,
        ),
    ] = None,
    keep_alive: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=3600,
            metavar="SECONDS",
            help="Seconds an idle connection stays open; more than your proxy's. [dim]75[/]",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Processes that answer HTTP; [dim]auto[/] for one a core. [dim]1[/]",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Serve HTTP until Ctrl-C: the API, the projections and the deadlines.

    The first start makes an admin key. On a terminal it is printed once;
    elsewhere it is written into a file of mode 0600. Open requests are
    answered before the service stops. With workers, one more process has
    the projections and the deadlines.
    """
    from offerlog_infrastructure.cli.serving import Serving, listen_for_metrics, observe  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.http.server.server import listen  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as above

    if not host:  # a script's unset variable must not mean all addresses
        raise usage("--host: an empty name is no address; 0.0.0.0 is every one of this machine's")
    settings = read_settings()
    if keep_alive is not None:
        settings = settings.model_copy(update={"keep_alive": keep_alive})
    count = settings.workers if workers is None else read_process_count("--workers", workers)
    tracing = observe(settings) if count == 1 else None
    listening = listen(host, _USUAL_PORT if port is None else port, exact=port is not None)
    metrics = None if metrics_port is None else listen_for_metrics(host, metrics_port, listening)
    serving = Serving(
        settings=settings,
        data=data,
        keyring=keyring,
        organization=organization,
        host=host,
        port=listening.getsockname()[1],
        metrics_port=None if metrics is None else metrics.getsockname()[1],
        check=check,
    )
    if count > 1:
        from offerlog_infrastructure.cli.serve_workers import serve_workers  # noqa: PLC0415 - as above

        serve_workers(serving, count, listening, metrics)
    else:
        _serve_alone(serving, tracing, listening, metrics)


def _serve_alone(
    serving: "Serving",
    tracing: "Tracing | None",
    listening: "socket.socket",
    metrics: "socket.socket | None",
) -> None:
    """Serve in this process alone."""
    from offerlog_infrastructure.cli.serving import make_app  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.http.server.server import run  # noqa: PLC0415 - as above

    trial = Trial(f"{serving.url}/readyz")
    stop_when = threading.Event() if serving.check else None
    with ExitStack() as held:
        if tracing is not None:
            held.callback(tracing.close)
        service = held.enter_context(serving.open_service(Access.WRITE, tracing, None, project=True))
        has_keys = serving.begin(service)

        def started() -> None:
            serving.announce_start(service.organization, has_keys=has_keys)
            if stop_when is not None:
                threading.Thread(target=trial.run, args=(stop_when,), daemon=True).start()

        run(make_app(service, serving.settings, tracing), listening, started, stop_when, metrics)
    _log.info("stopped", extra={"address": serving.url})
    if serving.check:
        trial.prove()
    serving.announce_end()
