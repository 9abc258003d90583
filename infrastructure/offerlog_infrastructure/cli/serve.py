"""The commands serve and keys: the HTTP service and its keys."""

import logging
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from offerlog_application.ports.keys import Key, NotAnOriginError, Role, UnknownKeyError, checked_origin
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.first_key import make_first_key, usual_file, write_first_key
from offerlog_infrastructure.cli.invocation import called_as, with_options
from offerlog_infrastructure.cli.opening import Access, open_service
from offerlog_infrastructure.cli.options import Data, KeyringFile, Organization
from offerlog_infrastructure.cli.output import console, print_json, usage
from offerlog_infrastructure.cli.streams import check_output, drop_output, telling
from offerlog_infrastructure.cli.trial import Trial
from offerlog_infrastructure.presentation.documents import format_optional_time, format_time
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    import socket

    from offerlog_application.offerlog import Offerlog
    from offerlog_infrastructure.observability.tracing import Tracing
    from offerlog_infrastructure.settings import Settings

_log = logging.getLogger(__name__)

_USUAL_PORT: Final = 8000


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog serve --port 8000")(serve)
    keys = typer.Typer(
        cls=OfferlogGroup, help="Manage the keys of the HTTP service.", no_args_is_help=True, callback=between
    )
    keys.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog keys create --role widget --origin https://shop.example",
    )(create)
    keys.command(name="list", cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keys list")(list_)
    keys.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog keys revoke 0a1b2c3d4e5f")(revoke)
    app.add_typer(keys, name="keys")


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
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
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Serve HTTP until Ctrl-C: the API, the projections and the deadlines in one process.

    The first start makes an admin key. On a terminal it is printed once;
    elsewhere it is written into a file of mode 0600. Open requests are
    answered before the service stops.
    """
    from offerlog_infrastructure.http.app import create_app  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.http.server.server import listen, run  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as above

    if not host:  # a script's unset variable must not mean all addresses
        raise usage("--host: an empty name is no address; 0.0.0.0 is every one of this machine's")
    settings = read_settings()
    if keep_alive is not None:
        settings = settings.model_copy(update={"keep_alive": keep_alive})
    tracing = _observed(settings)
    listening = listen(host, _USUAL_PORT if port is None else port, exact=port is not None)
    metrics = None if metrics_port is None else _listen_for_metrics(host, metrics_port, listening)
    with ExitStack() as held:
        if tracing is not None:
            held.callback(tracing.close)
        service = held.enter_context(open_service(data, keyring, organization, Access.WRITE, trace=tracing))
        service.keep_deadlines()
        service.organizations.register(service.organization)
        has_keys = _has_keys(service, settings, data)
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listening.getsockname()[1]}"
        app = create_app(service, service.keys, settings)
        if tracing is not None:
            from offerlog_infrastructure.http.middleware.traced_requests import TracedRequests  # noqa: PLC0415 - an extra

            app.add_middleware(TracedRequests, tracing=tracing)
        stop_when = threading.Event() if check else None
        trial = Trial(f"{url}/readyz")

        def started() -> None:
            _announce(f"Serving at {url}" + ("" if check else " until Ctrl-C"))
            if metrics is not None:
                _announce(f"Metrics at http://{shown}:{metrics.getsockname()[1]}/metrics")
            if has_keys and not check:
                _say_how_to_log_in(service.organization, with_options(data, keyring, organization))
            if stop_when is not None:
                threading.Thread(target=trial.run, args=(stop_when,), daemon=True).start()

        run(app, listening, started, stop_when, metrics)
    if check:
        trial.prove()
    _announce("ready, and stopped again" if check else "stopped; all that was accepted is recorded")


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


def _listen_for_metrics(host: str, port: int, listening: "socket.socket") -> "socket.socket":
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


def _has_keys(service: "Offerlog", settings: "Settings", data: Path | None) -> bool:
    """Return whether the organization has keys; if not, make the first one."""
    if service.keys.all(service.organization):
        return True
    _give_first_key(service, settings, data)
    return False


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


def _observed(settings: "Settings") -> "Tracing | None":
    """Start the log, and traces if they are set up and their packages are installed."""
    from offerlog_infrastructure.observability.json_log import log_as_json  # noqa: PLC0415 - --help need not wait for it

    if not settings.traced:
        log_as_json(settings.log_level)
        return None
    try:
        from offerlog_infrastructure.observability.tracing import add_trace_id, start_tracing  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        log_as_json(settings.log_level)
        _log.warning("no traces: %s is missing; install offerlog with its extra otel", missing.name)
        return None
    log_as_json(settings.log_level, add_trace_id)
    return start_tracing()


def _origin(text: str) -> str:
    try:
        return checked_origin(text)
    except NotAnOriginError as error:
        raise usage(str(error)) from None


def _name(text: str) -> str:
    if not text.isprintable():
        raise usage(f"{text!r} is no name: give text on one line")
    return text


def create(
    role: Annotated[Role, typer.Option(help="What the key may do; widget keys are safe in browsers.")],
    name: Annotated[str, typer.Option(parser=_name, metavar="TEXT", help="Purpose of the key.")] = "",
    origin: Annotated[
        list[str] | None,
        typer.Option(
            parser=_origin,
            metavar="ORIGIN",
            help="Web origin allowed to use this key; repeatable. [dim]https://shop.example[/]",
        ),
    ] = None,
    any_origin: Annotated[
        bool, typer.Option("--any-origin", help="Allow every web origin, for a widget key.")
    ] = False,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Make a key and print it once; only a digest is stored."""
    if any_origin and origin:
        raise usage("give --origin or --any-origin, not both")
    if role is Role.WIDGET and not (any_origin or origin):
        raise usage(
            "a widget key stands in public pages: say with --origin https://shop.example from which sites"
            " browsers may use it, or --any-origin"
        )
    check_output()
    with open_service(data, keyring, organization, Access.ADD, project=False) as service:
        service.organizations.register(service.organization)
        service.keys.create(service.organization, role, name, origin or (), hand_over=_print_key)


def _print_key(key: Key, text: str) -> None:
    """Print a key before it is stored, because a stored key that nobody has seen is useless."""
    with telling("no key was made"):
        print_json(_document(key) | {"key": text})


def list_(data: Data = None, keyring: KeyringFile = None, organization: Organization = None) -> None:
    """List the organization's keys, revoked ones too; one JSON object a line."""
    with open_service(data, keyring, organization, project=False) as service:
        for key in service.keys.all(service.organization):
            print_json(_document(key))


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Revoke a key; running services refuse it within seconds."""
    with open_service(data, keyring, organization, project=False) as service:
        try:
            revoked = service.keys.revoke(service.organization, key_id)
        except UnknownKeyError:
            owners = [
                name
                for name in service.organizations.names()
                if any(key.id == key_id for key in service.keys.all(name))
            ]
            if not owners:
                raise
            raise usage(
                f"key {key_id!r} is of organization {owners[0]}, not {service.organization}:"
                f" give --organization {owners[0]}"
            ) from None
    with telling("the key is revoked"):
        print_json(_document(revoked))


def _document(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "organization": key.organization,
        "role": key.role.value,
        "name": key.name,
        "origins": list(key.origins),
        "created_at": format_time(key.created_at),
        "revoked_at": format_optional_time(key.revoked_at),
    }
