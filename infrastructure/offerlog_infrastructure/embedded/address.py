"""The address of the embedded server. It states every parameter, so libpq's environment has no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded.socket_folder import PORT

if TYPE_CHECKING:
    from pathlib import Path

STATED = {
    "port": str(PORT),
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "require_auth": "scram-sha-256",
    "sslcertmode": "disable",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
    "client_encoding": "UTF8",
    "application_name": "offerlog",
    "connect_timeout": "5",
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
}
"""Parameters for a local socket and a password."""

NOT_STATED = {"service"}
"""libpq would look for a service of that name; the address states all that a service could."""


def address(socket_dir: Path, user: str, password: str, database: str) -> str:
    """Return a connection string that states every parameter which libpq reads from the environment."""
    from psycopg import conninfo, pq  # noqa: PLC0415 - the guard imports this module without third-party packages

    ours = {**STATED, "host": str(socket_dir), "user": user, "password": password, "dbname": database}
    stated: dict[str, str] = {}
    for option in pq.Conninfo.get_defaults():
        keyword = option.keyword.decode()
        if option.envvar and keyword not in NOT_STATED:
            compiled = (option.compiled or b"").decode()
            stated[keyword] = ours.get(keyword, compiled)
    return conninfo.make_conninfo("", **stated)


def as_environment(dsn: str) -> dict[str, str]:
    """Return the parameters of a connection string as libpq's environment variables."""
    from psycopg import conninfo, pq  # noqa: PLC0415 - as above

    stated = conninfo.conninfo_to_dict(dsn)
    variables = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    return {
        variable.decode(): str(value)
        for keyword, value in stated.items()
        if value and (variable := variables.get(keyword))
    }
