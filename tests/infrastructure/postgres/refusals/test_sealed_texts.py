"""No text of a refused signal stands in clear in the store, and none can be changed or moved unnoticed."""

import base64
import json
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from offerlog import Offerlog, UnsealError, open_offerlog
from offerlog_infrastructure.postgres.refusals import refusal_log
from support.preloaded import preloaded_code
from support.processes import LimitedProcess
from support.ready_stores import put_store
from support.recount import rows
from support.relation_files import relation_files

MARK: Final = b"Wendeltreppe4711"
"""Stands in every refused text below."""

MAP: Final = "00000000-0000-4000-8000-000000000001"

TEXTS: Final[list[bytes]] = [
    MARK,
    json.dumps({"actionId": MARK.decode(), "customerId": MARK.decode()}).encode(),
    json.dumps({"eventType": MARK.decode(), "customerId": MARK.decode()}).encode(),
    b"{" + MARK * 400,  # cut at 4 KiB, and long enough for TOAST
    b"\xff\x00" + MARK,
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's own user can pass."""
    with tempfile.TemporaryDirectory(prefix="sealed-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def spellings(text: bytes) -> list[bytes]:
    """The text in the encodings that a store or a log might write it in."""
    return [
        text,
        text.hex().encode(),
        text.hex().upper().encode(),
        base64.b64encode(text)[: len(text)],
        text.decode().encode("utf-16-le"),
        text[::-1],
    ]


def test_no_file_of_a_store_holds_a_refused_text(folder: Path) -> None:
    """Tables, indexes, WAL, statistics and the server's log; in no usual encoding."""
    # given
    data = folder / "store"
    put_store(data)
    # when
    with open_offerlog(data=data, keep_deadlines=False) as service:
        service.record(TEXTS)
        service.offer(customer_id="v", action_map_id=MAP, session_id=MAP)
        late = {"actionId": MAP, "actionState": "offered", "actionMapId": MAP, "customerId": "v"}
        service.record([json.dumps(late | {"sessionId": MAP, "x": MARK.decode()}).encode()])
        service.catch_up()
        list(service.refusals())
        kept = [one.raw for one in service.refusals()]
        causes = [f"{one.field} {one.cause}" for one in service.refusals()]
    # then
    assert len(kept) == len(TEXTS) + 1
    assert all(MARK in text for text in kept)
    assert not any(MARK.decode() in cause for cause in causes)
    files = [file for file in data.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) > 16 << 20  # with the WAL
    found = [
        (file, spelling)
        for file in files
        for text in [file.read_bytes()]
        for spelling in spellings(MARK)
        if spelling in text
    ]
    assert not found


def test_a_text_is_shown_with_the_length_that_it_had(offerlog: Offerlog, dsn: str) -> None:
    """The quota counts texts, not what they are sealed to; an empty text is sealed to nothing."""
    # when
    offerlog.record([b"", b"x", b"y" * 5_000])
    # then
    found = list(offerlog.refusals())
    assert [(one.raw, one.raw_length) for one in found] == [(b"", 0), (b"x", 1), (b"y" * 4_096, 5_000)]
    stored = "SELECT octet_length(sealed_text), raw_length FROM refusals ORDER BY id"
    assert rows(dsn, stored) == [(0, None), (1 + 28, None), (4_096 + 28, 5_000)]
    assert rows(dsn, "SELECT sum(refusals)::int, sum(text_bytes)::int FROM refusal_tallies") == [(3, 4_097)]


UPDATE: Final = "UPDATE refusals SET"


@pytest.mark.parametrize(
    "change",
    [
        "sealed_text = set_byte(sealed_text, 15, get_byte(sealed_text, 15) # 1)",
        "sealed_text = (SELECT sealed_text FROM refusals WHERE id = 1)",
        "sealed_text = 'text'::bytea",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "reason = 'not_legal'",
    ],
)
def test_a_text_that_was_changed_or_moved_is_not_shown(offerlog: Offerlog, dsn: str, change: str) -> None:
    """The error names the row; the others can be read up to it."""
    # given
    offerlog.record([b"one"])
    offerlog.record([b"two"])
    # when
    rows(dsn, f"{UPDATE} {change} WHERE id = 2")
    # then
    listed = offerlog.refusals()
    assert next(listed).raw == b"one"
    with pytest.raises(UnsealError, match="the text of refusal 2 of organization 'default' cannot be opened"):
        next(listed)


CLEAR: Final = [
    (
        f"shop-{n % 3}",
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n // 7),
        sha256(b"%d" % n).hexdigest().encode() * (1 + n % 100),
    )
    for n in range(60)
]
"""Refusals of an older store: organization, time, text; some of them were not cut yet."""

OLDER: Final = """
    ALTER TABLE refusals RENAME COLUMN sealed_text TO raw;
    DROP TABLE refusals_in_clear;
    DELETE FROM migrations WHERE number = 11
"""
INSERT: Final = """
    INSERT INTO refusals (organization, recorded_at, reason, raw)
    SELECT organization, at, 'malformed', text
    FROM unnest(%s::text[], %s::timestamptz[], %s::bytea[]) AS clear (organization, at, text)
"""
KILLED: Final = """
import os, signal, sys
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres.refusals import clear_texts
from offerlog_infrastructure.postgres.refusals.refused_texts import RefusedTexts

clear_texts._PAGE = 7
left, seal = int(sys.argv[2]), RefusedTexts.seal

def count(self, *given):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return seal(self, *given)

RefusedTexts.seal = count
open_offerlog(database_url=sys.argv[1], keep_deadlines=False)
"""


@pytest.fixture
def older(dsn: str) -> str:
    """A database with refusals as an older offerlog has stored them."""
    rows(dsn, OLDER)
    columns = [list(column) for column in zip(*CLEAR, strict=True)]
    rows(dsn, INSERT, *columns)
    return dsn


def test_texts_of_an_older_store_are_sealed_whenever_the_process_is_killed(
    older: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next opening goes on. Every text is read as before, and no file holds one any more."""
    monkeypatch.setattr(refusal_log, "_PAGE", 7)
    held = [text[:64] for *_, text in CLEAR]
    assert any(text in file for text in held for file in relation_files(older, "refusals"))
    # given processes that are killed in the first page, and in a later one
    for left in (3, 17):
        with LimitedProcess([*preloaded_code(KILLED), older, str(left)]) as killed:
            assert killed.wait(60) == -signal.SIGKILL
    ((after,),) = rows(older, "SELECT after FROM refusals_in_clear")
    assert 0 < after < len(CLEAR)
    # when
    with open_offerlog(database_url=older, keep_deadlines=False) as service:
        # then
        for organization in {organization for organization, *_ in CLEAR}:
            expected = [(at, text[:4_096], len(text)) for shop, at, text in CLEAR if shop == organization]
            found = [
                (one.recorded_at, one.raw, one.raw_length)
                for one in service.refusals(organization=organization)
            ]
            assert found == expected
        service.record([b"a new one"])
        assert [one.raw for one in service.refusals()] == [b"a new one"]
    assert "sealing the texts of refused signals" in caplog.text
    assert not any(text in file for text in held for file in relation_files(older, "refusals"))
    assert rows(older, "SELECT FROM refusals_in_clear") == []
    # when it is opened again
    caplog.clear()
    with open_offerlog(database_url=older, keep_deadlines=False):
        # then
        assert "sealing" not in caplog.text
