"""The list of all settings: the value of each, masked where it is secret, and where it comes from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from offerlog_infrastructure.settings import Settings, read_settings

MASK: Final = "********"
"""Stands for a secret."""

NOT_SET: Final = {
    "data": "`/var/lib/offerlog` for root, else the platform's place for a user's data",
    "keyring": "`/etc/offerlog/keyring.json` for root, else in the platform's place for a user's settings",
    "admin_key_file": "the terminal, or a file in the data folder",
    "audit_key": "`audit.key` beside the keyring",
    "checkpoints": "none: checkpoints stay in the store alone",
    "max_connections": "the limit of open files, less 100",
}
"""Words for a setting without a value, for the documentation."""

_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)([^:/@]*:).*(?=@)")
_PASSWORD_IN_WORDS: Final = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)


class SettingOrigin(StrEnum):
    """The place that the value of a setting comes from; an earlier one wins over a later one."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ListedSetting:
    """One setting as it holds now.

    Attributes:
        name: Its name, which is its key in the settings file.
        value: Its value, masked; None if it has none. Lengths of time are in seconds.
        origin: The kind of place that the value comes from.
        place: The option, the variable or the file; None for a default.
    """

    name: str
    value: str | int | float | None
    origin: SettingOrigin
    place: str | None


def list_settings(options: Mapping[str, str | None]) -> list[ListedSetting]:
    """List all settings.

    Args:
        options: The values of options by the names of their settings; None for an option that was not given.

    Raises:
        SettingsError: A setting has a value that it cannot have, or the settings file cannot be used.
    """
    settings, found = read_settings(), Settings.file_settings()
    given = {name: value for name, value in options.items() if value is not None}
    listed = []
    for name in Settings.model_fields:
        if name in given:
            one = ListedSetting(name, given[name], SettingOrigin.OPTION, f"--{name}")
        elif "data" in given and name.startswith("database_"):  # the option means the embedded store
            one = ListedSetting(name, None, SettingOrigin.OPTION, "--data")
        elif (variable := Settings.set_by_environment(name)) is not None:
            one = ListedSetting(name, _shown(settings, name), SettingOrigin.ENVIRONMENT, variable)
        elif name in found.values:
            one = ListedSetting(name, _shown(settings, name), SettingOrigin.FILE, str(found.path))
        else:
            one = ListedSetting(name, _shown(settings, name), SettingOrigin.DEFAULT, None)
        listed.append(one)
    return listed


def describe_store(settings: Settings, data: Path | None = None) -> str:
    """Return the place of the store: its folder, or the address of the server without the password.

    Args:
        settings: The settings.
        data: The value of `--data`, which wins over the address.
    """
    if data is None and settings.database_url is not None:
        return mask_password(settings.database_url)
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - the documentation needs no store

    return str((data or settings.data or default_data_dir()).expanduser().absolute())


def mask_password(address: str) -> str:
    """Return the address of a server without its password."""
    return _PASSWORD_IN_WORDS.sub(rf"\g<1>{MASK}", _PASSWORD_IN_URL.sub(rf"\g<1>{MASK}", address))


def _shown(settings: Settings, name: str) -> str | int | float | None:
    """Return the value of a setting for people and programs, without secrets."""
    value = getattr(settings, name)
    if value is None:
        usual = _USUAL_PLACES.get(name)
        place = None if usual is None else usual(settings)
        return None if place is None else str(place)
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int):
        return value
    return mask_password(str(value)) if name in {"database_url", "otel_endpoint"} else str(value)


def _usual_data(settings: Settings) -> Path | None:
    from offerlog_infrastructure.embedded import default_data_dir  # noqa: PLC0415 - the documentation needs no store

    return default_data_dir() if settings.database_url is None else None


def _usual_keyring(settings: Settings) -> Path:
    from offerlog_infrastructure.keyring.file_keyring import default_keyring  # noqa: PLC0415 - as above

    return settings.keyring or default_keyring()


def _usual_audit_key(settings: Settings) -> Path:
    from offerlog_infrastructure.evidence.audit_key import USUAL_NAME  # noqa: PLC0415 - as above

    return _usual_keyring(settings).with_name(USUAL_NAME)


_USUAL_PLACES: Final[Mapping[str, Callable[[Settings], Path | None]]] = {
    "data": _usual_data,
    "keyring": _usual_keyring,
    "audit_key": _usual_audit_key,
}
