"""The opening of the store that options and environment name; no store is made by mistake."""

import difflib
import logging
import sys
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from offerlog_infrastructure.cli import ending
from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.tracing import Trace
    from offerlog_infrastructure.installation import Installation

_log = logging.getLogger(__name__)

_NAMES_SHOWN: Final = 10
"""Number of organizations that an error lists; a store may have thousands."""


class Access(Enum):
    """The store and organization that a command needs."""

    READ = auto()
    """An existing store, and an organization that it knows."""

    MAINTAIN = auto()
    """An existing store; the command works for all organizations."""

    ADD = auto()
    """An existing store, and an organization, new or not. A new one is announced."""

    WRITE = auto()
    """As `ADD`, but a missing store is made, and announced as well."""


_COMMANDS_POOL: Final = {"POSTGRES_POOL_SIZE": "1", "POSTGRES_MAX_OVERFLOW": "4"}
"""A command soon ends: it opens further connections when it needs them."""


def open_service(
    data: Path | None,
    keyring: Path | None,
    organization: str | None,
    access: Access = Access.READ,
    *,
    project: bool = True,
    trace: "Trace | None" = None,
    serves: bool = False,
    application_name: str | None = None,
    is_first: bool = True,
) -> "Offerlog":
    """Open the service that options and environment name; an explicit `--data` means the embedded store.

    Args:
        data: The value of `--data`, if it was given.
        keyring: The value of `--keyring`, if it was given.
        organization: The value of `--organization`, if it was given.
        access: What the command needs.
        project: True if this process may run the projections.
        trace: As in `open_offerlog`.
        serves: True for a process that goes on serving, and keeps connections ready for that.
        application_name: As in `open_offerlog`.
        is_first: False in further processes of one command, which do not repeat the warnings of the first.

    Raises:
        typer.BadParameter: The organization is unknown, or an address or name is not valid.
        StoreMissingError: There is no store, and the command does not make one.
        KeyringError: The keyring cannot be used, or does not hold a key of the store.
    """
    from offerlog_application.ports.organizations import OrganizationNameError  # noqa: PLC0415 - see below
    from offerlog_application.ports.tracing import UNTRACED  # noqa: PLC0415 - see below

    # The store's libraries take a third of a second to load, which `--help` need not pay.
    from offerlog_infrastructure.server_address import ServerAddressError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - see above
    from offerlog_infrastructure.store_missing import StoreMissingError  # noqa: PLC0415 - see above

    if access is Access.WRITE:
        ending.note_recording()
    settings = read_settings()
    if is_first:
        warn_of_unknown_variables()
    database_url = None if data else settings.database_url
    asked: dict[str, Any] = {
        "data": None if database_url else data or settings.data,
        "database_url": database_url,
        "keyring": keyring or settings.keyring,
        "organization": organization or settings.organization,
        "rules": settings.rules,
        "refusal_policy": settings.refusal_policy,
        "keep_deadlines": False,
        "project": project,
        "trace": trace or UNTRACED,
        "library_settings": None if serves else _COMMANDS_POOL,
        "application_name": application_name,
    }
    try:
        try:
            service = _open(asked, create=False)
        except StoreMissingError as missing:
            if access is not Access.WRITE:
                raise
            service = _open(asked, create=True)
            _log.warning("made a new store at %s", missing.where)
    except ServerAddressError as error:
        raise usage(f"the environment variable OFFERLOG_DATABASE_URL: {error}") from None
    except OrganizationNameError as error:
        if organization:
            raise
        raise usage(f"the environment variable OFFERLOG_ORGANIZATION: {error}") from None
    try:
        _check_organization(service, access)
    except BaseException:
        service.close()
        raise
    return service


def _open(asked: Mapping[str, Any], *, create: bool) -> "Offerlog":
    """Open the service. On a terminal, a bar shows the upgrade of an older store; elsewhere it is logged."""
    from offerlog_infrastructure.composition import open_offerlog  # noqa: PLC0415 - as in `open_service`

    if not sys.stderr.isatty():
        return open_offerlog(**asked, create=create)
    from offerlog_infrastructure.cli.event_bar import event_bar  # noqa: PLC0415 - as in `open_service`

    with event_bar("upgrading the store") as on_upgrade:
        return open_offerlog(**asked, create=create, on_upgrade=on_upgrade)


def open_installation(data: Path | None, keyring: Path | None, *, create: bool = False) -> "Installation":
    """Open the installation whose home options and environment name.

    Args:
        data: The value of `--data`, if it was given.
        keyring: The value of `--keyring`, if it was given.
        create: True to make a missing home.

    Raises:
        OfferlogError: See `Installation`.
    """
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - as in `open_service`
    from offerlog_infrastructure.installation import Installation  # noqa: PLC0415 - as in `open_service`
    from offerlog_infrastructure.keyring.file_keyring import FileKeyring  # noqa: PLC0415 - as in `open_service`
    from offerlog_infrastructure.settings import read_settings  # noqa: PLC0415 - as in `open_service`

    settings = read_settings()
    warn_of_unknown_variables()
    database_url = None if data else settings.database_url
    place = None if database_url else data or settings.data or default_data_dir()
    return Installation(place, database_url, FileKeyring(keyring or settings.keyring), create=create)


def _check_organization(service: "Offerlog", access: Access) -> None:
    """Refuse to read for an unknown organization, and announce a new one before anything is written."""
    if access is Access.MAINTAIN:
        return
    name, known = service.organization, service.organizations.names()
    if name in known:
        return
    if access is Access.READ:
        # Of several servers, others than the home may have counts of a deleted organization.
        known = sorted({*known, *service.organizations.names_with_signals()})
        if name in known:
            return
        raise usage(_unknown(name, known))
    variants = [one for one in known if one.casefold() == name.casefold()]
    if variants:
        _confirm_variant(name, variants)
    elif known:
        warning = f"{name!r} is a new organization of this store, which has: {listed(known)}"
        _log.warning("%s", warning)


def _unknown(name: str, known: Sequence[str]) -> str:
    if not known:
        return (
            f"the store has no organization {name!r}, nor any other: nothing was recorded yet; start with"
            " `offerlog record` or `offerlog sample`"
        )
    close = difflib.get_close_matches(name.casefold(), [one.casefold() for one in known], 1)
    meant = [one for one in known if one.casefold() in close][:1]
    hint = f"; did you mean {meant[0]!r}?" if meant else ";"
    return (
        f"the store has no organization {name!r}{hint} it has: {listed(known)}."
        " Choose one with --organization or OFFERLOG_ORGANIZATION"
    )


def listed(names: Sequence[str]) -> str:
    """Join names for a message; only the first ten of many."""
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN:,} more"


def _confirm_variant(name: str, variants: Sequence[str]) -> None:
    """Ask about a name that differs from a known one only in case; without a terminal, warn."""
    warning = f"{name!r} is a new organization, which differs only in case from {listed(variants)}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        _log.warning("%s", warning)
    elif not typer.confirm(f"{warning}. Go on?", err=True):
        raise usage(f"nothing was done; give --organization {variants[0]}")


def warn_of_unknown_variables() -> None:
    """Warn of variables that look like settings but are not read: most are misspelled."""
    from offerlog_infrastructure.settings import Settings  # noqa: PLC0415 - as in `open_service`

    for name in Settings.unknown_variables():
        close = difflib.get_close_matches(name, Settings.variables(), 1, cutoff=0.75)
        hint = f"; did you mean {close[0]}?" if close else ""
        _log.warning("the environment variable %s is not one that offerlog reads%s", name, hint)
