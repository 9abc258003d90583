"""The command audit keygen: the key that signs checkpoints."""

import secrets
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from offerlog_application.ports.shards import HOME
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.options import Data, KeyringFile, file_name
from offerlog_infrastructure.cli.output import UsageError, usage
from offerlog_infrastructure.cli.streams import telling
from offerlog_infrastructure.shard_places import place_of_shard


class Algorithm(StrEnum):
    """The algorithm of the key that signs checkpoints."""

    ED25519 = "ed25519"
    MLDSA44 = "ml-dsa-44"


def add_to(audit: typer.Typer) -> None:
    """Add the command to the group audit."""
    audit.command(
        cls=OfferlogCommand, epilog="[dim]Example:[/] offerlog audit keygen --origin example.com/offers"
    )(keygen)


def keygen(
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Unique name of this log, like a URL without its scheme. [dim]Default: a random one[/]",
            show_default=False,
        ),
    ] = None,
    algorithm: Annotated[Algorithm, typer.Option(help="What it signs with.")] = Algorithm.ED25519,
    key: Annotated[
        Path | None,
        typer.Option(
            parser=file_name,
            metavar="FILE",
            help="The new file. [dim]Default: $OFFERLOG_AUDIT_KEY, else audit.key beside the keyring[/]",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Of several servers, the one whose log it signs."),
    ] = HOME,
    data: Data = None,
    keyring: KeyringFile = None,
) -> None:
    """Make the key that signs checkpoints, and print its public key.

    The key is in a file of mode 0600, outside the data folder. The public
    key is in a file beside it. Give the public key to your auditors, and
    keep a copy of the key file. A key is never replaced. Each of several
    servers has a key of its own: --shard.
    """
    from offerlog_domain.transparency.notes import SignatureType, check_name  # noqa: PLC0415 - --help need not wait
    from offerlog_infrastructure.composition import usual_audit_key  # noqa: PLC0415 - as above
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - as above
    from offerlog_infrastructure.evidence.audit_key import make_audit_key  # noqa: PLC0415 - as above
    from offerlog_infrastructure.keyring.file_keyring import FileKeyring  # noqa: PLC0415 - as above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as above

    settings = read_settings()
    if shard != HOME:
        _check_shard(shard, data, keyring)
    name = f"offerlog-{secrets.token_hex(8)}" if origin is None else origin
    try:
        check_name(name)
    except ValueError as error:
        raise usage(f"--origin: {error}") from None
    usual = settings.audit_key or usual_audit_key(FileKeyring(keyring or settings.keyring))
    place = key or place_of_shard(Path(usual), shard)
    embedded = None if settings.database_url and not data else data or settings.data or default_data_dir()
    kind = SignatureType.MLDSA44 if algorithm is Algorithm.MLDSA44 else SignatureType.ED25519
    made = make_audit_key(place, name, kind, embedded)
    with telling(f"the key is in {place}"):
        typer.echo(str(made))


def _check_shard(shard: int, data: Path | None, keyring: Path | None) -> None:
    """Check that a server has this number.

    Raises:
        UsageError: None has.
        OfferlogError: The home cannot be opened.
    """
    from offerlog_infrastructure.cli.opening import open_installation  # noqa: PLC0415 - --help need not wait for it

    with open_installation(data, keyring) as installation:
        known = installation.numbers()
    if shard not in known:
        raise no_shard(shard, known)


def no_shard(shard: int, known: Iterable[int]) -> UsageError:
    """Make the error of a server that is not there."""
    numbers = sorted(known)
    there = "there are shards" if len(numbers) > 1 else "there is only shard"
    return usage(f"--shard: there is no shard {shard}; {there} {', '.join(map(str, numbers))}")
