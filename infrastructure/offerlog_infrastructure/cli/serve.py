"""offerlog serve, keys: the HTTP service and who may call it."""

import logging
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from offerlog_application.keys import Key, NoOrigin, Role, checked_origin
from offerlog_infrastructure.cli.everywhere import Command, Group, between
from offerlog_infrastructure.cli.options import Data, Organization, open_service
from offerlog_infrastructure.cli.output import console, print_json, usage
from offerlog_infrastructure.cli.trial import Trial
from offerlog_infrastructure.documents import stamp

if TYPE_CHECKING:
    import socket

    from offerlog_infrastructure.settings import Settings
    from offerlog_infrastructure.tracing import Tracing

_log = logging.getLogger(__name__)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=Command, epilog="[dim]Example:[/] offerlog serve --port 8000")(serve)
    keys = typer.Typer(
        cls=Group, help="Who may call the HTTP service.", no_args_is_help=True, callback=between
    )
    keys.command(
        cls=Command,
        epilog="[dim]Example:[/] offerlog keys create --role widget --origin https://shop.example",
    )(create)
    keys.command(name="list", cls=Command, epilog="[dim]Example:[/] offerlog keys list")(list_)
    keys.command(cls=Command, epilog="[dim]Example:[/] offerlog keys revoke 0a1b2c3d4e5f")(revoke)
    app.add_typer(keys, name="keys")


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The first port to try; 0 for any.")] = 8000,
    check: Annotated[
        bool, typer.Option("--check", help="Start, wait until it is ready, print the URL, and stop.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Serve [dim]/metrics[/] at this port alone, not at the other; 0 for any.",
            show_default=False,
        ),
    ] = None,
    keep_alive: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=3600,
            metavar="SECONDS",
            help="How long an idle connection stays open; longer than your proxy's. [dim]75[/]",
        ),
    ] = None,
    data: Data = None,
    organization: Organization = None,
) -> None:
    """Serve HTTP until Ctrl-C: the API, the projections and the deadlines in one process.

    On a new store an admin key is printed, once. A busy port means the next
    free one. What is in flight when it is told to stop is answered first.
    """
    from offerlog_infrastructure.http.app import create_app  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.http.server import listen, run  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import Settings  # noqa: PLC0415 - as above

    if not host:  # an unset variable of a script must not come to mean all addresses
        raise usage("--host: an empty name is no address; 0.0.0.0 is every one of this machine's")
    settings = Settings()
    if keep_alive is not None:
        settings = settings.model_copy(update={"keep_alive": keep_alive})
    tracing = _observed(settings)
    listening = listen(host, port)
    metrics = None if metrics_port is None else _listen_for_metrics(host, metrics_port, listening)
    with ExitStack() as held:
        if tracing is not None:
            held.callback(tracing.close)
        service = held.enter_context(open_service(data, organization, trace=tracing))
        service.keep_deadlines()
        out = console()
        if not service.keys.all(service.organization):
            _, text = service.keys.create(service.organization, Role.ADMIN, "first start")
            out.print(
                f"The admin key of organization {service.organization}, shown this once: {text}",
                soft_wrap=True,
            )
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listening.getsockname()[1]}"
        app = create_app(service, service.keys, settings)
        if tracing is not None:
            from offerlog_infrastructure.http.traced_requests import TracedRequests  # noqa: PLC0415 - an extra

            app.add_middleware(TracedRequests, tracing=tracing)
        stop_when = threading.Event() if check else None
        trial = Trial(f"{url}/readyz")

        def started() -> None:
            out.print(f"Serving at {url}" + ("" if check else " until Ctrl-C"), soft_wrap=True)
            if metrics is not None:
                out.print(f"Metrics at http://{shown}:{metrics.getsockname()[1]}/metrics", soft_wrap=True)
            if stop_when is not None:
                threading.Thread(target=trial.run, args=(stop_when,), daemon=True).start()

        run(app, listening, started, stop_when, metrics)
    if check:
        trial.prove()
    out.print("ready, and stopped again" if check else "stopped; all that was accepted is recorded")


def _listen_for_metrics(host: str, port: int, listening: "socket.socket") -> "socket.socket":
    """Open the port of the metrics: exactly this one, since whoever watches them looks there."""
    from offerlog_infrastructure.http.server import listen  # noqa: PLC0415 - --help need not wait for it

    made = listen(host, port)
    found = made.getsockname()[1]
    if port in {0, found}:
        return made
    made.close()
    is_ours = port == listening.getsockname()[1]
    raise usage(f"--metrics-port: port {port} is taken" + (", by the service itself" if is_ours else ""))


def _observed(settings: "Settings") -> "Tracing | None":
    """Begin the log; and traces, where they are asked for and their packages are there."""
    from offerlog_infrastructure.json_log import log_as_json  # noqa: PLC0415 - --help need not wait for it

    if not settings.traced:
        log_as_json(settings.log_level)
        return None
    try:
        from offerlog_infrastructure.tracing import add_trace_id, start_tracing  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        log_as_json(settings.log_level)
        _log.warning("no traces: %s is missing; install offerlog with its extra otel", missing.name)
        return None
    log_as_json(settings.log_level, add_trace_id)
    return start_tracing()


def _origin(text: str) -> str:
    try:
        return checked_origin(text)
    except NoOrigin as error:
        raise usage(str(error)) from None


def _name(text: str) -> str:
    if not text.isprintable():  # bytes that are no UTF-8 too, which cannot be stored
        raise usage(f"{text!r} is no name: give text on one line")
    return text


def create(
    role: Annotated[Role, typer.Option(help="What it may do: widget keys are safe to ship to browsers.")],
    name: Annotated[str, typer.Option(parser=_name, metavar="TEXT", help="What it is for.")] = "",
    origin: Annotated[
        list[str] | None,
        typer.Option(
            parser=_origin,
            metavar="ORIGIN",
            help="From where a browser may use it; may be given again. [dim]https://shop.example[/]",
        ),
    ] = None,
    data: Data = None,
    organization: Organization = None,
) -> None:
    """Make a key and print it, once: only a digest of it is kept."""
    with open_service(data, organization, project=False) as service:
        key, text = service.keys.create(service.organization, role, name, origin or ())
    print_json(_document(key) | {"key": text})


def list_(data: Data = None, organization: Organization = None) -> None:
    """List the organization's keys, revoked ones too; one JSON object a line."""
    with open_service(data, organization, project=False) as service:
        for key in service.keys.all(service.organization):
            print_json(_document(key))


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    data: Data = None,
    organization: Organization = None,
) -> None:
    """Take a key back; running services refuse it within seconds."""
    with open_service(data, organization, project=False) as service:
        print_json(_document(service.keys.revoke(service.organization, key_id)))


def _document(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "organization": key.organization,
        "role": key.role.value,
        "name": key.name,
        "origins": list(key.origins),
        "created_at": stamp(key.created_at),
        "revoked_at": stamp(key.revoked_at),
    }
