"""The commands status and doctor: how a store and its services are, and what to do about it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.text import Text

from offerlog_application.wording import format_count
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import listed, warn_of_unknown_variables
from offerlog_infrastructure.cli.options import Data, KeyringFile, ListForm, Organization
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.ports.store_figures import StoreFigures
    from offerlog_application.status.checks import CheckResult
    from offerlog_application.status.observation import Observation

    Looks = Sequence[tuple[Observation, Sequence[CheckResult]]]
    """The observation of each server, the home first, and the results of its checks."""

_CODES: Final = {
    "well": ExitCode.DONE,
    "attention": ExitCode.NEEDS_ATTENTION,
    "broken": ExitCode.FOUND_WRONG,
}
_STYLES: Final = {"well": "green", "attention": "yellow", "broken": "bold red", "unchecked": "dim"}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog status --format json")(status)
    app.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog doctor")(doctor)


def status(
    form: ListForm = Form.TABLE,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Show how the store and its services are, on one screen.

    Works while services run and without any. It changes nothing: a store of
    an older offerlog is not upgraded. Several servers are shown one after the
    other. Exit code 0 if all is well, 5 if something needs attention, 3 if
    something is broken.
    """
    del organization  # it shows all of them
    looks = _look(data, keyring)
    if form is Form.JSON:
        _print_status(looks)
    else:
        out = console()
        rows = table(out, ["offerlog", looks[0][0].version])
        for seen, results in looks:
            for name, text in _lines(seen, results):
                rows.add_row(name, Text(spell_out(text)))
            if seen is not looks[-1][0]:
                rows.add_row("", "")
        out.print(rows)
        out.print(Text(_summary(looks)))
    raise typer.Exit(_code(looks))


def _print_status(looks: "Looks") -> None:
    from offerlog_infrastructure.presentation.status_documents import (  # noqa: PLC0415 - --help need not wait for it
        describe_observation,
        describe_observations,
    )

    seen, results = looks[0]
    print_json(describe_observation(seen, results) if seen.shard is None else describe_observations(looks))


def doctor(
    form: ListForm = Form.TABLE,
    data: Data = None,
    keyring: KeyringFile = None,
    organization: Organization = None,
) -> None:
    """Check everything that an operator should watch, and say what to do.

    The checks are those of "What to alert on" in the documentation of
    operations. It changes nothing. Exit code 0 if all is well, 5 if
    something needs attention, 3 if something is broken.
    """
    del organization  # it checks all of them
    from offerlog_infrastructure.presentation.status_documents import describe_check  # noqa: PLC0415 - --help need not wait for it

    looks = _look(data, keyring)
    out = console()
    has_shards = looks[0][0].shard is not None
    rows = table(out, [*(["shard"] if has_shards else []), "check", "result", "seen"])
    for seen, results in looks:
        number = None if seen.shard is None else seen.shard.number
        first = [] if number is None else [str(number)]
        for one in results:
            if form is Form.JSON:
                print_json(describe_check(one, number))
            level, saw, advice = one.assessment
            rows.add_row(*first, one.name, Text(level.value, _STYLES[level.value]), Text(spell_out(saw)))
            if advice is not None:
                rows.add_row(*("" for _ in first), "", "", Text(f"-> {spell_out(advice)}", "bold"))
    if form is Form.TABLE:
        out.print(rows)
    raise typer.Exit(_code(looks))


def _look(data: Path | None, keyring: Path | None) -> "Looks":
    """Observe the store that options and settings name, and assess it; of several servers each."""
    from offerlog_application.status.checks import run_checks  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.cli.settings_list import describe_store  # noqa: PLC0415 - as above
    from offerlog_infrastructure.clock import SystemClock  # noqa: PLC0415 - as above
    from offerlog_infrastructure.observing.look import observe  # noqa: PLC0415 - as above
    from offerlog_infrastructure.observing.store_reading import WatchedStore  # noqa: PLC0415 - as above
    from offerlog_infrastructure.server_address import STORE_SCHEMA, ServerAddressError  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as above

    settings = read_settings()
    warn_of_unknown_variables()
    store = WatchedStore(
        describe_store(settings, data),
        data or settings.data,
        None if data else settings.database_url,
        STORE_SCHEMA,
        keyring or settings.keyring,
    )
    try:
        seen = observe(store, settings, SystemClock().now())
    except ServerAddressError as error:
        raise usage(f"the environment variable OFFERLOG_DATABASE_URL: {error}") from None
    return [(one, run_checks(one)) for one in seen]


def _code(looks: "Looks") -> ExitCode:
    from offerlog_application.status.checks import summarize  # noqa: PLC0415 - as in `_look`

    return _CODES[summarize([one for _, results in looks for one in results]).value]


def _summary(looks: "Looks") -> str:
    """Name the checks that are not well."""
    parts = []
    for level, words in (("broken", "Broken"), ("attention", "Needs attention")):
        names = [
            one.name if seen.shard is None else f"{one.name} of shard {seen.shard.number}"
            for seen, results in looks
            for one in results
            if one.assessment.level.value == level
        ]
        if names:
            parts.append(f"{words}: {', '.join(names)}.")
    return " ".join([*parts, "`offerlog doctor` says what to do."] if parts else ["All is well."])


def _lines(seen: "Observation", results: "Sequence[CheckResult]") -> Iterator[tuple[str, str]]:
    """Yield the lines of the screen: a name and what is seen."""
    saw = {one.name: one.assessment.saw for one in results}
    if seen.shard is not None:
        from offerlog_domain.stream_ids import format_slices  # noqa: PLC0415 - as in `_look`

        yield "shard", f"{seen.shard.number}, slices {format_slices(seen.shard.slices)}"
    kind = "embedded" if seen.is_embedded else "your own server"
    yield "store", f"{seen.store} ({kind})"
    if seen.trouble is not None:
        yield "", seen.trouble
    yield "schema", saw["schema"]
    if seen.figures is not None:
        yield from _lines_of_figures(seen.figures, saw)
    yield "keyring", _keyring_line(seen)
    if "services" not in saw:  # they were shown with the home
        return
    yield "disk", saw["disk"]
    yield "services", _services_line(seen, saw)
    if seen.is_embedded:
        yield "server log", saw["server_log"]


def _lines_of_figures(figures: "StoreFigures", saw: dict[str, str]) -> Iterator[tuple[str, str]]:
    from offerlog_application.status.levels import format_period, format_size  # noqa: PLC0415 - as in `_look`

    yield "database", f"PostgreSQL {figures.server}, {format_size(figures.database_bytes)}"
    names = figures.organizations
    yield "organizations", f"{len(names):,}: {listed(names)}" if names else "none"
    yield "log", f"position {figures.position:,}"
    if figures.archive is not None:
        archive = figures.archive
        amount = f"{format_count(archive.events, 'event')}, {format_size(archive.bytes)}"
        yield "archive", f"{amount}, in {archive.place}"
    yield (
        "projections",
        ", ".join(
            f"{one.name} {'unreadable' if one.lag_seconds is None else format_period(one.lag_seconds)} behind"
            for one in figures.projections
        ),
    )
    yield "dead letters", saw["dead_letters"]
    yield "subscriptions", saw["subscriptions"]
    yield "webhooks", saw["webhooks"]
    yield "parked", saw["parked"]
    yield "overdue", saw["deadlines"]
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in figures.refusals.items())
    total = f"{sum(figures.refusals.values()):,} in the last day"
    yield "refusals", f"{total}: {reasons}" if reasons else total
    yield "tree", saw["seal_lag"]
    yield "checkpoint", saw["checkpoint"]
    yield "witness", saw["witness"]
    yield "backup", saw["backup"]


def _keyring_line(seen: "Observation") -> str:
    keyring, figures = seen.keyring, seen.figures
    if keyring.trouble is not None:
        return keyring.trouble
    current = f"current key {keyring.current}" if keyring.current else "not there"
    used = [] if figures is None else [key for key, number in figures.keys.items() if number]
    under = f"; organizations are encrypted under {', '.join(used)}" if used else ""
    return f"{keyring.place}: {current}{under}"


def _services_line(seen: "Observation", saw: dict[str, str]) -> str:
    from offerlog_application.status.observation import services_among  # noqa: PLC0415 - as in `_look`

    if seen.figures is None:
        return saw["services"]
    clients = seen.figures.clients
    others = sum(one.connections for one in clients) - sum(one.connections for one in services_among(clients))
    return saw["services"] + (f"; {others:,} connections of other processes" if others else "")
