"""The commands audit: checkpoints, proofs, and the verification of the whole log."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offerlog_application.ports.shards import HOME
from offerlog_application.wording import format_count
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.cli.audit_key import no_shard
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.exit_codes import ExitCode, code_of
from offerlog_infrastructure.cli.opening import Access
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm, folder_name
from offerlog_infrastructure.cli.output import Form, console, print_json, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.cli.witness import Witness, WitnessKey, ask_witnesses, read_verifier_key
from offerlog_infrastructure.presentation.escaping import spell_out
from offerlog_infrastructure.shard_places import place_of_shard

if TYPE_CHECKING:
    from offerlog_application.evidence.evidence import Evidence
    from offerlog_application.evidence.findings import AuditReport, Finding
    from offerlog_application.offerlog import Offerlog
    from offerlog_domain.transparency.checkpoints import SignedCheckpoint
    from offerlog_domain.transparency.notes import VerifierKey
    from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder
    from offerlog_infrastructure.evidence.witness_client import WitnessClient


Folder = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        parser=folder_name,
        metavar="DIR",
        help="Checkpoints outside the store: a folder, or a file. [dim]Default: $OFFERLOG_CHECKPOINTS[/]",
        show_default=False,
    ),
]


VerifierKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey",
        metavar="KEY",
        help="A public key that may have signed, or its file; may be repeated. [dim]The log's[/]",
        show_default=False,
    ),
]


Shard = Annotated[
    int | None,
    typer.Option("--shard", min=0, metavar="N", help="Of several servers, this one alone."),
]


def add_to(audit: typer.Typer) -> None:
    """Add the commands to the group audit."""
    audit.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit checkpoint --to /mnt/audit")(
        checkpoint
    )
    audit.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit prove 4711 > 4711.tlog-proof")(
        prove
    )
    audit.command(cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit consistency 1000 2000")(
        consistency
    )
    audit.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit verify --checkpoints /mnt/audit"
    )(verify)


@spread_groups
def checkpoint(
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            parser=folder_name,
            metavar="DIR",
            help="Folder outside the store to write it to, with the tiles. [dim]$OFFERLOG_CHECKPOINTS[/]",
            show_default=False,
        ),
    ] = None,
    witness: Witness = None,
    witness_key: WitnessKey = None,
    shard: Shard = None,
    store: StoreOptions,
) -> None:
    """Sign the whole log as it is now, and print the checkpoint.

    It is kept in the store, and in a folder outside: only there it protects
    against someone who can change the database. A running service signs by
    itself. Nothing is signed if the log does not continue what was signed
    before. A witness that refuses ends the command with exit code 3.

    Each of several servers has a checkpoint of its own, in a folder of its
    own: DIR is that of the home, beside it DIR-shard-1 is that of shard 1.
    With --shard, DIR is that of this server.
    """
    witnesses = ask_witnesses(witness or (), witness_key or ())
    with store.open(Access.MAINTAIN) as service:
        logs = _choose(evidence_of(service).of_servers(), shard)
        for log in logs.values():
            log.check_key()  # before anything is signed
        errors: list[OfferlogError] = []
        separator = ""
        for number, log in logs.items():
            archive = _archive(to, None if shard is not None else number)
            try:
                signed = _sign(log, archive, witnesses)
            except OfferlogError as error:
                if len(logs) == 1:
                    raise
                errors.append(error)  # the other servers go on
                typer.echo(f"offerlog: shard {number}: {error}", err=True)
                continue
            with telling("the checkpoint is signed and kept"):
                typer.echo(f"{separator}{signed}", nl=False)
            separator = "\n"
    if errors:
        raise typer.Exit(code_of(errors[0]))


def _sign(
    log: "Evidence", archive: "CheckpointFolder | None", witnesses: "Sequence[WitnessClient]"
) -> "SignedCheckpoint":
    log.catch_up()
    signed = log.checkpoint(archive)
    for one in witnesses:
        signed = log.cosign(signed, one, archive)
    return signed


@spread_groups
def prove(
    position: Annotated[int, typer.Argument(min=1, metavar="POSITION", help="The event's position.")],
    store: StoreOptions,
) -> None:
    """Print the proof that an event is in the signed log: a C2SP tlog-proof file.

    Tools for C2SP tlog-proof files check it with the public key of the log, without the store. Of several
    servers, it is a proof of the log of the one that recorded the event, wherever the event lies by now.
    """
    with store.open(Access.MAINTAIN) as service:
        evidence = evidence_of(service)
        evidence.catch_up()
        found = evidence.prove(position)
    typer.echo(str(found), nl=False)


@spread_groups
def consistency(
    old: Annotated[int, typer.Argument(min=0, metavar="OLD", help="Number of events of a checkpoint.")],
    new: Annotated[int, typer.Argument(min=0, metavar="NEW", help="That of a later one.")],
    store: StoreOptions,
    shard: Shard = None,
) -> None:
    """Print the proof that the log of NEW events begins with that of OLD events, as JSON.

    Compare the roots with those of the two checkpoints.
    """
    from offerlog_domain.errors import ArgumentError  # noqa: PLC0415 - --help need not wait for it
    from offerlog_domain.transparency.notes import encode_base64  # noqa: PLC0415 - as above

    with store.open(Access.MAINTAIN, project=False) as service:
        logs = _choose(evidence_of(service).of_servers(), shard)
        if len(logs) > 1:
            raise usage("each of several servers has a log of its own: name one with --shard")
        try:
            found = next(iter(logs.values())).consistency(old, new)
        except ArgumentError as error:
            raise usage(f"OLD and NEW: {error}") from None
    print_json(
        {
            "old": {"size": found.old_size, "root": encode_base64(found.old_root)},
            "new": {"size": found.new_size, "root": encode_base64(found.new_root)},
            "proof": [encode_base64(one) for one in found.hashes],
        }
    )


@spread_groups
def verify(
    *,
    checkpoints: Folder = None,
    vkey: VerifierKeys = None,
    shard: Shard = None,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """Compare every event with the tree, and the tree with all checkpoints.

    Names what is wrong: edited, blanked, deleted, inserted, reordered or
    truncated, each with position, stream and tile. Reads the whole log. Exit
    code 3 if anything is wrong.

    Of several servers, it compares the log of each with its events, wherever
    they lie by now. DIR is the folder of the home then, beside it
    DIR-shard-1 is that of shard 1. With --shard, DIR is that of this server.
    """
    keys = read_verifier_keys(vkey)
    _check_holds(_archive(checkpoints))
    with (
        store.open(Access.MAINTAIN, project=False) as service,
        event_bar("verifying the log") as on_progress,
        evidence_of(service).settled() as servers,
    ):
        logs = _choose(servers, shard)
        archives = {one: _archive(checkpoints, None if shard is not None else one) for one in logs}
        for archive in archives.values():
            _check_holds(archive)
        reports = {
            number: log.verify(keys=keys, archive=archives[number], on_progress=on_progress)
            for number, log in logs.items()
        }
    with telling("the log is verified"):
        for number, report in reports.items():
            of_shard = {} if len(servers) == 1 else {"shard": number}
            if form is Form.JSON:
                for one in report.findings:
                    print_json({**of_shard, **describe_finding(one)})
                print_json({**of_shard, **describe_report(report)})
            else:
                if of_shard:
                    console().print(f"Shard {number}:")
                _print_report(report)
        if form is Form.TABLE and len(reports) > 1:
            _print_sum(reports)
    if not all(report.is_whole for report in reports.values()):
        raise typer.Exit(ExitCode.FOUND_WRONG)


def _choose(logs: "Mapping[int, Evidence]", shard: int | None) -> "Mapping[int, Evidence]":
    """Return the log that an option names; all without it.

    Raises:
        typer.BadParameter: There is no such server.
    """
    if shard is None:
        return logs
    if shard not in logs:
        raise no_shard(shard, logs)
    return {shard: logs[shard]}


def read_verifier_keys(given: "list[str] | None") -> "Sequence[VerifierKey]":
    """Return the public keys that the options --vkey name.

    Raises:
        typer.BadParameter: One of them is none.
    """
    return [read_verifier_key(one, "--vkey") for one in given or ()]


def check_checkpoints(folder: Path, shards: "Iterable[int]") -> None:
    """Check that the folder of each of these servers holds a checkpoint; see `place_of_shard`.

    Raises:
        CheckpointFolderError: One holds none.
    """
    for number in shards:
        _check_holds(_archive(folder, number))


def _check_holds(archive: "CheckpointFolder | None") -> None:
    """Check that a folder holds a checkpoint: else nothing would be compared with it."""
    if archive is not None and not any(True for _ in archive.checkpoints()):
        from offerlog_application.ports.sealed_tree import CheckpointFolderError  # noqa: PLC0415 - --help need not wait

        raise CheckpointFolderError(
            f"{archive.path} holds no checkpoint, so nothing was compared with it: name the folder or the"
            " file that you keep"
        )


def evidence_of(service: "Offerlog") -> "Evidence":
    """Return the evidence of a service over a store."""
    assert service.evidence is not None  # noqa: S101 - only a log in memory has none
    return service.evidence


def describe_finding(finding: "Finding") -> dict[str, Any]:
    """Return a finding for JSON; what is not known is left out."""
    known = {
        "finding": finding.kind.value,
        "detail": finding.detail,
        "position": finding.position,
        "stream": finding.stream,
        "version": finding.version,
        "stored_as": finding.topic,
        "tile": finding.tile,
    }
    return {name: value for name, value in known.items() if value is not None}


def describe_report(report: "AuditReport") -> dict[str, Any]:
    """Return the sums of a report for JSON."""
    return {
        "whole": report.is_whole,
        "events": report.events,
        "position": report.position,
        "not_sealed_yet": report.unsealed,
        "not_sealed_seconds": report.unsealed_seconds,
        "checkpoints": report.checkpoints,
        "checkpoints_outside": report.outside,
        "signed_events": report.signed,
        "signatures_checked": report.signatures_checked,
        "found": {kind.value: count for kind, count in sorted(report.counts.items())},
    }


def _print_report(report: "AuditReport") -> None:
    out = console()
    for one in report.findings:
        out.print(spell_out(str(one)), markup=False, soft_wrap=True)
    listed = len(report.findings)
    total = sum(report.counts.values())
    if total > listed:
        out.print(f"... and {total - listed:,} more")
    verdict = format_count(total, "finding")
    if report.is_whole:
        verdict = "The log is as it was sealed"
        if not report.checkpoints:
            verdict = "The events fit the tree in the store, and no checkpoint speaks for that tree"
    age = ""
    if report.unsealed:
        seconds = report.unsealed_seconds
        age = ", the oldest for an unknown time" if seconds is None else f", the oldest for {seconds:,.0f} s"
    out.print(
        f"{verdict}: {format_count(report.events, 'event')} up to position {report.position:,} compared,"
        f" {report.unsealed:,} not sealed yet{age}"
    )
    where = (
        f"{format_count(report.checkpoints, 'checkpoint')}, {report.outside:,} of them outside of the store"
    )
    if report.signatures_checked:
        out.print(f"{where}; the first {report.signed:,} events are as they were signed.")
    else:
        out.print(
            f"{where}. No public key is known, so NO SIGNATURE WAS CHECKED: anybody can have written these"
            f" checkpoints, which the first {report.signed:,} events fit. Give --vkey."
        )
    if not report.outside:
        out.print(
            "No checkpoint outside of the store was compared: whoever can change the database can change log,"
            " tree and checkpoints together."
        )


def _print_sum(reports: "Mapping[int, AuditReport]") -> None:
    wrong = [str(number) for number, report in reports.items() if not report.is_whole]
    events = format_count(sum(report.events for report in reports.values()), "event")
    verdict = f"shards with findings: {', '.join(wrong)}" if wrong else "no finding"
    console().print(f"All {len(reports)} servers: {events} compared, {verdict}.")


def _archive(folder: Path | None, shard: int | None = None) -> "CheckpointFolder | None":
    """Return the folder that an option names, or the one beside it that a shard has; None without one."""
    from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder  # noqa: PLC0415 - --help need not wait

    return None if folder is None else CheckpointFolder(place_of_shard(folder, shard or HOME))
