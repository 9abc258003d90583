"""The commands backup and restore: whole or not at all, verified, and nobody who was erased comes back."""

import json
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from signal import SIGKILL
from typing import Any, NamedTuple

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.binaries import find_binaries
from support.command_line import CommandLine
from support.internals import application_of
from support.journeys import journeys, signal
from support.positions import number_of
from support.preloaded import preloaded_code
from support.processes import LimitedProcess, finish
from support.ready_stores import put_store
from support.recount import rows, until
from support.secret_marks import Secrets, found_in, record_everything

_MAIN = "from offerlog_infrastructure.cli.main import main; main()"

_DIE_BEFORE_THE_LAST_STEP = """
import os, signal
from pathlib import Path
rename = Path.rename
def die(self, target):
    if "restored.new-" in str(self) and Path(target).name == "postgres":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = die
"""

_SELECT_OF_VISITORS = """
    SELECT 'names', names FROM visitors
    UNION ALL SELECT 'key', wrapped_key FROM visitors
    UNION ALL SELECT 'digest', uuid_send(digest) FROM visitors
    UNION ALL SELECT 'suppression', sealed FROM suppressions
    UNION ALL SELECT 'parked signal', sealed FROM parked_signals
    UNION ALL SELECT 'text of a refusal', sealed_text FROM refusals WHERE sealed_text <> ''
"""
_TAIL_BYTES = 16


def stored(dsn: str) -> set[tuple[str, bytes]]:
    """Each value that identifies a visitor, as a dump in text writes it."""
    found = set()
    for name, value in rows(dsn, _SELECT_OF_VISITORS):
        text = bytes(value)[-_TAIL_BYTES:].hex()
        if name == "digest":
            text = "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])
        found.add((name, text.encode()))
    return found


def customers(secrets: Secrets) -> Iterator[VisitorKey]:
    """Every visitor of the secrets."""
    for name, text in secrets.texts.items():
        if name.startswith("customer "):
            visitor = name.removeprefix("customer ")
            yield VisitorKey(secrets.texts.get(f"type {visitor}", "cookie"), text)


def dump(store: Path, target: Path) -> None:
    """Write a dump as text, in a separate folder."""
    target.mkdir()
    with EmbeddedServer.acquire(store, create=False) as server:
        subprocess.run(
            [find_binaries().bindir / "pg_dump", "--dbname=offerlog", "--file", target / "dump.sql"],
            env=server.environment, check=True, timeout=60,
        )  # fmt: skip


def seal(service: Offerlog) -> None:
    """Wait until everything is in the tree."""
    assert service.evidence is not None
    service.evidence.catch_up()


@pytest.fixture
def audited(cli_folder: Path) -> CommandLine:
    """An empty store with a key that signs, and a folder of checkpoints outside."""
    put_store(cli_folder / "store")
    offerlog = CommandLine(cli_folder / "store", "default").with_settings(
        OFFERLOG_AUDIT_KEY=str(cli_folder / "keys" / "log.key"),
        OFFERLOG_CHECKPOINTS=str(cli_folder / "outside"),
    )
    offerlog("audit", "keygen", "--origin", "example.com/first")
    return offerlog


class Monday(NamedTuple):
    """A backup, and what was known when it was made.

    Attributes:
        file: The backup.
        answer: What the command error.
        before: The last position that was acknowledged before the backup began.
        acknowledged: All positions that were acknowledged.
        erased: Visitors who were erased after the backup.
        others: Visitors who were not.
        values: What the store held of the erased ones.
    """

    file: Path
    answer: Any
    before: int
    acknowledged: list[int]
    erased: Secrets
    others: Secrets
    values: set[tuple[str, bytes]]


@pytest.fixture
def monday(audited: CommandLine, cli_folder: Path) -> Monday:
    """A backup made while a writer recorded; then visitors were erased, and the log was signed further."""
    file, erased, others = cli_folder / "monday.offerlog", Secrets(), Secrets()
    acknowledged: list[int] = []
    with open_offerlog(data=audited.data, keep_deadlines=False) as service:
        record_everything(service, erased)
        values = stored(application_of(service).dsn)
        record_everything(service, others)
        seal(service)
        audited("audit", "checkpoint")
        ended = threading.Event()

        def record() -> None:
            while not ended.is_set():
                receipt = service.record([json.dumps(signal("offered", visitor=len(acknowledged)))])
                acknowledged.append(number_of(receipt.position))

        writer = threading.Thread(target=record)
        writer.start()
        try:
            until(lambda: len(acknowledged) > 5)
            before = acknowledged[-1]
            answer = audited("backup", str(file)).json
            until(lambda: acknowledged[-1] > answer["position"])
        finally:
            ended.set()
            finish(writer)
        # this service does not know the folder: the next checkpoint completes the list of erasures
        for visitor in customers(erased):
            service.erase(customer_id=visitor.id, customer_id_type=visitor.type)
        seal(service)
        audited("audit", "checkpoint")
    return Monday(file, answer, before, acknowledged, erased, others, values)


def kill_restores(offerlog: CommandLine, words: list[str], target: Path) -> None:
    """Kill a restore in the middle, and another one before its last step: no store is there."""
    with LimitedProcess([sys.executable, "-c", _MAIN, *words], env=offerlog.environment) as early:
        until(lambda: [*target.glob("restored.new-*/postgres")])
        early.kill()
    assert not (target / "postgres").exists()
    program = _DIE_BEFORE_THE_LAST_STEP + _MAIN
    with LimitedProcess([*preloaded_code(program), *words], env=offerlog.environment) as late:
        assert late.wait(60) == -SIGKILL
    assert "there is no store" in offerlog.fails("report", "--data", str(target), code=1)


def test_a_restored_store_has_what_was_acknowledged_and_nobody_who_was_erased(
    audited: CommandLine, monday: Monday, cli_folder: Path
) -> None:
    """Others record during the backup; kills leave no store; what was signed further makes it a fork."""
    # given
    assert monday.before <= monday.answer["position"]
    assert monday.answer["keyring_included"] is False
    assert stat.S_IMODE(monday.file.stat().st_mode) == 0o600
    target = cli_folder / "restored"
    words = ["restore", str(monday.file), "--data", str(target)]
    kill_restores(audited, words, target)
    # when
    answer = audited(*words)
    # then it is whole
    assert answer.json["erased_again"] == len([*customers(monday.erased)])
    assert "it is a fork" in answer.errors
    assert (answer.json["fork"], answer.json["retired_origins"]) == (True, ["example.com/first"])
    assert [*target.glob("restored*")] == []
    restored = CommandLine(target, "default", audited.settings)
    with open_offerlog(data=target, create=False, keep_deadlines=False) as service:
        stored_events = rows(application_of(service).dsn, "SELECT notification_id FROM offerlog_events")
        assert {one for one in monday.acknowledged if one <= monday.before} <= {*chain(*stored_events)}
        restored("projections", "verify", "--contents")
        # nobody who was erased is there, and all others are
        for visitor in customers(monday.erased):
            assert not [*service.timeline(customer_id=visitor.id, customer_id_type=visitor.type)]
        assert service.suppressions(monday.others.text("customer turned-down"))
        assert len([*service.parked()]) == 1
        assert rows(application_of(service).dsn, "SELECT count(*) FROM offerlog_bi.visitor_offers") > [(0,)]
        seal(service)
        begin_new_origin(restored, cli_folder)
    dump(target, cli_folder / "after")
    assert found_in(cli_folder / "after", [*monday.erased.encodings(), *monday.values]) == []


def begin_new_origin(restored: CommandLine, folder: Path) -> None:
    """Nothing is signed any more under the old name, but under a new one; and both are verified."""
    assert "under the name example.com/first" in restored.fails("audit", "checkpoint", code=1)
    anew = restored.with_settings(
        OFFERLOG_AUDIT_KEY=str(folder / "keys" / "second.key"),
        OFFERLOG_CHECKPOINTS=str(folder / "outside-2"),
    )
    anew("audit", "keygen", "--origin", "example.com/second")
    assert anew("audit", "checkpoint").text.startswith("example.com/second\n")
    keys = [(folder / "keys" / f"{name}.key.pub").read_text().strip() for name in ("log", "second")]
    checked = anew("audit", "verify", "--vkey", keys[0], "--vkey", keys[1], "--format", "json").json
    assert (checked["whole"], checked["found"]) == (True, {})


def test_a_moved_store_is_signed_on_and_a_changed_log_is_not_restored(
    audited: CommandLine, cli_folder: Path
) -> None:
    """Where the folder shows that nothing was signed further, the name stays."""
    # given
    audited("record", "-", given=b"\n".join(journeys(20)))
    audited("audit", "checkpoint")
    moved, file = cli_folder / "moved", cli_folder / "moved.offerlog"
    audited("backup", str(file))
    # when
    answer = audited("restore", str(file), "--data", str(moved)).json
    # then
    assert (answer["fork"], answer["retired_origins"], answer["erased_again"]) == (False, [], 0)
    assert (answer["signatures_checked"], answer["signed_events"]) == (True, answer["events_verified"])
    store = CommandLine(moved, "default", audited.settings)
    store("record", "-", given=json.dumps(signal("offered", visitor="new")).encode())
    assert store("audit", "checkpoint").text.startswith("example.com/first\n")
    # and a backup of a log that somebody changed is not restored
    with EmbeddedServer.acquire(moved, create=False) as server:
        rows(server.dsn, "UPDATE offerlog_events SET topic = 'changed.2' WHERE notification_id = 17")
        by_address = store.with_settings(OFFERLOG_DATABASE_URL=server.dsn)  # as one's own server is backed up
        by_address("backup", str(file), "--force")
    error = store("restore", str(file), "--data", str(cli_folder / "third"), code=3).errors
    assert "position 17" in error
    assert "there is no store" in store.fails("report", "--data", str(cli_folder / "third"), code=1)


def test_what_cannot_be_restored_is_refused_with_one_error(audited: CommandLine, cli_folder: Path) -> None:
    """Before anything is made: a wrong keyring, a missing list, a store, a damaged file."""
    # given
    audited("record", "-", given=b"\n".join(journeys(5)))
    file, target = cli_folder / "one.offerlog", cli_folder / "target"
    audited("backup", str(file))
    listed = cli_folder / "outside" / "erasures"
    assert len(listed.read_text().splitlines()) == 1
    audited("erase", "--customer", "visitor-1")
    assert len(listed.read_text().splitlines()) == 2
    assert "visitor-1" not in listed.read_text()
    words = ("restore", str(file), "--data", str(target))
    # then an existing file is not replaced
    assert "never replaces another" in audited.fails("backup", str(file), code=1)
    # nor restored over a store, or over other files
    for place in (audited.data, other_files(cli_folder)):
        assert f"{place} is not empty" in audited.fails("restore", str(file), "--data", str(place))
    # nor without its keyring
    assert "does not hold the key" in audited.fails(
        *words, "--keyring", str(cli_folder / "none.json"), code=1
    )
    # nor without a list of erasures that reaches back to the backup
    without = audited.with_settings(OFFERLOG_CHECKPOINTS="")
    assert "--nobody-erased" in without.fails(*words)
    late = cli_folder / "late"
    late.mkdir()
    shutil.copy(cli_folder / "outside" / "erasures", late)
    list_since((late / "erasures"), "2999-01-01T00:00:00+00:00")
    assert "is kept since 2999" in audited.fails(*words, "--erasures-from", str(late), code=1)
    # nor if a byte is missing, or another one
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1], changed(whole, len(whole) // 2), b"{}"):
        file.write_bytes(damaged)
        error = audited.fails(*words, code=1)
        assert f"the backup {file}" in error
        assert "take another copy" in error
    assert not (target / "postgres").exists()


def other_files(folder: Path) -> Path:
    """A folder with something that offerlog has not made."""
    place = folder / "others"
    place.mkdir()
    (place / "example.txt").write_text("")
    return place


def list_since(file: Path, moment: str) -> None:
    """Change the beginning of a list of erasures."""
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(head), "kept_since": moment}), *lines, ""]))


def changed(data: bytes, place: int) -> bytes:
    """The bytes with one of them changed."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
