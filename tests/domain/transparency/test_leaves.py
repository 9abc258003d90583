"""Leaves: the bytes of an event that the tree commits to, before and after an erasure."""

from hashlib import sha256
from struct import error
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offerlog_domain.event_fields import PrivateFields
from offerlog_domain.transparency.hashing import hash_leaf
from offerlog_domain.transparency.leaves import (
    BLANKED_BYTES,
    UNSPLIT,
    blank_sealed,
    entry_of_event,
    find_blanked,
    hash_events,
    hash_rows,
    is_blanked,
    make_entry,
    pack_row,
    position_of,
    sealed_digest,
    split_state,
    unpack_row,
)

STREAM = UUID("10000000-0000-8000-8000-000000000001").bytes
PUBLIC = msgspec.msgpack.encode(["shop", 7])
SEALED = b"nonce, text and tag, sealed"
STATE = msgspec.msgpack.encode((msgspec.Raw(PUBLIC), SEALED))


def test_an_entry_has_the_documented_bytes() -> None:
    """Written out by hand, as the module's docstring has it."""
    assert entry_of_event(258, STREAM, 3, "offered.2", STATE) == (
        bytes.fromhex("0000000000000102 00000003")
        + STREAM
        + bytes.fromhex("0009") + b"offered.2"
        + bytes.fromhex("00000007") + PUBLIC
        + sha256(SEALED).digest()
    )  # fmt: skip


def test_a_leaf_is_the_hash_of_the_entry_behind_a_zero_byte() -> None:
    """With the value, so that no release changes it unnoticed."""
    row = (258, STREAM, 3, "offered.2", STATE)
    assert hash_events([row]) == [sha256(b"\0" + entry_of_event(*row)).digest()]
    assert hash_events([row])[0].hex() == "3ea836aa68d07ea15d116e4e3024e52f460b0642ba398c6beebdb4aa75951fa8"


def test_an_event_keeps_its_leaf_when_its_sealed_part_is_blanked() -> None:
    """So every proof holds after an erasure."""
    blanked = msgspec.msgpack.encode((msgspec.Raw(PUBLIC), blank_sealed(SEALED)))
    assert SEALED not in blanked
    rows = [(258, STREAM, 3, "offered.2", state) for state in (STATE, blanked)]
    before, after = hash_events(rows)
    assert before == after
    assert find_blanked(rows) == rows[1:]


def test_blanking_again_changes_nothing() -> None:
    """An erasure may be done twice."""
    blanked = blank_sealed(SEALED)
    assert is_blanked(blanked)
    assert blank_sealed(blanked) == blanked
    assert sealed_digest(blanked) == sha256(SEALED).digest()


def test_no_live_sealed_part_looks_like_a_blanked_one() -> None:
    """It is empty, or longer with the fewest private fields."""
    nothing = PrivateFields(session_id=UUID(int=0), action_id=UUID(int=0))
    shortest = msgspec.msgpack.Encoder(uuid_format="bytes").encode(nothing)
    nonce_and_tag = 28
    assert nonce_and_tag + len(shortest) > BLANKED_BYTES
    assert not is_blanked(b"")


@given(st.binary(max_size=300) | st.integers(65_530, 65_540).map(bytes))
def test_a_state_is_split_into_the_parts_that_it_was_made_of(sealed: bytes) -> None:
    """Whatever the length of the sealed part."""
    assert split_state(msgspec.msgpack.encode((msgspec.Raw(PUBLIC), sealed))) == (PUBLIC, sealed)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\xff",
        PUBLIC,
        STATE + b"\0",
        STATE[:-1],
        b"\xdc\0\2" + STATE[1:],  # the same parts, spelt longer
        STATE[: -len(SEALED) - 2] + b"\xc5\0" + bytes([len(SEALED)]) + SEALED,
        msgspec.msgpack.encode((msgspec.Raw(PUBLIC), "text")),
        b"\x92" + b"\x91" * 5_000,
    ],
)
def test_a_state_in_another_form_counts_as_public_in_whole(state: bytes) -> None:
    """So a spoiled event has a leaf, and not that of the event it was."""
    assert split_state(state) is None
    assert entry_of_event(1, STREAM, 1, "offered.2", state) == make_entry(
        position=1, version=1, stream=STREAM, topic=b"offered.2", public=state, digest=UNSPLIT
    )


@given(
    st.binary(max_size=300),
    st.sampled_from(["offered.2", "visitor_erased.1", "\u00e9"]),
    st.integers(1, 2**53),
)
def test_many_leaves_at_once_are_those_of_the_single_entries(
    sealed: bytes, topic: str, position: int
) -> None:
    """The loop that is written out for speed does the same, also for states in another form."""
    long = msgspec.msgpack.encode(["x" * 300])
    states = [
        msgspec.msgpack.encode((msgspec.Raw(public), part))
        for part in (sealed, blank_sealed(sealed))
        for public in (PUBLIC, long)
    ]
    states += [states[0] + b"\0", sealed, _spelt_longer(sealed)]
    rows = [(position, STREAM, 7, topic, state) for state in states]
    packed = [pack_row(row) for row in rows]
    leaves, unusual = hash_rows(packed)
    assert leaves == hash_events(rows) == [hash_leaf(entry_of_event(*row)) for row in rows]
    assert [unpack_row(row) for row in packed] == rows
    assert {position_of(row) for row in packed} == {position}
    assert {2, 3} <= set(unusual), "an audit looks closely at the blanked ones"


def test_a_topic_that_is_too_long_for_an_entry_has_no_leaf() -> None:
    """Its hash begins with another byte than every leaf."""
    row = (1, STREAM, 1, "x" * 70_000, STATE)
    entry = pack_row(row)[0] + (70_000 & 0xFFFF).to_bytes(2, "big") + b"x" * 70_000
    assert hash_events([row]) != [hash_leaf(entry + entry_of_event(*row[:3], "", STATE)[30:])]
    assert unpack_row(pack_row(row)) == row
    with pytest.raises(error):
        entry_of_event(*row)


def _spelt_longer(sealed: bytes) -> bytes:
    """A state whose sealed part has its length in more bytes than it must."""
    return b"\x92" + PUBLIC + b"\xc6" + len(sealed).to_bytes(4, "big") + sealed


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from([STREAM, bytes(16)]),
            st.integers(1, 3),
            st.sampled_from(["a.2", "ab.2", ""]),
            st.sampled_from([STATE, PUBLIC, b"", b"\xc4" + STATE]),
        ),
        unique=True,
        max_size=40,
    )
)
def test_other_events_have_other_leaves(rows: list[tuple[int, bytes, int, str, bytes]]) -> None:
    """Also where bytes move from one field to the next."""
    assert len(set(hash_events(rows))) == len(rows)
