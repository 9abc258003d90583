"""The settings file: a TOML file with one key for each setting; the environment wins over it."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from offerlog_domain.errors import OfferlogError

VARIABLE: Final = "OFFERLOG_CONFIG"
"""The environment variable that names the file."""

_NAME: Final = "config.toml"

_chosen: ContextVar[Path | None] = ContextVar("offerlog_settings_file", default=None)


class SettingsError(OfferlogError, ValueError):
    """A setting has a value that it cannot have, in the environment or in the settings file.

    Attributes:
        variable: The name of the environment variable, or the key in the file; empty for the file as a whole.
        cause: What is wrong with its value.
        file: The settings file; None for an environment variable.
    """

    def __init__(self, variable: str, cause: str, file: Path | None = None) -> None:
        if file is None:
            where = f"the environment variable {variable}"
        else:
            where = f"the settings file {file}" + (f": {variable}" if variable else "")
        super().__init__(f"{where}: {cause}")
        self.variable = variable
        self.cause = cause
        self.file = file


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file that was read.

    Attributes:
        path: The file; None if there is none.
        values: Its values by key, as TOML has them.
    """

    path: Path | None
    values: Mapping[str, Any]

    def text_or_number(self, key: str) -> Any:
        """Return a value as an environment variable would have it: a list becomes text with commas.

        Raises:
            SettingsError: The value is a table, or a time.
        """
        value = self.values[key]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return ",".join(value)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str | int | float):
            return value
        raise SettingsError(key, f"text or a number is needed, not {value!r}", self.path)

    def resolve(self, text: object) -> object:
        """Return a path of the file with `~` expanded; a relative one begins at the file's folder."""
        if self.path is None or not isinstance(text, str) or not text:
            return text
        return self.path.parent / Path(text).expanduser()


@contextmanager
def settings_file(path: Path | None) -> Iterator[None]:
    """Read settings from this file inside the block; None for the file that is read anyway."""
    token = _chosen.set(path or _chosen.get())
    try:
        yield
    finally:
        _chosen.reset(token)


def choose_settings_file(path: Path | None) -> None:
    """Read settings from this file from now on; None for that of the environment, or the usual one."""
    _chosen.set(path)


def default_settings_file() -> Path:
    """Return the place of the file unless one is named.

    `$XDG_CONFIG_HOME/offerlog` if that variable is set, else /etc/offerlog for root, else the platform's.
    """
    if os.environ.get("XDG_CONFIG_HOME"):
        return Path(os.environ["XDG_CONFIG_HOME"]) / "offerlog" / _NAME
    if os.geteuid() == 0:
        return Path("/etc/offerlog") / _NAME
    import platformdirs  # noqa: PLC0415 - only a service without a named file needs it

    return platformdirs.user_config_path("offerlog", appauthor=False) / _NAME


def read_settings_file(known: Sequence[str]) -> SettingsFile:
    """Read the settings file; without one, there are no values.

    Args:
        known: The keys that it may have.

    Raises:
        SettingsError: A file that was named is not there; or the file cannot be read, is not TOML, or has
            another key.
    """
    named = _chosen.get() or _named_by_environment()
    path = default_settings_file() if named is None else named.expanduser().absolute()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if named is None:
            return SettingsFile(None, {})
        raise SettingsError("", f"{error.strerror}", path) from None
    except OSError as error:
        raise SettingsError("", f"{error.strerror}", path) from None
    except UnicodeDecodeError:
        raise SettingsError("", "it is not text in UTF-8", path) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("", f"it is not TOML: {error}", path) from None
    for key in values:
        if key not in known:
            raise SettingsError(key, f"there is no such setting{_hint(key, known)}", path)
    return SettingsFile(path, values)


def _named_by_environment() -> Path | None:
    name = os.environ.get("OFFERLOG_CONFIG")
    return Path(name) if name else None


def _hint(key: str, known: Sequence[str]) -> str:
    own = key.lower().removeprefix("offerlog_")
    close = difflib.get_close_matches(own, known, 1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else "; `offerlog config` lists all settings"
