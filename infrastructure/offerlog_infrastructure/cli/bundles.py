"""The commands audit export and audit verify-bundle: bundles of the log for auditors."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from offerlog_application.reading.instants import zone
from offerlog_infrastructure.cli.event_bar import event_bar
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.evidence import evidence_of
from offerlog_infrastructure.cli.exit_codes import ExitCode
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import file_name
from offerlog_infrastructure.cli.output import print_json, refusing_arguments, usage
from offerlog_infrastructure.cli.positions import read_position
from offerlog_infrastructure.cli.report_options import read_range
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.cli.witness import Witness, WitnessKey, ask_witnesses
from offerlog_infrastructure.presentation.documents import show_position


class EventFormat(StrEnum):
    """The formats of the events of a bundle. NDJSON is always there, because the verifier reads it."""

    NDJSON = "ndjson"
    PARQUET = "parquet"


def add_to(audit: typer.Typer) -> None:
    """Add the commands to the group audit."""
    audit.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog audit export november.zip --from 2026-11-01 --to 2026-12-01",
    )(export)
    audit.command(
        name="verify-bundle",
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog audit verify-bundle november.zip --key shop.vkey",
    )(verify_bundle)


@spread_groups
def export(
    *,
    place: Annotated[
        Path,
        typer.Argument(
            parser=file_name,
            metavar="FOLDER|FILE.zip",
            help="Where the bundle goes; it must not exist.",
        ),
    ],
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="The first instant that the reports count."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The first instant that counts no longer.")
    ] = None,
    zone_name: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="Zone of dates in --from and --to.")
    ] = "UTC",
    as_of: Annotated[
        str | None,
        typer.Option(metavar="POSITION", help="The last event. [dim]Default: the newest[/]"),
    ] = None,
    form: Annotated[
        EventFormat, typer.Option("--format", help="parquet adds the events as Parquet, for analysts.")
    ] = EventFormat.NDJSON,
    prove: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=2**63 - 1, metavar="POSITION", help="Add the proof of this event; may be repeated."
        ),
    ] = None,
    witness: Witness = None,
    witness_key: WitnessKey = None,
    every_organization: Annotated[
        bool, typer.Option("--every-organization", help="Disclose the events of other organizations too.")
    ] = False,
    store: StoreOptions,
) -> None:
    """Write a bundle for an auditor: events, tree, checkpoint, counts, verifier.

    It can be checked without the store, with one command. It holds every
    event, because only then it shows that no count leaves one out. --from
    and --to are for the reports in it. Events of other organizations are
    hashes alone. What identifies a visitor is not in it.

    Of several servers it holds the log of each, and says in a signed file
    how many there are: give the auditor the public key of every server.
    """
    where, end_of_log = zone(zone_name), read_position("--as-of", as_of)
    first, last = read_range(start, end, None, where)
    from offerlog_application.evidence.bundle_parts import BundleRequest  # noqa: PLC0415 - --help need not wait for it
    from offerlog_application.ports.performance_counts import ReportQuery  # noqa: PLC0415 - as above
    from offerlog_infrastructure.evidence.bundle_papers import write_bundle  # noqa: PLC0415 - as above

    witnesses = ask_witnesses(witness or (), witness_key or ())
    with (
        store.open() as service,
        event_bar("exporting events") as on_progress,
        refusing_arguments(after="--as-of", proved="--prove"),
    ):
        query = ReportQuery(organization=service.organization, start=first, end=last)
        request = BundleRequest(query, end_of_log, every_organization, tuple(prove or ()), witnesses)
        contents, digest = write_bundle(
            evidence_of(service),
            request,
            place,
            with_parquet=form is EventFormat.PARQUET,
            on_progress=on_progress,
        )
    with telling(f"the bundle is in {place}"):
        print_json(
            {
                "bundle": str(place),
                "events": contents.events,
                "position": show_position(contents.position),
                "withheld": contents.withheld,
                "manifest_sha256": digest,
            }
        )


def verify_bundle(
    key: Annotated[
        list[str], typer.Option(metavar="VKEY", help="Public key of the log, or its file; may be repeated.")
    ],
    bundle: Annotated[
        Path | None, typer.Argument(parser=file_name, metavar="BUNDLE", help="The folder or the ZIP file.")
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(parser=file_name, metavar="FILE", help="The proof of an event, in place of a bundle."),
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(metavar="VKEY", help="Public key of a witness that must have cosigned; repeatable."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            parser=file_name,
            metavar="OLD",
            help="A checkpoint that you have kept from before; may be repeated.",
        ),
    ] = None,
    all_disclosed: Annotated[
        bool, typer.Option("--all-disclosed", help="Fail if the bundle has of an event the hash alone.")
    ] = False,
) -> None:
    """Check a bundle or a proof, with the verifier that stands alone.

    Needs no store.

    Exit code 3 if a check fails. An auditor runs the file verify_bundle.py
    itself, which does the same without offerlog.
    """
    from offerlog_infrastructure.evidence import verify_bundle as alone  # noqa: PLC0415 - --help need not wait for it

    if (bundle is None) == (proof is None):
        raise usage("give a bundle, or --proof FILE")
    words = [] if bundle is None else [str(bundle)]
    files = ("--proof", proof), *(("--checkpoint", one) for one in checkpoint or ())
    for option, values in (("--key", key), ("--witness", witness or ())):
        words += [word for value in values for word in (option, value)]
    words += [word for option, file in files if file is not None for word in (option, str(file))]
    words += ["--all-disclosed"] * all_disclosed
    if code := alone.main(words, _refuse):
        raise typer.Exit(ExitCode.FOUND_WRONG if code == 1 else code)


def _refuse(text: str) -> NoReturn:
    raise usage(text)
