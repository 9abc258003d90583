"""The copies of the store: they open what is in its place, and complain about anything else."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from soak.key_copies import KeyCopies, UnopenedError
from soak.log_copy import Pair, decoded
from soak.shown import Suppressed, open_suppressed, open_waiting
from soak.traffic import MAPS
from soak.visitor_copies import VisitorCopies, stream_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MASTER, SECRET = b"m" * 32, b"s" * 32
KEYS = {"anna": b"a" * 32, "bert": b"b" * 32}
TOKENS = {"anna": 0x7AA5_7A80_0001_8001, "bert": -0x0AA5_7A80_0001_7FFE}
SESSION, ACTION = UUID(int=5), UUID(int=11)

Row = tuple[Any, ...]


@pytest.fixture
def keys(tmp_path: Path) -> KeyCopies:
    """The keys of a store with one organization."""
    keyring = tmp_path / "keyring.json"
    keyring.write_text(json.dumps({"keys": {"one": base64.b64encode(MASTER).decode()}}))
    return KeyCopies(keyring, [(1, "one")], [("alpha", 1, aes_key_wrap(MASTER, SECRET))])


def sealed(who: str, text: bytes, place: bytes) -> bytes:
    """Seal a text as a store does."""
    nonce = text[-1:].rjust(12, b"\0")
    return nonce + AESGCM(KEYS[who]).encrypt(nonce, text, place)


def visitor(who: str, key: bytes = b"") -> Row:
    """The row of a visitor."""
    names = sealed(who, msgspec.msgpack.encode(who), f"names of {TOKENS[who]}".encode())
    text = f"6:cookie{who}".encode()
    digest = UUID(bytes=hmac.digest(SECRET, text, "sha256")[:16])
    return TOKENS[who], digest, 1, "alpha", aes_key_wrap(MASTER, key or KEYS[who]), names


def event(who: str, kind: str, own: list[Any], *, raw: bytes | None = None, version: int = 1) -> Row:
    """The row of an event."""
    stream = stream_of(TOKENS[who], MAPS[0])
    private = [SESSION.bytes, ACTION.bytes, None, "00045", "no frame", SESSION.bytes, raw]
    place = stream.bytes + version.to_bytes(4, "big") + kind.encode()
    part = sealed(who, msgspec.msgpack.encode(private), place)
    public = ["alpha", UUID(MAPS[0]).bytes, NOON, "webchat", NOON, True, 3, None, 45, *own]
    return 7, stream, version, f"{kind}.2", msgspec.msgpack.encode([public, part])


SHORT = b"b" * 16
"""The secret of a visitor of today."""


def sealed_today(text: bytes, place: bytes) -> bytes:
    """Seal a text of that visitor as a store does today."""
    return AESSIV(blake2b(key=SHORT, digest_size=64, person=b"offerlog visitor").digest()).encrypt(
        text, [place]
    )


def test_events_and_visitors_of_today_are_opened(keys: KeyCopies) -> None:
    """A shorter key, no nonces, ids without gaps, and fields that are left out."""
    # given
    token = TOKENS["bert"]
    names = sealed_today(msgspec.msgpack.encode("bert"), f"names of {token}".encode())
    visitors = VisitorCopies([(*visitor("bert")[:4], aes_key_wrap(MASTER, SHORT), names)], keys)
    stream = stream_of(token, MAPS[0])
    stored: dict[str, list[Any]] = {
        "offered": [None, None, 1],
        "rejected": [1_500, -20, 2, 3, None, None, 4, "contentOffer", False, "form"],
    }
    rows = []
    for version, (kind, given) in enumerate(stored.items(), 1):
        ids = b"\x01" + SESSION.bytes + ACTION.bytes + ACTION.bytes
        part = sealed_today(ids, stream.bytes + version.to_bytes(4, "big") + kind.encode())
        public = ["alpha", UUID(MAPS[0]).bytes, NOON + timedelta(microseconds=7), *given]
        rows.append((version, stream, version, f"{kind}.3", msgspec.msgpack.encode([public, part])))
    # when
    copy = decoded(rows, visitors)
    # then
    assert copy.unopened == visitors.unopened == []
    offered, rejected = copy.log
    assert (offered.occurred, offered.media, offered.dated) == (offered.recorded, "webchat", True)
    assert rejected.occurred == NOON - timedelta(seconds=1.5)
    assert rejected.offered_at == rejected.occurred + timedelta(milliseconds=20)
    assert (rejected.number, rejected.map_version, rejected.ended, rejected.stage) == (2, 3, (4,), "form")
    assert (rejected.media, rejected.dated) == ("contentOffer", False)
    assert (rejected.session, rejected.action, rejected.event_id) == (str(SESSION), str(ACTION), str(ACTION))
    assert offered.nonce != rejected.nonce


def part_of(row: Row) -> bytes:
    """The sealed part of an event."""
    part: bytes = msgspec.msgpack.decode(row[4])[1]
    return part


def test_events_are_opened_with_the_keys_of_their_visitors(keys: KeyCopies) -> None:
    """Also where the token is a negative number."""
    # given
    visitors = VisitorCopies([visitor("anna"), visitor("bert")], keys)
    rows = [
        event("anna", "rejected", [1, NOON, 4, "form"], version=5),
        event("bert", "signal-parked", ["started", None], raw=b"the text"),
        event("bert", "offer-refused", ["already_open", "accepted", NOON, [1, 2]], version=3),
    ]
    # when
    copy = decoded(rows, visitors)
    # then
    assert copy.unopened == visitors.unopened == []
    rejected, parked, refused = copy.log
    assert rejected.pair == Pair("alpha", "cookie", "anna", MAPS[0])
    assert (rejected.stage, rejected.number, rejected.ended) == ("form", 1, (4,))
    assert (rejected.action, rejected.session) == (str(ACTION), str(SESSION))
    assert rejected.error == ("00045", "no frame")
    assert rejected.token == TOKENS["anna"]
    assert (parked.state, parked.raw, parked.token) == ("started", "the text", TOKENS["bert"])
    assert (refused.blocked_by, refused.ended) == ((str(SESSION), "accepted"), (1, 2))
    assert all(one.digest == one.right_digest for one in visitors.visitors.values())


def test_a_sealed_part_that_was_moved_does_not_open(keys: KeyCopies) -> None:
    """To another version, to another kind of event, to another visitor."""
    # given
    visitors = VisitorCopies([visitor("anna"), visitor("bert")], keys)
    position, stream, version, topic, state = event("anna", "accepted", [1, NOON, None])
    moved = [
        (position, stream, version + 1, topic, state),
        (position, stream, version, "started.2", state),
        (position, stream_of(TOKENS["bert"], MAPS[0]), version, topic, state),
    ]
    # when
    copy = decoded(moved, visitors)
    # then
    assert copy.log == []
    assert [one.split(":")[0] for one in copy.unopened] == [
        f"accepted.2 at position 7, {stream} version 2",
        f"started.2 at position 7, {stream} version 1",
        f"accepted.2 at position 7, {moved[2][1]} version 1",
    ]


def test_an_event_without_a_visitor_is_named(keys: KeyCopies) -> None:
    """A visitor whose key is another one is as good as none."""
    # given
    visitors = VisitorCopies([visitor("anna", key=KEYS["bert"])], keys)
    # when
    copy = decoded(
        [event("anna", "accepted", [1, NOON, None]), event("bert", "ignored", [1, NOON, None])], visitors
    )
    # then
    assert [one.split(":")[0] for one in visitors.unopened] == [
        f"the visitor with the token {TOKENS['anna']}"
    ]
    assert [one.split(": ")[1] for one in copy.unopened] == [
        f"no visitor that opens has the token {TOKENS['anna']}",
        f"no visitor that opens has the token {TOKENS['bert']}",
    ]


def test_rows_of_projections_are_opened_at_the_place_of_their_event(keys: KeyCopies) -> None:
    """With another version, the part is somebody else's."""
    # given
    visitors = VisitorCopies([visitor("anna")], keys)
    ignored = part_of(event("anna", "ignored", [1, NOON, None], version=2))
    parked = part_of(event("anna", "signal-parked", ["started", None], raw=b"the text"))
    suppression = (TOKENS["anna"], "alpha", MAPS[0], "ignored", NOON, 2, ignored)
    stream = str(stream_of(TOKENS["anna"], MAPS[0]))
    waiting = (stream, 1, TOKENS["anna"], "alpha", MAPS[0], NOON, 7, None, parked)
    # when
    shown = open_suppressed(suppression, visitors)
    signal = open_waiting(waiting, visitors)
    # then
    assert shown == Suppressed(Pair("alpha", "cookie", "anna", MAPS[0]), "ignored", str(ACTION), NOON)
    assert (signal.action, signal.session, signal.raw) == (str(ACTION), str(SESSION), "the text")
    with pytest.raises(UnopenedError):
        open_suppressed((*suppression[:5], 3, ignored), visitors)
    with pytest.raises(UnopenedError):
        open_waiting((stream, 2, *waiting[2:]), visitors)


def test_a_keyring_that_lacks_the_stores_key_is_noticed(tmp_path: Path) -> None:
    """Nothing could be judged with it."""
    # given
    keyring = tmp_path / "keyring.json"
    keyring.write_text(json.dumps({"keys": {}}))
    # when, then
    with pytest.raises(UnopenedError, match="number 1"):
        KeyCopies(keyring, [(1, "one")], [("alpha", 1, aes_key_wrap(MASTER, SECRET))])
