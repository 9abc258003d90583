"""The commands audit: the key, checkpoints inside and outside of the store, proofs, and the verification."""

import base64
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.hashing import hash_leaf
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_domain.transparency.proof_files import InclusionFile
from offerlog_domain.transparency.proofs import check_consistency
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence.signing_keys import check_signature
from support.command_line import CommandLine
from support.internals import application_of
from support.journeys import journeys
from support.ready_stores import put_store


@contextmanager
def opened(store: Path) -> Iterator[Offerlog]:
    """A service on the store, as one that runs; commands share its server."""
    with open_offerlog(data=store, keep_deadlines=False) as service:
        yield service


@pytest.fixture
def audited(cli_folder: Path) -> Iterator[tuple[CommandLine, Offerlog]]:
    """The command over a separate store, with some events, whose key is not made yet."""
    store = cli_folder / "store"
    put_store(store)
    with opened(store) as service:
        service.record(journeys(120))
        yield (
            CommandLine(store, "default").with_settings(
                OFFERLOG_AUDIT_KEY=str(cli_folder / "keys" / "log.key"),
                OFFERLOG_CHECKPOINTS=str(cli_folder / "outside"),
            ),
            service,
        )


def test_an_auditor_gets_a_key_checkpoints_and_proofs_and_learns_what_was_changed(
    audited: tuple[CommandLine, Offerlog], cli_folder: Path
) -> None:
    """The whole way, with the words of docs/audit.md."""
    offerlog, service = audited
    # without a key nothing is signed
    assert "offerlog audit keygen" in offerlog.fails("audit", "checkpoint", code=1)
    # the key is made once, for its owner alone, and its public part is printed
    key = VerifierKey.parse(offerlog("audit", "keygen", "--origin", "example.com/offers").text.strip())
    file = cli_folder / "keys" / "log.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.with_name("log.key.pub").read_text() == f"{key}\n"
    assert "is never replaced" in offerlog.fails("audit", "keygen", code=1)
    # the private key is not taken for it, and no message quotes it
    for words in (
        ("verify", "--vkey", str(file)),
        ("checkpoint", "--witness", "http://127.0.0.1:1", "--witness-key", str(file)),
        ("witness", str(cli_folder / "witness"), "--log", file.read_text().strip()),
    ):
        error = offerlog.fails("audit", *words)
        assert "this is the private key" in error
        assert file.read_text().strip()[-20:] not in error
    # a checkpoint is in the store and outside
    signed = SignedCheckpoint.parse(offerlog("audit", "checkpoint").text)
    assert check_signature(signed, key) == 0
    size = signed.checkpoint.size
    assert (cli_folder / "outside" / "checkpoint").read_text() == str(signed)
    # an event is proved
    proof = InclusionFile.parse(offerlog("audit", "prove", "17").text)
    assert proof.extra is not None
    proof.check(hash_leaf(proof.extra))
    assert proof.extra.startswith((17).to_bytes(8, "big"))
    assert "ends before it" in offerlog.fails("audit", "prove", str(10**6), code=1)
    # the later log begins with the earlier one
    found = offerlog("audit", "consistency", "100", str(size)).json
    roots = [base64.b64decode(found[one]["root"]) for one in ("old", "new")]
    assert roots[1] == signed.checkpoint.root
    check_consistency(100, roots[0], size, roots[1], [base64.b64decode(one) for one in found["proof"]])
    assert "OLD and NEW" in offerlog.fails("audit", "consistency", "2", str(size + 1))
    # all is well
    sums = offerlog("audit", "verify", "--vkey", str(key), "--format", "json").json
    assert sums["whole"] is True
    assert (sums["events"], sums["signed_events"], sums["checkpoints_outside"]) == (size, size, 1)
    # what the auditor keeps must be there
    for empty in (cli_folder / "nowhere", file.parent):
        error = offerlog.fails("audit", "verify", "--checkpoints", str(empty), code=1)
        assert f"{empty} holds no checkpoint" in error
    assert (
        "1 of them outside"
        in offerlog(*("audit", "verify", "--checkpoints", str(cli_folder / "outside" / "checkpoint"))).text
    )
    # and then no more
    with psycopg.connect(application_of(service).dsn, options="-c search_path=offerlog") as connection:
        connection.execute("UPDATE offerlog_events SET topic = 'changed.2' WHERE notification_id = 17")
    answer = offerlog("audit", "verify", code=3)
    assert "edited: the event is not the one that was sealed here (position 17, stream" in answer.text
    listed = offerlog("audit", "verify", "--format", "json", code=3).lines
    assert (listed[0]["finding"], listed[0]["position"], listed[0]["tile"]) == ("edited", 17, "tile/0/000")
    assert listed[-1]["found"] == {"edited": 1}


def test_the_key_is_not_put_into_the_data_folder(cli_folder: Path) -> None:
    """Whoever can change the data could sign for it."""
    offerlog = CommandLine(cli_folder / "store", "default")
    error = offerlog.fails("audit", "keygen", "--key", str(cli_folder / "store" / "audit.key"), code=1)
    assert "would be in the data folder" in error
    assert "--origin" in offerlog.fails("audit", "keygen", "--origin", "two words")
