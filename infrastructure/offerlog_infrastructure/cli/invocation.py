"""Commands as a person types them, for hints."""

import shlex
import shutil
import sys
from pathlib import Path


def called_as() -> str:
    """Return the words that call the command from the current folder."""
    command = Path(sys.argv[0])
    if shutil.which("offerlog") == str(command) or command.name != "offerlog":
        return "offerlog"
    here = Path.cwd()
    return shlex.quote(str(command.relative_to(here) if command.is_relative_to(here) else command))


def with_options(data: Path | None, keyring: Path | None, organization: str | None) -> str:
    """Return the options for the same store and organization, with a leading space; may be empty."""
    options = f" --data {shlex.quote(str(data))}" if data else ""
    options += f" --keyring {shlex.quote(str(keyring))}" if keyring else ""
    return options + (f" --organization {shlex.quote(organization)}" if organization else "")
