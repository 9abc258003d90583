"""The admin key of a first start: to a person at a terminal, or into a file that only they can read."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_infrastructure.service import Offerlog

_MODE: Final = 0o600


def make_first_key(service: "Offerlog") -> str:
    """Make the first admin key of an organization and return its text, for a terminal."""
    _, text = service.keys.create(service.organization, Role.ADMIN, "first start")
    return text


def write_first_key(service: "Offerlog", file: Path) -> bool:
    """Make the first admin key of an organization and write it into a new file of mode 0600.

    Never into a log: standard output of a service is one, under systemd or in a container.

    Returns:
        Whether a key was made. False where another process made one at the same moment.

    Raises:
        typer.BadParameter: The file is there already, though there is no key: it is not overwritten.
        OSError: The file cannot be written; no key was made then.
    """
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    except FileExistsError:
        if service.keys.all(service.organization):
            return False
        raise usage(
            f"{file} is there already, so the first admin key of organization {service.organization} cannot"
            " be written into it; remove it, or set OFFERLOG_ADMIN_KEY_FILE to another one"
        ) from None
    try:
        with open(made, "w", encoding="ascii") as stream:  # noqa: PTH123 - the descriptor has the private mode
            stream.write(make_first_key(service) + "\n")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return True


def usual_file(folder: Path, organization: str) -> Path:
    """Name the file that is used where none is set: in the store's folder."""
    return folder / f"admin-key-{organization}"
