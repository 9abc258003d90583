"""The commands shards: several servers that share the visitors of one installation."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand, OfferlogGroup, between
from offerlog_infrastructure.cli.evidence import (
    Folder,
    VerifierKeys,
    check_checkpoints,
    describe_report,
    read_verifier_keys,
)
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.opening import open_installation
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.ports.shards import MoveProgress, MoveStep, ShardState


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    shards = typer.Typer(
        cls=OfferlogGroup,
        help="Share the visitors of one installation among several servers.",
        no_args_is_help=True,
        callback=between,
    )
    shards.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog shards init")(init)
    shards.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog shards add postgresql://offerlog@db2/offerlog --slices 8-f",
    )(add)
    shards.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog shards move 7 --to 1")(move)
    shards.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog shards status")(status)
    shards.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog shards verify")(verify)
    app.add_typer(shards, name="shards")


@spread_groups
def init(store: StoreOptions) -> None:
    """Make this store the home of several.

    The home has the organizations, the keys and the directory that says which
    server has which slice of the visitors. At first it has all 16 slices. A
    missing store is made. Stop all services before. There is no way back. The
    few things that several servers do differently stand in docs/operations.md,
    "Several servers".
    """
    with open_installation(store.data, store.keyring, create=True) as installation:
        installation.begin()
    with telling("the store is the home now"):
        print_json({"shard": 0, "slices": "0-f"})


@spread_groups
def add(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="The PostgreSQL server, without its password.")],
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="DIGITS", help="Empty slices that it gets, such as 8-f or 0,3,a-c. Default: none."
        ),
    ] = None,
    store: StoreOptions,
) -> None:
    """Add an empty server, with slices of which no visitor is known, or without.

    Before the first signal, name slices here: the home gives them away.
    Later, add the server without slices, and move slices to it by
    `offerlog shards move`. The password is that of the home's server, or is in
    libpq's password file. If it is interrupted, the same command continues.
    Running services find the new server by themselves.
    """
    from offerlog_domain.errors import ArgumentError  # noqa: PLC0415 - as above
    from offerlog_domain.stream_ids import format_slices  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.installation import parse_slices  # noqa: PLC0415 - as above
    from offerlog_infrastructure.server_address import ServerAddressError  # noqa: PLC0415 - as above

    try:
        given = [] if slices is None else parse_slices(slices)
    except ArgumentError as error:
        raise usage(f"--slices: {error}") from None
    try:
        with open_installation(store.data, store.keyring) as installation:
            number = installation.add(url, given)
    except ServerAddressError as error:
        raise usage(f"URL: {error}") from None
    with telling("the server is added"):
        print_json({"shard": number, "slices": format_slices(given)})


@spread_groups
def move(
    *,
    slice_digit: Annotated[str, typer.Argument(metavar="SLICE", help="The slice: a digit from 0 to f.")],
    to: Annotated[int | None, typer.Option("--to", metavar="SHARD", help="The server that gets it.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo a move that is under way instead.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="Print how long each step took, too, in order.")
    ] = False,
    store: StoreOptions,
) -> None:
    """Move a slice to another server, while services run.

    Everything of its visitors moves: events, keys, refused signals, erasures,
    legal holds, and their part of the reports. First all of it is copied and
    compared. Then signals of this slice wait for a moment, in which the rest
    is copied and the slice changes hands. Others never wait. At the end the
    former server deletes its copy, once its projections and its tree have
    passed it: so a service must run. Reports wait for that.

    If the command is killed, a running service ends the move within seconds:
    a slice that has changed hands stays there, and any other stays where it
    was. Without a service, the same command goes on. --undo lets the former
    server keep the slice, unless it has changed hands already. To move it
    back afterwards, move it once more. Archived events move along: the
    command needs the archives of both servers, and waits for ten seconds if
    `offerlog archive` is at work on one of them. See `offerlog shards status`
    for moves under way.
    """
    from offerlog_domain.errors import ArgumentError  # noqa: PLC0415 - as above
    from offerlog_infrastructure.cli.move_bar import move_bar  # noqa: PLC0415 - as above
    from offerlog_infrastructure.installation import parse_slices  # noqa: PLC0415 - --help need not wait for it

    try:
        (number,) = parse_slices(slice_digit)
    except (ArgumentError, ValueError):
        raise usage(f"SLICE: give one digit from 0 to f, not {slice_digit}") from None
    if undo == (to is not None):
        raise usage("give either --to SHARD or --undo")
    if to is None:
        with open_installation(store.data, store.keyring) as installation:
            owner = installation.undo_move(number)
        with telling("no move is under way"):
            print_json({"slice": f"{number:x}", "shard": owner})
        return
    with open_installation(store.data, store.keyring) as installation, move_bar() as on_progress:
        moved = installation.move(number, to, on_progress)
    with telling("the slice is moved"):
        print_json(
            {
                "slice": f"{number:x}",
                "from": moved.source,
                "to": to,
                "events": moved.events,
                "seconds_without_owner": round(moved.seconds, 3),
                **({"steps": [_describe_step(one) for one in moved.steps]} if steps else {}),
            }
        )


@spread_groups
def status(
    *,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the servers with their slices and the number of their visitors.

    Asks each of them, and lists the moves of slices that are under way, and
    those that were interrupted and that a service has ended. Exit code 1 if
    one cannot be reached, 3 if one does not own what the directory says.
    """
    from offerlog_application.ports.shards import ENDED_STEPS  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.server_address import shorten_address  # noqa: PLC0415 - as above

    with open_installation(store.data, store.keyring) as installation:
        states, moves = installation.states(), installation.moves()
    moving = {one.slice for one in moves if one.step not in ENDED_STEPS}
    out = console()
    rows = table(out, ["shard", "server", "slices", "visitors", "state"], numbers=0)
    reasons: list[str] = []
    for one in states:
        described = _describe(one, moving)
        if form is Form.JSON:
            print_json(described)
        shown = [one.number, one.url and shorten_address(one.url), described["slices"], one.visitors]
        state = "unreachable" if one.trouble else "ok" if described["state"] == "ok" else "wrong"
        rows.add_row(*("-" if value is None else str(value) for value in shown), state)
        if state != "ok":
            reasons.append(f"Shard {one.number}: {described['state']}")
    if form is Form.TABLE:
        out.print(rows if states else "This store is the only one.")
        for reason in reasons:  # below the table, which they would make too wide
            out.print(Text(spell_out(reason)), soft_wrap=True)
    for each in moves:
        if form is Form.JSON:
            print_json({**each._asdict(), "slice": f"{each.slice:x}"})
        else:
            out.print(_describe_move(each))
    if any(one.trouble is not None for one in states):
        raise typer.Exit(ExitCode.FAILED)
    if any(({*one.slices} ^ {*(one.owned or ())}) - moving for one in states):
        raise typer.Exit(ExitCode.FOUND_WRONG)


@spread_groups
def verify(*, checkpoints: Folder = None, vkey: VerifierKeys = None, store: StoreOptions) -> None:
    """Check that the servers are of one piece, and audit their logs.

    Each slice has one owner, which is that of the directory; each server
    holds visitors of its own slices alone; secrets and policies are those of
    the home. Each event that a server has recorded is as its tree says, here
    or on the server to which its slice was moved, and nowhere twice. Reads
    the whole logs; no slice is to move meanwhile. Exit code 3 if something is
    wrong. See also `offerlog projections verify`.

    --checkpoints and --vkey mean what they mean for `offerlog audit verify`:
    DIR is the folder of the home, beside it DIR-shard-1 is that of shard 1.
    """
    keys = read_verifier_keys(vkey)
    with open_installation(store.data, store.keyring) as installation:
        if checkpoints is not None:
            check_checkpoints(checkpoints, installation.numbers())
        audit_key, folder = _audit_places(store)
        with event_bar("reading the servers", "servers") as on_server:
            faults = list(installation.verify(on_server))
        with event_bar("auditing the logs") as on_progress:
            reports = installation.audit(audit_key, checkpoints or folder, on_progress, keys)
    for number, report in reports.items():
        faults += [f"the log of shard {number}: {one}" for one in report.findings]
    with telling("the servers were compared"):
        audits = [{"shard": number, **describe_report(report)} for number, report in reports.items()]
        print_json({"faults": faults, "audits": audits})
    if faults:
        raise typer.Exit(ExitCode.FOUND_WRONG)


def _describe(one: "ShardState", moving: Collection[int]) -> dict[str, object]:
    from offerlog_domain.stream_ids import format_slices  # noqa: PLC0415 - --help need not wait

    state = one.trouble or "ok"
    if one.owned is not None and ({*one.owned} ^ {*one.slices}) - {*moving}:
        state = f"owns the slices {format_slices([*one.owned])}: run the same `offerlog shards add` again"
    return {
        "shard": one.number,
        "url": one.url,
        "slices": format_slices(one.slices),
        "visitors": one.visitors,
        "state": state,
    }


def _describe_move(move: "MoveProgress") -> str:
    again = f"`offerlog shards move {move.slice:x} --to {move.target}`"
    places = f"from shard {move.source} to {move.target}"
    last = f"The last move of slice {move.slice:x}, {places}, was interrupted, and a service has"
    if move.step == "undone":
        return f"{last} undone it: shard {move.source} has the slice. To move it, run {again} again."
    if move.step == "completed":
        return f"{last} completed it: shard {move.target} has the slice."
    return (
        f"Slice {move.slice:x} moves {places}: {move.step}, {move.copied:,} of {move.events:,} events copied."
        f" If its command was killed, a service ends the move within seconds; where none runs, run {again}"
        " again, or with --undo."
    )


def _describe_step(step: "MoveStep") -> dict[str, object]:
    return {"step": step.name, "seconds": round(step.seconds, 4), "has_owner": step.has_owner}


def _audit_places(store: StoreOptions) -> "tuple[Path, Path | None]":
    """Return the file of the key that signs checkpoints, and their folder, of the home."""
    from offerlog_infrastructure.composition import usual_audit_key  # noqa: PLC0415 - --help need not wait
    from offerlog_infrastructure.keyring.file_keyring import FileKeyring  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as above

    settings = read_settings()
    key = settings.audit_key or usual_audit_key(FileKeyring(store.keyring or settings.keyring))
    return Path(key).expanduser(), settings.checkpoints and Path(settings.checkpoints)
