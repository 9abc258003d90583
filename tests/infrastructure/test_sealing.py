"""Sealed texts: unreadable without the key, and never changed or moved unnoticed."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from offerlog_domain.errors import ArgumentError, OfferlogError
from offerlog_infrastructure.sealing import SEAL_BYTES, TAG_BYTES, Sealer, UnsealError, VisitorSealer

KEY = bytes(range(32))
TEXT = '{"customerId": "Zoë"}'.encode()
PLACE = b"stream 1, version 2"


@pytest.mark.parametrize("text", [b"", b"\x00", TEXT, TEXT * 3_000])
def test_a_sealed_text_is_opened_by_another_sealer_with_the_same_key(text: bytes) -> None:
    """As another process does it."""
    # when
    sealed = Sealer(KEY).seal(text, PLACE)
    # then
    assert Sealer(KEY).open(sealed, PLACE) == text
    assert len(sealed) == len(text) + SEAL_BYTES
    assert not text.strip(b"\x00") or text not in sealed


def test_no_bit_of_a_sealed_text_can_be_changed() -> None:
    """Neither of the nonce, nor of the text, nor of the tag; nor can its end be cut off."""
    # given
    sealer = Sealer(KEY)
    sealed = sealer.seal(TEXT, PLACE)
    changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    cut = [sealed[:length] for length in range(len(sealed))]
    # then
    for one in (*changed, *cut, sealed + b"\x00"):
        with pytest.raises(UnsealError):
            sealer.open(one, PLACE)


def test_a_sealed_text_opens_at_its_place_and_with_its_key_alone() -> None:
    """A row that was moved does not open."""
    sealed = Sealer(KEY).seal(TEXT, PLACE)
    for key, place in ((KEY, b"stream 1, version 3"), (KEY, b""), (KEY[::-1], PLACE)):
        with pytest.raises(UnsealError, match="changed or moved"):
            Sealer(key).open(sealed, place)
    assert issubclass(UnsealError, OfferlogError)


def test_no_two_texts_share_a_nonce() -> None:
    """Sealed by many threads and sealers, more than are drawn at a time."""
    # when
    with ThreadPoolExecutor(8) as pool:
        sealed = [
            one
            for some in pool.map(lambda _: [Sealer(KEY).seal(TEXT, PLACE) for _ in range(500)], range(8))
            for one in some
        ]
    # then
    assert len({one[:12] for one in sealed}) == len(sealed) == 4_000
    assert len(set(sealed)) == len(sealed)


def test_a_forked_process_draws_its_own_nonces() -> None:
    """A nonce that seals two texts would give both away."""
    # given
    sealer = Sealer(KEY)
    sealer.seal(TEXT, PLACE)  # the nonces of the next texts are drawn
    reading, writing = os.pipe()
    # when
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            os.write(writing, sealer.seal(TEXT, PLACE))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sealed_there = pipe.read()
    os.waitpid(child, 0)
    # then
    assert sealer.open(sealed_there, PLACE) == TEXT
    assert sealed_there[:12] != sealer.seal(TEXT, PLACE)[:12]


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    """A shorter one would seal with a weaker cipher."""
    with pytest.raises(ArgumentError, match="32 bytes"):
        Sealer(bytes(length))


SECRET = bytes(range(16))


@pytest.mark.parametrize("secret", [SECRET, KEY])
@pytest.mark.parametrize("text", [b"\x00", TEXT, TEXT * 3_000])
def test_a_text_of_a_visitor_is_opened_by_another_sealer_with_the_same_secret(
    secret: bytes, text: bytes
) -> None:
    """As another process does it."""
    # when
    sealed = VisitorSealer(secret).seal(text, PLACE)
    # then
    assert VisitorSealer(secret).open(sealed, PLACE) == text
    assert len(sealed) == len(text) + TAG_BYTES
    assert text == b"\x00" or text not in sealed


def test_what_is_sealed_for_a_visitor_is_what_stores_hold() -> None:
    """AES-SIV under BLAKE2b of the secret, written out: no change of the code may change these bytes."""
    key = blake2b(key=SECRET, digest_size=64, person=b"offerlog visitor").digest()
    assert VisitorSealer(SECRET).seal(b"text", PLACE) == AESSIV(key).encrypt(b"text", [PLACE])
    assert VisitorSealer(SECRET).seal(b"text", PLACE).hex() == "ed83767591a1cad89437afe6d504270a12df9fcb"


def test_another_text_for_the_same_place_is_encrypted_otherwise() -> None:
    """An append that is decided again seals another text for its place; both may be in the WAL."""
    # given
    first, second = TEXT, TEXT[:-1] + b"]"
    # when
    one, other = (VisitorSealer(SECRET).seal(text, PLACE) for text in (first, second))
    # then
    assert one[:TAG_BYTES] != other[:TAG_BYTES]
    sums = bytes(a ^ b for a, b in zip(one[TAG_BYTES:], other[TAG_BYTES:], strict=True))
    assert sums != bytes(a ^ b for a, b in zip(first, second, strict=True))
    assert VisitorSealer(SECRET).seal(first, PLACE) == one


def test_no_bit_of_a_text_of_a_visitor_can_be_changed_and_none_is_moved() -> None:
    """Nor can its end be cut off; with a secret of either length."""
    for secret in (SECRET, KEY):
        sealer = VisitorSealer(secret)
        sealed = sealer.seal(TEXT, PLACE)
        changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
        cut = [sealed[:length] for length in range(len(sealed))]
        for one in (*changed, *cut, sealed + b"\x00"):
            with pytest.raises(UnsealError):
                sealer.open(one, PLACE)
        for another, place in ((secret, b"stream 1, version 3"), (secret[::-1], PLACE)):
            with pytest.raises(UnsealError, match="changed or moved"):
                VisitorSealer(another).open(sealed, place)


def test_a_visitor_whom_an_older_build_stored_keeps_what_was_sealed() -> None:
    """It was sealed with AES-GCM under the secret itself, of 32 bytes. A shorter one opens none of it."""
    assert VisitorSealer(KEY).open(Sealer(KEY).seal(TEXT, PLACE), PLACE) == TEXT
    with pytest.raises(UnsealError):
        VisitorSealer(KEY).open(Sealer(KEY).seal(TEXT, PLACE), b"elsewhere")
    with pytest.raises(UnsealError):
        VisitorSealer(SECRET).open(Sealer(SECRET + SECRET).seal(TEXT, PLACE), PLACE)


@pytest.mark.parametrize("length", [0, 15, 17, 24, 31, 33, 64])
def test_a_secret_of_another_length_is_an_error(length: int) -> None:
    """A damaged row."""
    with pytest.raises(ArgumentError, match="secret"):
        VisitorSealer(bytes(length))
