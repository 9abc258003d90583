"""The commands for people outside: a witness in a separate process, bundles, and their verification."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence.signing_keys import check_signature
from support.command_line import COMMAND_ENTRY, CommandLine
from support.internals import application_of
from support.journeys import journeys
from support.preloaded import preloaded
from support.processes import LimitedProcess
from support.ready_stores import put_store


@contextmanager
def witness(folder: Path, log: Path) -> Iterator[tuple[str, Path]]:
    """Run a witness of a log; yields its address, and the file with its public key."""
    words = [
        "audit",
        "witness",
        str(folder),
        "--port",
        "0",
        "--name",
        "auditor.example/w1",
        "--log",
        str(log),
    ]
    with LimitedProcess([*preloaded(COMMAND_ENTRY), *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.match(r"Witness at (\S+) of ", process.stdout.readline())
        assert found is not None
        yield found[1], folder / "witness.vkey"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.fixture
def audited(cli_folder: Path) -> Iterator[tuple[CommandLine, Offerlog]]:
    """The command over a separate store with some events and a key."""
    store = cli_folder / "store"
    put_store(store)
    with open_offerlog(data=store, keep_deadlines=False) as service:
        service.record(journeys(20))
        offerlog = CommandLine(store, "default").with_settings(
            OFFERLOG_AUDIT_KEY=str(cli_folder / "log.key"), OFFERLOG_CHECKPOINTS=str(cli_folder / "outside")
        )
        offerlog("audit", "keygen", "--origin", "shop.example/offers")
        yield offerlog, service


def test_a_witness_cosigns_a_bundle_shows_it_and_a_rewritten_log_gets_no_cosignature(
    audited: tuple[CommandLine, Offerlog], cli_folder: Path
) -> None:
    """Operator, witness and auditor, each with their commands."""
    offerlog, service = audited
    key, bundle = cli_folder / "log.key.pub", cli_folder / "bundle.zip"
    with witness(cli_folder / "witness", key) as (url, vkey):
        asked = ["audit", "checkpoint", "--witness", url, "--witness-key", str(vkey)]
        # the operator gets a cosignature, and it is kept, however often a checkpoint is signed
        for _ in range(2):
            signed = SignedCheckpoint.parse(offerlog(*asked).text)
            assert check_signature(signed, VerifierKey.parse(vkey.read_text().strip()))
            assert len(signed.note.signatures) == 2
        offerlog("audit", "checkpoint")
        kept = (cli_folder / "outside" / "checkpoint").read_text()
        assert kept.count("\N{EM DASH} auditor.example/w1 ") == 1
        # the auditor wants it in the bundle
        made = offerlog("audit", "export", str(bundle), "--from", "2025-03-10", "--prove", "3").json
        assert (made["events"], made["withheld"]) == (signed.checkpoint.size, 0)
        check = ["audit", "verify-bundle", str(bundle), "--key", str(key)]
        assert "signed by auditor.example/w1 at 20" in offerlog(*check, "--witness", str(vkey)).text
        assert offerlog(*check).text.endswith("Every check passed.\n")
        error = offerlog(*check, "--witness", str(key), code=2).errors
        assert "no log's --key nor witness's --witness" in error
        alone = ["audit", "verify-bundle", "--key", str(key), "--proof"]
        proof = cli_folder / "3.tlog-proof"
        proof.write_text(offerlog("audit", "prove", "3").text)
        assert "position 3, " in offerlog(*alone, str(proof)).text
        error = offerlog(*alone, str(proof), "--all-disclosed", code=2).errors
        assert error.startswith("offerlog: --proof wants a file; ")
        assert "give a bundle, or --proof FILE" in offerlog(*alone[:-1], code=2).errors
        error = offerlog("audit", "verify-bundle", "nosuch.zip", "--key", str(key), code=2).errors
        assert error.startswith("offerlog: [Errno 2] No such file or directory: 'nosuch.zip'")
        # a later bundle is cosigned when it is made
        service.record(journeys(30))
        later = cli_folder / "later"
        offerlog("audit", "export", str(later), *asked[2:])
        check[2] = str(later)
        assert "has not cosigned" not in offerlog(*check, "--witness", str(vkey)).text
        assert (later / "checkpoint").read_text() == (cli_folder / "outside" / "checkpoint").read_text()
        # the operator rewrites the log, and removes what would show it here
        with psycopg.connect(application_of(service).dsn, options="-c search_path=offerlog") as connection:
            connection.execute("UPDATE offerlog_events SET topic = 'other.2' WHERE notification_id = 3")
            connection.execute("TRUNCATE tree_tiles, checkpoints")
            connection.execute("UPDATE tree_progress SET position = 0, size = 0")
        shutil.rmtree(cli_folder / "outside")
        error = offerlog(*asked, code=3).errors
        assert "did not cosign: the trees differ: the earlier tree was changed" in error
        assert len([*(cli_folder / "witness" / "refused").iterdir()]) == 1
    rewritten = cli_folder / "rewritten"
    offerlog("audit", "export", str(rewritten))
    old = cli_folder / "old.checkpoint"
    old.write_text(str(signed))
    words = ["audit", "verify-bundle", str(rewritten), "--key", str(key)]
    assert "has not cosigned" in offerlog(*words, "--witness", str(vkey), code=3).text
    assert "are not those of the checkpoint of" in offerlog(*words, "--checkpoint", str(old), code=3).text


def test_a_call_that_is_wrong_says_so_in_a_line(
    audited: tuple[CommandLine, Offerlog], cli_folder: Path
) -> None:
    """Before anything is read."""
    offerlog, _ = audited
    url = "http://127.0.0.1:1"
    key = (cli_folder / "log.key.pub").read_text().strip()
    assert "give --witness-key for each" in offerlog.fails("audit", "checkpoint", "--witness", url)
    pair = ["audit", "checkpoint", "--witness", url, "--witness-key"]
    assert "give a public key or a file" in offerlog.fails(*pair, str(cli_folder / "none"))
    assert "begins with https://" in offerlog.fails(
        "audit", "checkpoint", "--witness", "ftp://a", "--witness-key", key
    )
    answer = offerlog(*pair, key, code=1)
    assert "the witness http://127.0.0.1:1 did not cosign" in answer.errors
    (cli_folder / "taken").mkdir()
    (cli_folder / "taken" / "file").write_text("")
    assert "is there already" in offerlog.fails("audit", "export", str(cli_folder / "taken"), code=1)
    assert "--from must be before --to" in offerlog.fails(
        "audit", "export", str(cli_folder / "new"), "--from", "2025-03-10", "--to", "2025-03-10"
    )
    folder = str(cli_folder / "w")
    assert "give --name" in offerlog.fails("audit", "witness", folder, "--log", key, code=1)
