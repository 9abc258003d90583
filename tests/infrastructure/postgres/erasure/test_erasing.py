"""An erasure on PostgreSQL: interrupted at any step, in a hurry, beside a hung writer; and its receipt."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from offerlog_application.erasure.erasing import Eraser
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import ErasureUnfinishedError
from offerlog_application.reading.service_entries import iterate_entries
from offerlog_domain.service_events import ErasureReceipt, VisitorErased, receipt_text
from offerlog_domain.transparency.leaves import hash_events, is_blanked, split_state
from offerlog_domain.transparency.notes import NoteSignature, SignatureType
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.postgres.erasure.erasures import PostgresErasures
from offerlog_infrastructure.postgres.log.service_log import PostgresServiceLog
from support.internals import application_of, stop_projector
from support.journeys import journeys, signal
from support.recount import contents, rows

REJECTED = "visitor-1"
_SELECT_LOG = """
    SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM offerlog_events
    ORDER BY notification_id
"""


def test_the_leaves_of_the_tree_stay_and_the_sealed_parts_are_gone(offerlog: Offerlog, dsn: str) -> None:
    """So every proof that was given out holds; nobody else's events change."""
    # given
    offerlog.wait(offerlog.record(journeys(14)).position)
    before = rows(dsn, _SELECT_LOG)
    # when
    erasure = offerlog.erase(customer_id=REJECTED)
    # then
    after = rows(dsn, _SELECT_LOG)[: len(before)]
    assert hash_events(after) == hash_events(before)
    changed = [row for row, former in zip(after, before, strict=True) if row != former]
    assert len(changed) == erasure.events == 2
    assert all(is_blanked((split_state(row[-1]) or (b"", b""))[1]) for row in changed)
    ((token, position),) = rows(
        dsn, "SELECT token, position FROM erased_visitors WHERE completed_at > erased_at"
    )
    assert position == erasure.position
    assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(0,)]
    assert {UUID(bytes=row[1]).int >> 64 for row in changed} == {token % 2**64}


def test_the_receipt_is_an_event_and_is_signed_by_the_key_of_checkpoints(dsn: str, tmp_path: Path) -> None:
    """Whoever has the public key can check it."""
    # given
    key_file = tmp_path / "audit.key"
    public = make_audit_key(key_file, "shop.example/log", SignatureType.ED25519, None)
    with open_offerlog(database_url=dsn, keep_deadlines=False, audit_key=key_file) as service:
        service.wait(service.record(journeys(7)).position)
        # when
        erasure = service.erase(customer_id=REJECTED)
        (receipt,) = [one.event for one in iterate_entries(log_of(service), "default")]
    # then
    assert isinstance(receipt, ErasureReceipt)
    assert (receipt.erased_position, receipt.events) == (erasure.position, 2)
    assert receipt.signature == erasure.signature
    signature = NoteSignature.parse(receipt.signature.rstrip("\n"))
    assert signature.is_by(public)
    public_key(public.public).verify(signature.data, receipt_text(receipt).encode())


def log_of(service: Offerlog) -> PostgresServiceLog:
    """The entries of a service's log."""
    return PostgresServiceLog(application_of(service))


def public_key(raw: bytes) -> Any:
    """The public key, of the library."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - here alone

    return Ed25519PublicKey.from_public_bytes(raw)


class _KilledError(Exception):
    """The process dies here."""


@pytest.mark.parametrize("step", ["delete_late_rows", "blank_events", "complete"])
def test_an_interrupted_erasure_is_gone_on_with(
    offerlog: Offerlog, dsn: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same call, and by the keeper of another process; at whichever step it died."""
    # given
    offerlog.wait(offerlog.record(journeys(7)).position)
    late = json.dumps(signal("offered", visitor=1, sessionId="no id"))

    def die(*_: object, **__: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(PostgresErasures, step, die)
        with pytest.raises(_KilledError):
            offerlog.erase(customer_id=REJECTED)
    assert rows(dsn, "SELECT count(*) FROM visitors v JOIN erasing_visitors e USING (digest)") == [(0,)]
    offerlog.record([late])
    # when
    if step == "blank_events":
        monkeypatch.setattr("offerlog_application.erasure.erasing._INTERRUPTED_AFTER", timedelta(0))
        (erasure,) = eraser_of(offerlog).finish_interrupted(10).erasures
    else:
        erasure = offerlog.erase(customer_id=REJECTED)
    # then
    assert (erasure.events, erasure.refusals) == (2, 1)
    assert not offerlog.suppressions(REJECTED)
    assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(0,)]
    assert rows(dsn, "SELECT count(*) FROM offerlog_events WHERE topic = 'visitor-erased.2'") == [(1,)]
    offerlog.catch_up()
    live = contents(dsn)
    offerlog.rebuild()
    assert contents(dsn) == live


def eraser_of(service: Offerlog) -> Eraser:
    """What erases."""
    return service._eraser


def test_an_erasure_says_what_it_waits_for(offerlog: Offerlog, dsn: str) -> None:
    """A writer that hangs, or projections that stand still; nothing can be read from its first step on."""
    # given
    offerlog.wait(offerlog.record(journeys(7)).position)
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as hanging:
        hanging.execute("LOCK TABLE offerlog_events IN ROW EXCLUSIVE MODE")
        # when
        with pytest.raises(ErasureUnfinishedError, match=r"key is destroyed.*not ended within 0\.2 seconds"):
            offerlog.erase(customer_id=REJECTED, timeout=0.2)
        # then
        assert not offerlog.suppressions(REJECTED)
    stop_projector(offerlog)
    with pytest.raises(ErasureUnfinishedError, match="the projections are at position"):
        offerlog.erase(customer_id=REJECTED, timeout=0.2)
    assert not offerlog.suppressions(REJECTED)


def test_the_log_says_so_behind_all_events_of_the_visitor(make_dsn: Callable[[], str]) -> None:
    """Also behind those of a writer that had looked at the epoch before, and commits after it was raised."""
    dsn = make_dsn()
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.wait(service.record(journeys(7)).position)
        erasure = service.erase(customer_id=REJECTED)
        entry = log_of(service).read_entries(UUID(bytes=rows(dsn, _SELECT_OWN)[0][0]))[0]
    assert isinstance(entry.event, VisitorErased)
    assert entry.position == erasure.position
    assert rows(dsn, _COUNT_LATER, entry.position, entry.position) == [(0,)]


_SELECT_OWN = "SELECT uuid_send(originator_id) FROM offerlog_events WHERE topic = 'visitor-erased.2'"
_COUNT_LATER = """
    SELECT count(*) FROM offerlog_events WHERE notification_id > %s AND left(originator_id::text, 18) IN (
        SELECT left(originator_id::text, 18) FROM offerlog_events WHERE notification_id = %s
    )
"""
