"""The backup of docs/operations.md, run as it stands there."""

import re
import subprocess
import sys
import tempfile
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from offerlog_application.ports.erasure import Tombstone
from offerlog_infrastructure.backups import past_erasures
from offerlog_infrastructure.backups.backup_file import Manifest
from offerlog_infrastructure.backups.errors import NoErasuresError
from offerlog_infrastructure.backups.past_erasures import ErasureSource
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.binaries import find_binaries
from offerlog_infrastructure.evidence.erasure_file import ErasureFile
from support.first_store import restore_first_store
from support.processes import LimitedProcess

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def command_lines() -> set[str]:
    """What everybody on the machine can read of every process."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.add(file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


def test_a_backup_shows_no_password_and_can_be_restored() -> None:
    """The dump is readable by its owner alone, and a new store made of it holds what the old one held."""
    # given a store with something in it
    with tempfile.TemporaryDirectory(prefix="backup-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with open_offerlog(data=folder / "data", keep_deadlines=False) as service:
            service.record([b"not a signal"])
        (snippet,) = [
            text
            for text in re.findall(r"```python\n(.*?)```", OPERATIONS.read_text(), re.DOTALL)
            if "pg_dump" in text
        ]
        with EmbeddedServer.acquire(folder / "data") as server:
            password = str(conninfo_to_dict(server.dsn)["password"])
            # when the documented program runs
            program = snippet.replace("/var/lib/offerlog", str(folder / "data"))
            seen: set[str] = set()
            with LimitedProcess([sys.executable, "-c", program], cwd=folder) as backup:
                while backup.poll() is None:
                    seen |= command_lines()
            assert backup.returncode == 0
        # then no command line showed the password, and nobody else can read the dump
        assert any("pg_dump --format" in line for line in seen)
        assert not any(password in line for line in seen)
        assert (folder / "offerlog.dump").stat().st_mode & 0o777 == 0o600
        # and it can be restored, as documented
        with EmbeddedServer.acquire(folder / "new") as server:
            pg_restore = find_binaries().bindir / "pg_restore"
            subprocess.run(
                [pg_restore, "--no-owner", "--dbname=offerlog", folder / "offerlog.dump"],
                env=server.environment, check=True, timeout=60,
            )  # fmt: skip
        with open_offerlog(data=folder / "new", create=False, keep_deadlines=False) as service:
            assert [kept.raw for kept in service.refusals()] == [b"not a signal"]


def test_a_later_store_of_a_version_that_could_not_erase_is_refused(
    dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As an error that says so: nobody may take it for a store in which nobody was erased."""
    # given a store of offerlog 0.1 as the later store
    restore_first_store(dsn)
    server = SimpleNamespace(dsn=dsn)
    monkeypatch.setattr(EmbeddedServer, "acquire", lambda *_, **__: nullcontext(server))
    manifest = Manifest("id", "2026-11-26T10:00:00+00:00", "0.1", "18", 21, 1, 0, None, ())
    # then
    with pytest.raises(NoErasuresError, match="has no list of erasures: an older offerlog made it"):
        past_erasures.find_erasures(ErasureSource(later_store=tmp_path, is_answered=True), manifest, SCHEMA)
    # when this version has opened it
    with open_offerlog(database_url=dsn, keep_deadlines=False):
        pass
    assert past_erasures.find_erasures(ErasureSource(later_store=tmp_path), manifest, SCHEMA) == []
    # when it has become one of several servers, whose visitors it does not know
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute("INSERT INTO shard (number, installation) VALUES (0, gen_random_uuid())")
    with pytest.raises(NoErasuresError, match=r"is one of several servers by now.*: give --erase, or"):
        past_erasures.find_erasures(ErasureSource(later_store=tmp_path, is_answered=True), manifest, SCHEMA)


def test_the_lists_of_servers_that_were_added_since_count(tmp_path: Path) -> None:
    """A visitor who has moved to another server was erased there."""
    manifest = Manifest("id", "2100-01-01T10:00:00+00:00", "0.1", "18", 21, 1, 0, None, ())
    erased = [Tombstone(one, "default", datetime(2026, 11, 26 + one, tzinfo=UTC)) for one in (1, 2)]
    for folder, one in zip(("signed", "signed-shard-1"), erased, strict=True):
        ErasureFile(tmp_path / folder).add([one])
    assert past_erasures.find_erasures(ErasureSource(tmp_path / "signed"), manifest, SCHEMA) == erased
