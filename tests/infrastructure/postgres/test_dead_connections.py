"""Connections that end, stay away or fall silent: the service replaces them, and says what is the matter."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres import connections
from offerlog_infrastructure.postgres.log import application
from offerlog_infrastructure.postgres.reads import lookups
from support.internals import application_of, forget_keys
from support.proxy import Proxy
from support.store_calls import a_signal, calls


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """A way to the database that can fail."""
    with Proxy(dsn) as way:
        yield way


def end_all(dsn: str, server: str) -> None:
    """End every connection to the database, and wait until its processes have gone."""
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (database,)
        )


def test_no_call_fails_after_the_server_has_ended_idle_connections(dsn: str, server: str) -> None:
    """A server with an idle limit, or one that was restarted at night: the first call works."""
    # given a service whose every pool holds connections
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        _, key = service.keys.create("default", Role.REPORTER, "one")
        for call in calls(service, key).values():
            call()
        for name, call in calls(service, key).items():
            forget_keys(service)
            # when the server has ended them all
            end_all(dsn, server)
            # then the call is answered
            try:
                call()
            except Exception as error:  # noqa: BLE001 - which call it was is what one wants to see
                pytest.fail(f"{name}: {error!r}")


def test_no_call_fails_after_a_proxy_has_ended_idle_connections(proxy: Proxy) -> None:
    """The server knows nothing of it, and says nothing."""
    with open_offerlog(database_url=proxy.dsn, keep_deadlines=False) as service:
        _, key = service.keys.create("default", Role.REPORTER, "one")
        for name, call in calls(service, key).items():
            forget_keys(service)
            proxy.cut()
            time.sleep(0.05)
            try:
                call()
            except Exception as error:  # noqa: BLE001 - as above
                pytest.fail(f"{name}: {error!r}")


def test_many_stale_connections_cost_no_waiting(dsn: str, server: str) -> None:
    """Each that lies dead in the pool is passed over at once, without a growing delay."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        pool = application_of(service).reading.pool
        held = [pool.getconn() for _ in range(6)]
        for connection in held:
            pool.putconn(connection)
        end_all(dsn, server)
        began = time.monotonic()
        held = [pool.getconn() for _ in range(6)]
        assert time.monotonic() - began < 2
        assert all(connection.execute("SELECT 1").fetchone() for connection in held)
        for connection in held:
            pool.putconn(connection)


def test_the_service_is_back_soon_after_an_outage_however_long(proxy: Proxy) -> None:
    """The pools' attempts to connect grow no further apart while the server is away."""
    with open_offerlog(database_url=proxy.dsn, keep_deadlines=False, project=False) as service:
        reading = {"report": lambda: service.report(ReportQuery("default")), "lookup": service.freshness}
        for call in reading.values():
            call()
        service.record([a_signal()])
        # given an outage in which the pools have tried in vain; doubling delays would be at 8 seconds by now
        proxy.go_away()
        outage = time.monotonic() + 9
        recorded: list[float] = []

        def record() -> None:
            service.record([a_signal("later")])
            recorded.append(time.monotonic())

        waiting = threading.Thread(target=record)
        waiting.start()
        messages: set[str] = set()
        while time.monotonic() < outage:
            for call in reading.values():
                with pytest.raises(StoreUnavailableError) as raised:
                    call()
                messages.add(str(raised.value))
            time.sleep(0.2)
        # then an error says why
        assert all("refused" in text for text in messages), messages
        # when the server is back
        proxy.come_back()
        back = time.monotonic()
        first: dict[str, float] = {}
        while len(first) < len(reading) and time.monotonic() - back < 30:
            for name, call in reading.items():
                try:
                    call()
                    first.setdefault(name, time.monotonic() - back)
                except StoreUnavailableError:
                    time.sleep(0.05)
        waiting.join(30)
        # then reads and the writer are back at once
        assert recorded, "the writer is not back"
        assert max(*first.values(), recorded[0] - back) < 3, (first, recorded[0] - back)


def test_a_wait_outlives_the_connection_and_a_short_outage(proxy: Proxy, dsn: str) -> None:
    """What was recorded is recorded: to wait until it shows is no reason to fail."""
    with (
        open_offerlog(database_url=dsn, keep_deadlines=False),
        open_offerlog(database_url=proxy.dsn, keep_deadlines=False, project=False) as service,
    ):
        position = service.record([a_signal()]).position
        assert position is not None
        proxy.go_away()
        timer = threading.Timer(7, proxy.come_back)
        timer.start()
        service.wait(position)
        timer.join(10)


def test_a_way_that_swallows_everything_ends_every_call(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open connections: nothing is refused, nothing is answered."""
    monkeypatch.setitem(connections._LIBPQ, "connect_timeout", 2)
    monkeypatch.setattr(connections, "_PING_SECONDS", 1.0)
    monkeypatch.setattr(application, "_READERS_ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(application, "_WRITERS_ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(lookups, "_ANSWER_SECONDS", 2.0)
    with open_offerlog(database_url=proxy.dsn, keep_deadlines=False, project=False) as service:
        service.freshness()
        service.projections()
        proxy.swallow()
        for call in (service.freshness, service.projections, lambda: service.keys.find("ofl_reporter_a_b")):
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                call()
            assert time.monotonic() - began < 20
        proxy.pass_on()
        service.freshness()
        service.projections()


def test_a_service_is_closed_though_no_answer_comes_any_more(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The projector and the replica would wait for their answers: for two minutes, and for half of one."""
    # given
    monkeypatch.setattr(connections, "_END_SECONDS", 0.5)
    service = open_offerlog(database_url=proxy.dsn, keep_deadlines=False, replica=tmp_path / "replica")
    service.wait(service.record([a_signal()]).position)
    proxy.swallow()
    time.sleep(0.2)  # both have asked something by now
    # when
    began = time.monotonic()
    service.close()
    # then
    assert time.monotonic() - began < 6, "the server ends the projector's session after ten seconds"
    proxy.pass_on()


def test_every_connection_has_its_time_limits_on_both_sides(proxy: Proxy) -> None:
    """Libpq's for us; the session's for the server, which would hold our locks for hours."""
    names = ("tcp_user_timeout", "tcp_keepalives_idle", "client_connection_check_interval")
    with open_offerlog(database_url=proxy.dsn, keep_deadlines=False) as service:
        application_ = application_of(service)
        with application_.reading.get_connection() as one, application_.log.datastore.get_connection() as two:
            own = application_.connect()
            for connection in (one, two, own):
                given = connection.info.get_parameters()
                assert given["tcp_user_timeout"] == "15000"
                assert given["connect_timeout"] == "5"
                assert given["keepalives_idle"] == "10"
                row = connection.execute("SHOW client_connection_check_interval").fetchone()
                assert row == {"client_connection_check_interval": "5s"}
            own.close()
    address = "postgresql://h/d?tcp_user_timeout=99&connect_timeout=7"
    parameters = connections.connection_arguments(address, "s")
    assert (parameters["tcp_user_timeout"], parameters["connect_timeout"]) == ("99", "7")
    assert all(f"-c {name}=" in parameters["options"] for name in names[:2])
