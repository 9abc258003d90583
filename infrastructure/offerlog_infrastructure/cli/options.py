"""The options that commands share, and the service they open."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_application.traces import Trace
    from offerlog_infrastructure.service import Offerlog


def _folder(name: str) -> Path:
    """A folder's name; an unset variable of a script must not come to mean the current folder."""
    if not name:
        raise usage("an empty name is no folder; leave it out for the usual one")
    return Path(name)


def _organization(name: str) -> str:
    """An organization's name; an unset variable of a script must not come to mean `default`."""
    if not name:
        raise usage("an empty name is no organization; leave it out for the usual one")
    return name


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        parser=_folder,
        metavar="DIR",
        help="The embedded store's folder. [dim]OFFERLOG_DATA; else the platform's place for it[/]",
        show_default=False,
    ),
]
Organization = Annotated[
    str | None,
    typer.Option(
        "--organization",
        parser=_organization,
        metavar="NAME",
        help="Whose data. [dim]OFFERLOG_ORGANIZATION; else default[/]",
        show_default=False,
    ),
]
CustomerType = Annotated[
    str, typer.Option("--customer-type", metavar="TYPE", help="What kind of id the customer's is.")
]
Customer = Annotated[str, typer.Option("--customer", metavar="ID", help="The visitor's customer id.")]
ActionMap = Annotated[str, typer.Option("--action-map", metavar="ID", help="The action map's id.")]

OPTION_OF: Final = {
    "customerId": "--customer",
    "customerIdType": "--customer-type",
    "actionMapId": "--action-map",
    "actionMapVersion": "--action-map-version",
    "sessionId": "--session",
    "actionId": "--action",
    "timeoutSeconds": "--timeout-seconds",
}
"""The option that gives a signal's field."""


def open_service(
    data: Path | None, organization: str | None, *, project: bool = True, trace: "Trace | None" = None
) -> "Offerlog":
    """The service that options and environment name; an explicit `--data` means the embedded store.

    Without `project`, the projections stand still unless another process feeds them.
    """
    from offerlog_application.organizations import OrganizationName  # noqa: PLC0415 - see below
    from offerlog_application.traces import UNTRACED  # noqa: PLC0415 - see below

    # The store's libraries take a third of a second to load, which `--help` need not pay.
    from offerlog_infrastructure.composition import open_offerlog  # noqa: PLC0415 - see above
    from offerlog_infrastructure.server_address import ServerAddress  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import Settings  # noqa: PLC0415 - see above

    settings = Settings()
    database_url = None if data else settings.database_url
    try:
        return open_offerlog(
            data=None if database_url else data or settings.data,
            database_url=database_url,
            organization=organization or settings.organization,
            rules=settings.rules,
            refusal_policy=settings.refusal_policy,
            keep_deadlines=False,
            project=project,
            trace=trace or UNTRACED,
        )
    except ServerAddress as error:
        raise usage(f"the environment variable OFFERLOG_DATABASE_URL: {error}") from None
    except OrganizationName as error:
        if organization:
            raise
        raise usage(f"the environment variable OFFERLOG_ORGANIZATION: {error}") from None
