"""libpq's environment does not reach the embedded store; a server's settings change no answer."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from support.preloaded import preloaded_code
from support.ready_stores import put_store

OPEN = """
import sys
from offerlog_infrastructure.composition import open_offerlog
with open_offerlog(data=sys.argv[1], keep_deadlines=False) as service:
    signal = {"actionId": "@ID", "actionState": "offered", "actionMapId": "@ID", "customerId": "v",
              "sessionId": "@ID"}
    receipt = service.record([signal])
    service.wait(receipt.position)
    list(service.refusals())
    service.history(customer_id="v", action_map_id="@ID")
    service.rebuild("suppression")
print("opened")
""".replace("@ID", "7d3b1c52-6d5f-4a43-9d3c-1f0b3f6a2a11")

HOSTILE = {
    "PGHOST": "no.such.host.invalid", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "other",
    "PGUSER": "other", "PGPASSWORD": "wrong", "PGPASSFILE": "/nonexistent", "PGCHANNELBINDING": "require",
    "PGOPTIONS": "-c nonsense=1",
    "PGAPPNAME": "x" * 200, "PGSSLMODE": "verify-full", "PGREQUIRESSL": "1", "PGSSLNEGOTIATION": "direct",
    "PGSSLCOMPRESSION": "1", "PGSSLCERT": "/nonexistent", "PGSSLKEY": "/nonexistent",
    "PGSSLCERTMODE": "require",
    "PGSSLROOTCERT": "system", "PGSSLCRL": "/nonexistent", "PGSSLCRLDIR": "/nonexistent", "PGSSLSNI": "0",
    "PGREQUIREPEER": "nobody-at-all", "PGREQUIREAUTH": "none", "PGMINPROTOCOLVERSION": "latest",
    "PGMAXPROTOCOLVERSION": "latest", "PGSSLMINPROTOCOLVERSION": "TLSv1.3",
    "PGSSLMAXPROTOCOLVERSION": "TLSv1",
    "PGGSSENCMODE": "require", "PGKRBSRVNAME": "x", "PGGSSLIB": "sspi", "PGGSSDELEGATION": "1",
    "PGCONNECT_TIMEOUT": "nonsense", "PGCLIENTENCODING": "nonsense", "PGTARGETSESSIONATTRS": "standby",
    "PGLOADBALANCEHOSTS": "random", "PGDATESTYLE": "German, DMY", "PGTZ": "Asia/Kathmandu", "PGGEQO": "off",
    "PGSYSCONFDIR": "/nonexistent", "PGSERVICEFILE": "/nonexistent", "PGLOCALEDIR": "/nonexistent",
    "PGDATA": "/nonexistent",
}  # fmt: skip
"""A value for each variable that would stop a connection, or change what comes of it."""


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """A store that is kept running."""
    with tempfile.TemporaryDirectory(prefix="libpq-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        put_store(Path(name) / "data")
        with EmbeddedServer.acquire(Path(name) / "data"):
            yield Path(name) / "data"


def opened(store: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Open the store in a separate process and do what makes every kind of connection."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        [*preloaded_code(OPEN), str(store)], env={**plain, **environment}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_hostile_value_is_known_for_every_variable_of_this_libpq() -> None:
    """A newer libpq with a new variable fails here, so that somebody looks at it."""
    known = {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    assert known - set(HOSTILE) == {"PGSERVICE"}


def test_no_variable_reaches_the_embedded_store(store: Path) -> None:
    """All of them at once; then those apart that others of them could hide."""
    run = opened(store, **HOSTILE)
    assert (run.returncode, run.stdout) == (0, "opened\n"), run.stderr
    assert "warning" not in run.stderr.lower()


@pytest.mark.parametrize(
    "name",
    [
        "PGCHANNELBINDING",
        "PGREQUIREAUTH",
        "PGTARGETSESSIONATTRS",
        "PGGSSENCMODE",
        "PGSSLMODE",
        "PGHOSTADDR",
        "PGDATESTYLE",
    ],
)
def test_each_that_used_to_stop_it_alone_does_not(store: Path, name: str) -> None:
    """Two of them hung without a word."""
    run = opened(store, **{name: HOSTILE[name]})
    assert (run.returncode, run.stdout) == (0, "opened\n"), run.stderr


def test_a_good_service_file_changes_nothing(store: Path, tmp_path: Path) -> None:
    """What it says is stated already."""
    (tmp_path / "services").write_text("[mine]\nhost=no.such.host.invalid\nsslmode=require\nuser=other\n")
    run = opened(store, PGSERVICE="mine", PGSERVICEFILE=str(tmp_path / "services"))
    assert (run.returncode, run.stdout) == (0, "opened\n"), run.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("PGSERVICE", "nonsense"), ("PGDATESTYLE", "nonsense"), ("PGTZ", "No/Where")]
)
def test_what_no_connection_can_be_shielded_from_is_named_at_once(store: Path, name: str, value: str) -> None:
    """Libpq itself looks for the service, and sends two of its variables behind all that we say."""
    run = opened(store, **{name: value})
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert "ServerNotStartedError" in last
    assert name in last
    assert "unset it" in last


SETTINGS = {
    "DateStyle": "German, DMY", "IntervalStyle": "sql_standard", "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on", "search_path": "nowhere", "extra_float_digits": "-15",
    "array_nulls": "off",
    "client_encoding": "LATIN1", "lock_timeout": "1ms", "quote_all_identifiers": "on",
}  # fmt: skip


@pytest.mark.parametrize("where", ["database", "role"])
def test_settings_of_a_database_or_role_change_no_answer(server: str, dsn: str, where: str) -> None:
    """An operator's own server may be set up in any way."""
    parts = conninfo_to_dict(dsn)
    one = sql.SQL("DATABASE {}").format(sql.Identifier(str(parts["dbname"])))
    if where == "role":
        one = sql.SQL("ROLE {} IN DATABASE {}").format(
            *(sql.Identifier(str(parts[n])) for n in ("user", "dbname"))
        )
    with psycopg.connect(server, autocommit=True) as connection:
        for name, value in SETTINGS.items():
            connection.execute(
                sql.SQL("ALTER {} SET {} TO {}").format(
                    one, sql.Identifier(name), sql.SQL(value) if name == "DateStyle" else sql.Literal(value)
                )
            )
    try:
        with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
            service.wait(service.record([b"{", {"actionId": "x"}]).position)
            assert [len(kept.raw) for kept in service.refusals()] == [1, 17]
            assert all(kept.recorded_at.utcoffset() is not None for kept in service.refusals())
            service.keys.all("default")
            service.rebuild()
            assert all(not proof.differences for proof in service.verify())
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER {} RESET ALL").format(one))
