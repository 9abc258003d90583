"""The command audit witness: cosigns the checkpoints of other people's logs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.options import Host, folder_name
from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_domain.transparency.notes import VerifierKey
    from offerlog_infrastructure.evidence.witness_client import WitnessClient

_USUAL_PORT: Final = 8001

Witness = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="URL", help="A witness that shall cosign; may be repeated."),
]
WitnessKey = Annotated[
    list[str] | None,
    typer.Option(
        "--witness-key", metavar="VKEY", help="Public key of each witness, in their order, or its file."
    ),
]


def add_to(audit: typer.Typer) -> None:
    """Add the command to the group audit."""
    audit.command(
        cls=OfferlogCommand,
        epilog="[dim]Example:[/] offerlog audit witness ./witness --name auditor.example/w1 --log shop.vkey",
    )(witness)


def witness(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=folder_name,
            metavar="FOLDER",
            help="Key and memory of the witness; made at the first start.",
        ),
    ],
    log: Annotated[
        list[str],
        typer.Option("--log", metavar="VKEY", help="Public key of a log, or its file; may be given again."),
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of a new witness: an address of yours, no spaces."),
    ] = None,
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 for any.")
    ] = _USUAL_PORT,
) -> None:
    """Cosign checkpoints of logs, as their witness, until Ctrl-C.

    Run it where the operator of the log cannot reach it. It cosigns only
    a tree that begins with the tree that it cosigned before, so nobody
    can rewrite what it has seen. Copy the folder's key to a safe place;
    never put back an old copy of the rest, because a witness that forgets
    could cosign a second history.
    """
    from offerlog_application.evidence.witness import Witness  # noqa: PLC0415 - --help need not wait for it
    from offerlog_infrastructure.clock import SystemClock  # noqa: PLC0415 - as above
    from offerlog_infrastructure.evidence.signing_keys import check_signature  # noqa: PLC0415 - as above
    from offerlog_infrastructure.evidence.witness_folder import WitnessFolder  # noqa: PLC0415 - as above
    from offerlog_infrastructure.evidence.witness_site import WitnessSite, serve_witness  # noqa: PLC0415 - as above
    from offerlog_infrastructure.http.server.server import listen  # noqa: PLC0415 - as above

    logs = [read_verifier_key(one, "--log") for one in log]
    if not host:  # a script's unset variable must not mean all addresses
        raise usage("--host: an empty name is not an address; 0.0.0.0 is every address of this machine")
    logging.basicConfig(format="offerlog: %(message)s")
    with WitnessFolder(folder, name) as memory, listen(host, port, exact=port != 0) as listening:
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listening.getsockname()[1]}"
        key = memory.key.key
        site = WitnessSite(Witness(logs, memory.key, memory, check_signature, SystemClock()), key)

        def started() -> None:
            typer.echo(f"Witness at {url} of {', '.join(sorted({one.name for one in logs}))}, until Ctrl-C")
            typer.echo(str(key))

        serve_witness(site, listening, started)


def ask_witnesses(urls: Sequence[str], keys: Sequence[str]) -> "list[WitnessClient]":
    """Return clients of witnesses.

    Raises:
        typer.BadParameter: A witness has no key, or a key or an address cannot be read.
    """
    from offerlog_infrastructure.evidence.witness_client import WitnessClient, WitnessError  # noqa: PLC0415 - --help need not wait for it

    if len(urls) != len(keys):
        raise usage(
            "give --witness-key for each --witness, in the same order: only its key makes it a witness"
        )
    try:
        return [
            WitnessClient(url, read_verifier_key(key, "--witness-key"))
            for url, key in zip(urls, keys, strict=True)
        ]
    except WitnessError as error:
        raise usage(f"--witness: {error}") from None


def read_verifier_key(text: str, option: str) -> "VerifierKey":
    """Read a public key, or the file that holds one.

    Raises:
        typer.BadParameter: It is neither.
    """
    from offerlog_domain.transparency.errors import NoteError  # noqa: PLC0415 - --help need not wait for it
    from offerlog_domain.transparency.notes import VerifierKey  # noqa: PLC0415 - as above

    try:
        if text.count("+") < 2:  # noqa: PLR2004 - name+id+key
            text = Path(text).read_text("utf-8").strip()
        return VerifierKey.parse(text)
    except OSError as error:
        raise usage(
            f"{option} {text}: {error.strerror}; give a public key or a file that holds one"
        ) from None
    except (NoteError, UnicodeDecodeError) as error:
        raise usage(f"{option}: {error}") from None
