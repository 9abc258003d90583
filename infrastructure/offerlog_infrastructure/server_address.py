"""The address of a PostgreSQL server, checked before it is used: no error may show its password."""

import re

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_domain.errors import OfferlogError


class ServerAddressError(OfferlogError, ValueError):
    """The address of a server that libpq cannot read; says why, without quoting it."""


def check_address(database_url: str) -> None:
    """Make sure that libpq can read an address.

    Raises:
        ServerAddress: It cannot.
    """
    try:
        parts = conninfo_to_dict(database_url)
    except ProgrammingError as error:
        # Of its words, those that quote the address may show a password.
        why = re.sub(r'(?s)".*"', '"..."', str(error).strip().replace('"="', "'='"))
        raise ServerAddressError(f"{why}; give postgresql://user@host/database") from None
    if "@" in str(parts.get("host") or ""):
        # What stands before it is the end of a password, which errors about the host would show.
        raise ServerAddressError("there is an @ in user or password: write it as %40")
    if not re.fullmatch(r"[0-9,]*", str(parts.get("port") or "")):
        raise ServerAddressError("the port is no number; give postgresql://user@host:5432/database")


def add_password(database_url: str, password: str) -> str:
    """Complete an address that has no password. One that libpq cannot read stays: `check_address` says why.

    Raises:
        ServerAddress: It has a password already, or the password is empty.
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
