"""Streams of changes while the store is away: they stay open, say so, and leave one line in the log."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog_infrastructure.http.streams import live_report, live_reports
from support.http_site import Site

pytest_plugins = ("support.http_site",)

SESSION = "5e000000-0000-4000-8000-000000000001"
SIGNAL = {
    "actionId": SESSION,
    "actionState": "offered",
    "actionMapId": SESSION,
    "customerId": "v",
    "sessionId": SESSION,
}
OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@contextmanager
def away(dsn: str, server: str) -> Iterator[None]:
    """The server ends all connections to the database, and takes no new one."""
    name = str(conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(make_conninfo(server, connect_timeout=20), autocommit=True) as connection:
        try:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
            connection.execute(OURS, (name,))
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


def test_a_stream_outlives_an_outage_of_the_store(
    site: Site, dsn: str, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two streams: an event in each, no traceback, one warning, and the changes when it is over."""
    with (
        site.client() as admin,
        admin.stream("GET", "/v1/stream") as first,
        admin.stream("GET", "/v1/stream") as second,
        caplog.at_level(logging.WARNING),
    ):
        # given two streams that show nothing yet
        streams = first.iter_lines(), second.iter_lines()
        assert [next(lines) for lines in streams] == ["retry: 2000"] * 2
        # when the store goes away, then each of them says so
        with away(dsn, server):
            for lines in streams:
                assert "event: trouble" in lines
                assert json.loads(next(lines)[6:])["reason"]
        # and when it is back, then both go on
        assert admin.post("/v1/signals", json=SIGNAL).status_code == HTTPStatus.OK
        for lines in streams:
            report = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
            while not report.get("rows"):
                report = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
            assert report["rows"][0]["metrics"]["nWebActionsOffered"] == 1
    assert [one.getMessage() for one in caplog.records if one.exc_info or one.levelno > logging.WARNING] == []
    loggers = {live_reports.__name__, live_report.__name__}
    warned = [one.getMessage() for one in caplog.records if one.name in loggers]
    assert 1 <= len(warned) <= 2, warned
    assert all("will be" in line for line in warned)
