"""Errors of PostgreSQL become the reason why the store cannot do its work."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.errors import store_reached, trouble_of
from support.internals import application_of
from support.recount import until

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'as the server says it' USING ERRCODE = '{}'; END $$"
STATES = {
    "53100": StoreTrouble.DISK_FULL,
    "58030": StoreTrouble.STORAGE_FAILED,
    "XX001": StoreTrouble.STORAGE_FAILED,
    "55P03": StoreTrouble.LOCKED,
    "53300": StoreTrouble.TOO_MANY_CONNECTIONS,
    "25006": StoreTrouble.READ_ONLY,
    "57P01": StoreTrouble.RESTARTING,
    "57P03": StoreTrouble.RESTARTING,
    "57P05": StoreTrouble.RESTARTING,
    "25P03": StoreTrouble.RESTARTING,
    "08006": StoreTrouble.UNREACHABLE,
    "40P01": StoreTrouble.FAILED,
    "53200": StoreTrouble.FAILED,
}


def test_each_state_of_the_server_has_its_reason(offerlog: Offerlog) -> None:
    """Through the pools, as every call goes; counted, and in one line of the server's own words."""
    application = application_of(offerlog)
    for state, trouble in STATES.items():
        before = offerlog.store_failures()[trouble]
        for datastore in (application.reading, application.log.datastore):
            with (
                pytest.raises(StoreUnavailableError) as raised,
                store_reached(datastore),
                datastore.cursor() as cursor,
            ):
                cursor.execute(RAISE.format(state).encode())
            assert raised.value.trouble is trouble
            assert str(raised.value) == f"{trouble.sentence}: as the server says it; {trouble.advice}"
            assert raised.value.summary == f"{trouble.sentence}; {trouble.advice}"
        assert offerlog.store_failures()[trouble] == before + 2


def test_an_error_of_a_statement_is_not_the_stores_trouble(offerlog: Offerlog) -> None:
    """A unique violation, a division by zero, a missing table stay what they are."""
    datastore = application_of(offerlog).reading
    for state in ("23505", "22012", "42P01", "42501"):
        with (
            pytest.raises(Exception, match="as the server says it") as raised,
            store_reached(datastore),
            datastore.cursor() as cursor,
        ):
            cursor.execute(RAISE.format(state).encode())
        assert not isinstance(raised.value, StoreUnavailableError)
        assert trouble_of(raised.value) is None


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("FATAL:  could not write init file: No space left on device", StoreTrouble.DISK_FULL),
        ("FATAL:  sorry, too many clients already", StoreTrouble.TOO_MANY_CONNECTIONS),
        ("FATAL:  the database system is starting up", StoreTrouble.RESTARTING),
        ("FATAL:  the database system is shutting down", StoreTrouble.RESTARTING),
        ("session is read-only", StoreTrouble.READ_ONLY),
        ('could not open file "global/1": Read-only file system', StoreTrouble.STORAGE_FAILED),
        ("Connection refused", StoreTrouble.UNREACHABLE),
    ],
)
def test_a_server_that_turns_a_connection_down_is_taken_at_its_word(
    words: str, trouble: StoreTrouble
) -> None:
    """The driver gives no state then."""
    assert trouble_of(psycopg.OperationalError(f"connection failed: {words}")) is trouble


def test_too_many_connections_are_the_reason_from_the_opening_on(dsn: str, server: str) -> None:
    """Found by a server that really has none left for this database."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(server, autocommit=True) as superuser:
        superuser.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'.encode())
        with pytest.raises(StoreUnavailableError, match="no connection to the database is free") as raised:
            open_offerlog(database_url=dsn, keep_deadlines=False)
        assert raised.value.trouble is StoreTrouble.TOO_MANY_CONNECTIONS
        assert "too many connections for database" in raised.value.detail


def test_a_busy_pool_is_not_called_a_server_out_of_reach(
    offerlog: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections of this process are lent, and stay so."""
    datastore = application_of(offerlog).reading
    lent = [datastore.pool.getconn() for _ in range(datastore.pool.max_size)]
    monkeypatch.setattr(datastore.pool, "timeout", 0.5)
    with pytest.raises(StoreUnavailableError, match="all connections are in use") as raised:
        offerlog.proof("suppression")
    assert raised.value.trouble is StoreTrouble.TOO_MANY_CONNECTIONS
    for connection in lent:
        datastore.pool.putconn(connection)
    until(lambda: offerlog.proof("suppression"))


def test_a_read_only_server_costs_the_connection(offerlog: Offerlog) -> None:
    """The next connection may find the primary, where an address names several servers."""
    offerlog.record([b"the first line makes the organization known"])
    pool = application_of(offerlog).log.datastore.pool
    lent = [pool.getconn() for _ in range(pool.max_size)]  # all that there can be
    for connection in lent:
        connection.execute("SET default_transaction_read_only TO on")
        pool.putconn(connection)
    receipt = offerlog.record([b"no signal"])
    assert receipt.outcomes[0].kind == "refused"
    assert offerlog.store_failures()[StoreTrouble.READ_ONLY] >= 1
