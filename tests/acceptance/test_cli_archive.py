"""`offerlog archive`: old events go into files, and all is answered as before, in a restored store too."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog.testing import SettableClock
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from support.command_line import CommandLine
from support.journeys import DAY, an_id, journeys, signal
from support.ready_stores import put_store

pytest.importorskip("pyarrow", reason="the extra archive is not installed")


@pytest.fixture
def old(cli_folder: Path) -> Iterator[CommandLine]:
    """The command, over a store with old events and a new one, whose server runs."""
    put_store(cli_folder / "store")
    with EmbeddedServer.acquire(cli_folder / "store"):
        with open_offerlog(
            data=cli_folder / "store", clock=SettableClock(DAY.replace(hour=12)), keep_deadlines=False
        ) as service:
            service.record(journeys(35))
        offerlog = CommandLine(cli_folder / "store", "default")
        offerlog("record", "-", given=json.dumps(signal("offered", visitor="new", createdDate=None)).encode())
        yield offerlog


def seen(offerlog: CommandLine) -> list[object]:
    """What the command shows of the store."""
    map_0 = an_id("map", 0)
    return [
        offerlog("export", "events", "-", "--format", "ndjson").text,
        offerlog("report", "--format", "json").text,
        offerlog("history", "--customer", "visitor-3", "--action-map", map_0, "--format", "json").text,
        offerlog("visitor", "--customer", "visitor-7").text,
        offerlog("audit", "verify", "--format", "json").json["events"],
    ]


def test_old_events_go_into_files_and_nothing_else_changes(old: CommandLine, cli_folder: Path) -> None:
    """The folder is named once. A file that is missing is an error that names it, never fewer events."""
    # given
    folder, before = cli_folder / "archive", seen(old)
    assert "no archive yet" in old.fails("archive", "--older-than", "90d", code=2)
    wrong = {"": "an empty name", "memory://a": "gone when this command ends", "file:///a": "the path"}
    for place, why in wrong.items():
        assert why in old.fails("archive", "--older-than", "90d", "--folder", place)
    assert "give one day to 36" in old.fails("archive", "--older-than", "1h", "--folder", str(folder))
    # when
    made = old("archive", "--older-than", "90d", "--folder", str(folder), "--format", "json").json
    # then
    assert made["events"] == made["archived_events"] > 50
    assert made["table_bytes"] < made["table_bytes_before"]
    assert made["slices_left"] == []
    files = sorted(folder.rglob("*.parquet"))
    assert len(files) == made["files"] == made["archived_files"]
    assert seen(old) == before
    # and again, on a terminal
    again = old.on_a_terminal("archive", "--older-than", "90d", columns=200)
    assert f"0 visitor-offers moved to {folder}" in again
    elsewhere = old.fails("archive", "--older-than", "90d", "--folder", str(cli_folder / "other"))
    assert f"is in {folder}, and not in" in elsewhere
    # and when a file is missing
    for file in files:
        file.rename(file.with_suffix(".away"))
    found = old("export", "events", "-", "--format", "ndjson", code=1)
    assert found.raw == b""
    assert any(file.name in found.errors for file in files)
    assert str(folder) in found.errors
    for file in files:
        file.with_suffix(".away").rename(file)
    assert seen(old) == before


def test_a_backup_names_the_files_and_a_restore_copies_them(old: CommandLine, cli_folder: Path) -> None:
    """Also those that an erasure has replaced since; the former archive stays as it is."""
    # given
    folder, target = cli_folder / "archive", cli_folder / "restored"
    old("archive", "--older-than", "90d", "--folder", str(folder))
    backup = old("backup", str(cli_folder / "one.offerlog"))
    assert (backup.json["archive"], backup.json["archived_files"]) == (
        str(folder),
        len([*folder.rglob("*.parquet")]),
    )
    assert f"keep a copy of {folder}" in backup.errors
    old("erase", "--customer", "visitor-3")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # when
    words = ["restore", str(cli_folder / "one.offerlog"), "--data", str(target)]
    answer = old(*words, "--later-store", str(cli_folder / "store")).json
    # then
    assert answer["erased_again"] == 1
    assert answer["archive"] == f"{target}.archive"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    with EmbeddedServer.acquire(target, create=False):
        restored = CommandLine(target, "default")
        assert "visitor-3" not in restored("visitor", "--customer", "visitor-3").text
        shown = [store("visitor", "--customer", "visitor-7").text for store in (old, restored)]
        assert shown[0] == shown[1] != ""
        restored("projections", "verify", "--contents")
    # and without a file there is no store
    next(folder.rglob("*.parquet")).unlink()
    failed = old.fails("restore", words[1], "--data", str(cli_folder / "no"), "--nobody-erased", code=1)
    assert ".parquet cannot be read from" in failed
    assert not (cli_folder / "no.archive").exists()
