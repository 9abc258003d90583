"""The admin key of a first start: shown on a terminal, or written into a private file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.cli.output import usage

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog

_MODE: Final = 0o600


def make_first_key(service: "Offerlog", show: Callable[[str], None]) -> None:
    """Make the first admin key of an organization.

    Args:
        service: The service and its organization.
        show: Shows the key's text, once. If it raises an error, no key is made.
    """
    service.keys.create(service.organization, Role.ADMIN, "first start", hand_over=lambda _, text: show(text))


def write_first_key(service: "Offerlog", file: Path) -> bool:
    """Make the first admin key of an organization and write it into a new file of mode 0600.

    It is not printed, because standard output of a service is a log, under systemd or in a container.

    Returns:
        True if a key was made, False if another process made one at the same moment.

    Raises:
        typer.BadParameter: The file exists, though there is no key; it is not overwritten.
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

            def write(text: str) -> None:
                stream.write(text + "\n")
                stream.flush()  # a full disk raises an error before the key is stored

            make_first_key(service, write)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return True


def usual_file(folder: Path, organization: str) -> Path:
    """Return the default file: in the store's folder."""
    return folder / f"admin-key-{organization}"
