"""The address of a PostgreSQL server, checked before its use, so that no error shows its password."""

import re
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_domain.errors import OfferlogError

STORE_SCHEMA: Final = "offerlog"
"""The PostgreSQL schema that holds the log."""

USUAL_NAME: Final = "offerlog"
"""The name that connections state unless they are given another one."""


class ServerAddressError(OfferlogError, ValueError):
    """An address that libpq cannot read; the message says why, without quoting it."""


def check_address(database_url: str) -> None:
    """Check that libpq can read an address.

    Raises:
        ServerAddressError: It cannot.
    """
    try:
        parts = conninfo_to_dict(database_url)
    except ProgrammingError as error:
        # Its words quote the address, which may hold a password: remove the quotations.
        why = re.sub(r'(?s)".*"', '"..."', str(error).strip().replace('"="', "'='"))
        raise ServerAddressError(f"{why}; give postgresql://user@host/database") from None
    if "@" in str(parts.get("host") or ""):
        # The part before @ is the end of a password, which errors about the host would show.
        raise ServerAddressError("there is an @ in user or password: write it as %40")
    if not re.fullmatch(r"[0-9,]*", str(parts.get("port") or "")):
        raise ServerAddressError("the port is no number; give postgresql://user@host:5432/database")


def add_password(database_url: str, password: str) -> str:
    """Add a password to an address. An unreadable address is returned as it is; see `check_address`.

    Raises:
        ServerAddressError: The address has a password already, or the password is empty.
    """
    try:
        parts = conninfo_to_dict(database_url)
    except ProgrammingError:
        return database_url
    if parts.get("password"):
        raise ServerAddressError("it has a password already: take it out, or OFFERLOG_DATABASE_PASSWORD away")
    if not password:
        raise ServerAddressError("the password given beside it is empty")
    if "@" in str(parts.get("host") or ""):
        return database_url  # as above
    return make_conninfo(database_url, password=password)


def add_password_of(database_url: str, other: str) -> str:
    """Add the password of another address, where that has one and this has none.

    Args:
        database_url: An address that `check_address` has checked.
        other: The other one, likewise.
    """
    password = conninfo_to_dict(other).get("password")
    if not password or conninfo_to_dict(database_url).get("password"):
        return database_url
    return make_conninfo(database_url, password=str(password))


def shorten_address(database_url: str) -> str:
    """Return the place in an address: `host:port/database`, as far as it states them.

    Args:
        database_url: An address that `check_address` has checked.
    """
    parts = conninfo_to_dict(database_url)
    host, port, name = (str(parts.get(one) or "") for one in ("host", "port", "dbname"))
    return (f"{host}:{port}" if port else host) + (f"/{name}" if name else "")


def add_name(database_url: str, name: str) -> str:
    """Let connections state a name, unless the address already has one.

    Args:
        database_url: An address that `check_address` has checked.
        name: The name; PostgreSQL keeps 63 bytes of it.
    """
    stated = conninfo_to_dict(database_url).get("application_name")
    return (
        database_url
        if stated not in {None, USUAL_NAME}
        else make_conninfo(database_url, application_name=name)
    )
