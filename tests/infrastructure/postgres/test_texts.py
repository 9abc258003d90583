"""Texts go through the whole store byte for byte: in by a signal, out by every way of reading."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_infrastructure.composition import open_offerlog
from support.journeys import an_id, signal
from support.recount import recounted, shown

TEXTS = [
    "NUL \x00 inside",
    "\x00",
    "💬 \U0010ffff \ufffe",
    "e\u0301",
    "é",
    " blank before and behind ",
    "\u202eback\u200b\ufeff",
    "'; DROP TABLE offerlog_events; --\\",
    "tab\tnewline\r\n\x1b\x7f",
    "%s %(x)s {} $1",
    "0b9c2f3e-4d5a-4b6c-8d7e-9f0a1b2c3d4e",
    "0B9C2F3E-4D5A-4B6C-8D7E-9F0A1B2C3D4E",
    "x" * 256,
    "💬" * 256,
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_out_as_it_went_in(offerlog: Offerlog, dsn: str, text: str) -> None:
    """As customer id, type of id, name of a map and error message."""
    who: dict[str, Any] = {
        "customerId": text,
        "customerIdType": text,
        "actionMapName": text,
        "errorMessage": text,
    }
    receipt = offerlog.record([signal("offered", **who), signal("rejected", **who)])
    assert [outcome.kind for outcome in receipt.outcomes] == [OutcomeKind.RECORDED] * 2
    offerlog.wait(receipt.position)
    where: dict[str, Any] = {"customer_id": text, "customer_id_type": text, "action_map_id": an_id("map")}
    for event in offerlog.history(**where).events:
        assert event.visitor.id == event.visitor.type == text
        assert event.action_map_name == event.error_message == text
    (suppression,) = offerlog.suppressions(text, text)
    assert (suppression.customer_id, suppression.customer_id_type) == (text, text)
    assert list(offerlog.suppressed_visitors(an_id("map"))) == [suppression]
    (row,) = offerlog.report(ReportQuery(offerlog.organization)).rows
    assert row.action_map_name == text
    blocker = offerlog.eligibility(**where)
    assert blocker is not None
    assert blocker.reason is Reason.TERMINAL_STATE
    assert shown(offerlog, dsn) == recounted(dsn)


def test_ids_that_look_alike_are_different_visitors(offerlog: Offerlog) -> None:
    """No folding of case, blanks or Unicode forms: each id has its own stream and its own suppression."""
    for n, text in enumerate(TEXTS):
        sent_signal = [signal(state, visitor=n, customerId=text) for state in ("offered", "ignored")]
        assert [o.kind for o in offerlog.record(sent_signal).outcomes] == [OutcomeKind.RECORDED] * 2
    receipt = offerlog.record([signal("offered", visitor="last")])
    offerlog.wait(receipt.position)
    listed = [s.customer_id for s in offerlog.suppressed_visitors(an_id("map"))]
    assert sorted(listed) == sorted(TEXTS)
    assert offerlog.suppressions("E\u0301") == []


@pytest.mark.parametrize(
    "raw", [b"", b"\x00", b"\xff\xfe no text", b'{"actionId": "\\ud800"}', "💬".encode(), b"x" * 70_000]
)
def test_what_cannot_be_read_is_kept_as_it_came(offerlog: Offerlog, raw: bytes) -> None:
    """The refusal log has the very bytes, up to 4 KiB of them."""
    (outcome,) = offerlog.record([raw]).outcomes
    assert outcome.reason is Reason.MALFORMED
    (kept,) = offerlog.refusals()
    assert (kept.raw, kept.reason, kept.field, kept.cause) == (
        raw[:4_096], Reason.MALFORMED, outcome.field, outcome.cause,
    )  # fmt: skip
    assert kept.raw_length == len(raw)


def test_a_cause_that_quotes_nul_is_kept_too(offerlog: Offerlog) -> None:
    """A field's name comes from outside; whatever it holds, the refusal is written."""
    sent_signal = signal("offered", actionMapId="\x00", **{"\x00": 1})
    (outcome,) = offerlog.record([json.dumps(sent_signal)]).outcomes
    assert outcome.reason is Reason.MALFORMED
    (kept,) = offerlog.refusals()
    assert kept.raw == json.dumps(sent_signal).encode()


def test_the_refusal_log_can_be_read_from_its_beginning(offerlog: Offerlog) -> None:
    """Without `since` it is the whole of it; with a reason, only that."""
    offerlog.record([b"one", signal("completed"), b"two"])
    assert [kept.raw for kept in offerlog.refusals(reason=Reason.MALFORMED)] == [b"one", b"two"]
    assert len(list(offerlog.refusals())) == 3


def test_a_parked_signal_keeps_its_text(offerlog: Offerlog) -> None:
    """With blanks, order and spelling as the sender had them."""
    sent_signal = signal("accepted", customerId="NUL \x00 💬")
    raw = json.dumps(sent_signal, indent=3, sort_keys=True, ensure_ascii=False).encode()
    receipt = offerlog.record([raw])
    offerlog.wait(receipt.position)
    assert [kept.raw for kept in offerlog.parked()] == [raw]


def test_a_long_text_is_kept_in_part_with_the_length_it_had(offerlog: Offerlog) -> None:
    """Of a parked signal, in the log and in the projection, and of a refused one."""
    parked = json.dumps(signal("accepted") | {"pad": "x" * 9_000}).encode()
    refused = b"{" + b"x" * 9_000
    receipt = offerlog.record([parked, refused])
    offerlog.wait(receipt.position)
    (waits,), (kept,) = offerlog.parked(), offerlog.refusals()
    assert (waits.raw, waits.raw_length) == (parked[:4_096], len(parked))
    assert (kept.raw, kept.raw_length) == (refused[:4_096], len(refused))
    offerlog.rebuild("current_state")
    (rebuilt,) = offerlog.parked()
    assert rebuilt == waits


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_times_come_out_as_they_went_in(make_dsn: Callable[[], str], zone: str) -> None:
    """Whatever time zone the server's sessions are in, from the first instant that a signal may have."""
    dsn = make_dsn()
    dated = {"first": "2000-01-01T00:00:00.000001Z", "summer": "2025-03-09T02:30:00.123456-05:00"}
    there = make_conninfo(dsn, options=f"-c TimeZone={zone}")
    with open_offerlog(database_url=there, keep_deadlines=False) as service:
        for name, text in dated.items():
            receipt = service.record(
                [signal(state, visitor=name, createdDate=text) for state in ("offered", "ignored")]
            )
            service.wait(receipt.position, timeout=3)
            (suppression,) = service.suppressions(f"visitor-{name}")
            wanted = service.history(customer_id=f"visitor-{name}", action_map_id=an_id("map")).events[0]
            assert suppression.since == wanted.occurred_at
            assert wanted.occurred_at.isoformat().startswith(text[:10])
        assert shown(service, dsn) == recounted(dsn)
