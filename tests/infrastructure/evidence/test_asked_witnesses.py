"""Witnesses are asked on the schedule of a running service, and one that hangs delays nothing."""

import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.evidence.signing_keys import SigningKey, check_signature
from support.journeys import journeys
from support.witness_process import witness_process


def test_a_running_service_gets_cosignatures_and_does_not_wait_for_a_witness_that_hangs(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The checkpoint in the store and the one outside have it; the other witness is reported."""
    # given
    caplog.set_level(logging.INFO, "offerlog_application")
    key_file, outside = tmp_path / "audit.key", tmp_path / "outside"
    public = make_audit_key(key_file, "shop.example/offers", SignatureType.ED25519, None)
    silent = SigningKey("silent.example", SignatureType.COSIGNATURE_V1, bytes(32)).key
    with (
        witness_process(tmp_path / "w", "--log", str(public), "--name", "auditor.example/w1") as (url, key),
        socket.create_server(("127.0.0.1", 0)) as hanging,
    ):
        hanging.settimeout(30)
        address = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        monkeypatch.setenv("OFFERLOG_WITNESSES", f"{address} {silent} {url} {key}")
        monkeypatch.setenv("OFFERLOG_CHECKPOINT_PERIOD", "0.2")
        with open_offerlog(database_url=dsn, audit_key=key_file, checkpoints=outside) as service:
            evidence = service.evidence
            assert evidence is not None
            # when
            service.record(journeys(7))
            _until(lambda: evidence.cosigned["auditor.example/w1"] > 0)
            # then
            newest = evidence.newest_checkpoint()
            assert newest is not None
            assert check_signature(newest, key)
            assert (outside / "checkpoint").read_text() == str(newest)
            assert evidence.cosigned["silent.example"] == 0
            # when the log grows
            service.record(journeys(14)[-7:])
            evidence.catch_up()
            before = evidence.progress().size
            _until(lambda: evidence.cosigned["auditor.example/w1"] == before)
            began = time.monotonic()
        assert time.monotonic() - began < 9, "the request to the silent witness takes ten seconds"
    assert "the witness auditor.example/w1 has cosigned" in caplog.text


def test_a_witness_that_is_away_is_reported_each_time(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With its name and address."""
    key_file = tmp_path / "audit.key"
    make_audit_key(key_file, "shop.example/offers", SignatureType.ED25519, None)
    away = SigningKey("away.example", SignatureType.COSIGNATURE_V1, bytes(32)).key
    monkeypatch.setenv("OFFERLOG_WITNESSES", f"http://127.0.0.1:1 {away}")
    monkeypatch.setenv("OFFERLOG_CHECKPOINT_PERIOD", "0.2")
    with open_offerlog(database_url=dsn, audit_key=key_file) as service:
        service.record(journeys(1))
        _until(lambda: caplog.text.count("the witness away.example is asked again: the witness http://") > 1)
        assert service.evidence is not None
        assert service.evidence.newest_checkpoint() is not None


def _until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)
