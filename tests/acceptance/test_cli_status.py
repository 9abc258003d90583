"""`offerlog status` and `offerlog doctor`, as an operator at night types them."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog_application.status.checks import CHECKS
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.postmaster import recorded_pid
from support.command_line import CommandLine, an_id, signal_of
from support.ready_stores import put_store
from support.recount import rows

LINES = [
    "store",
    "schema",
    "database",
    "organizations",
    "log",
    "projections",
    "dead letters",
    "subscriptions",
    "webhooks",
    "parked",
    "overdue",
]
LINES += ["refusals", "tree", "checkpoint", "witness", "backup", "keyring", "disk", "services", "server log"]


@pytest.fixture
def own(cli_folder: Path) -> Iterator[CommandLine]:
    """The command over a store of the test's own, which nothing uses."""
    put_store(cli_folder / "store")
    open_offerlog(data=cli_folder / "store", keep_deadlines=False, project=False).close()
    yield CommandLine(cli_folder / "store", "default")
    shutil.rmtree(cli_folder)


def test_a_store_shows_itself_on_one_screen_and_is_not_changed(own: CommandLine, tmp_path: Path) -> None:
    """A backup is missing, and the doctor says what to do; once it is made, all is well."""
    with EmbeddedServer.acquire(own.data, create=False):  # so that it need not start for each command
        # given a store that holds something, of which nobody has made a backup
        own.judged(signal_of("offered", an_id(), an_id()))
        # then
        screen = own("status", code=5).text.splitlines()
        assert [line[:13].strip() for line in screen[1:-1]] == LINES
        assert screen[-1] == "Needs attention: backup. `offerlog doctor` says what to do."
        results = {one["check"]: one for one in own("doctor", "--format", "json", code=5).lines}
        assert [*results] == [one.name for one in CHECKS]
        assert {name for name, one in results.items() if one["level"] == "attention"} == {"backup"}
        assert "offerlog backup FILE" in results["backup"]["advice"]
        # when one is made
        own("backup", str(tmp_path / "backup"))
        # then
        found = own("status", "--format", "json").json
    assert (found["level"], found["checks"]["backup"]) == ("well", "well")
    assert found["figures"]["backup"]["bytes"] == (tmp_path / "backup").stat().st_size
    assert found["figures"]["organizations"] == ["default"]
    assert found["figures"]["keys"] == [{"id": found["keyring"]["current"], "organizations": 1}]


def test_what_is_broken_is_said_with_what_to_do(own: CommandLine, tmp_path: Path) -> None:
    """No store, a server that answers nobody, another keyring, tables of another version: none takes long."""
    # given no store
    gone = CommandLine(tmp_path / "gone", "default")
    assert "there is no store at" in gone("status", code=3).text
    assert not (tmp_path / "gone").exists()
    # and a keyring of another store, which is not made
    lost = own.with_settings(OFFERLOG_KEYRING=str(tmp_path / "keyring.json"))
    assert "Broken: keyring." in lost("status", code=3).text
    assert not (tmp_path / "keyring.json").exists()
    # and a server of another address
    away = own.with_settings(OFFERLOG_DATABASE_URL="postgresql://u:hush@127.0.0.1:1/x")
    found = away("status", "--format", "json", code=3)
    assert "hush" not in found.text
    assert found.json["store"]["place"] == "postgresql://u:********@127.0.0.1:1/x"
    assert "the store cannot be reached" in found.json["store"]["trouble"]
    with EmbeddedServer.acquire(own.data, create=False) as server:
        # and tables of an older offerlog, which stay as they are
        rows(server.dsn, "DELETE FROM migrations WHERE number = 30")
        rows(server.dsn, "DROP TABLE last_backup")
        for _ in range(2):
            older = own("status", "--format", "json", code=5).json
            assert (older["store"]["migration"] < 30, older["figures"]) == (True, None)
            assert older["checks"]["schema"] == "attention"
        # and a server that has been stopped
        pid = recorded_pid(own.data / "postgres")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            stopped = own("doctor", code=3).text
            assert time.monotonic() - began < 10
        finally:
            os.kill(pid, signal.SIGCONT)
    assert f"`kill -CONT {pid}` lets it go on" in stopped
    assert "-> look into server.log in the data folder" in stopped
