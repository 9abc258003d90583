"""Ids of streams: the visitor's token in front, in the order of time, then a hash of the action map."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import RFC_4122, UUID

import hypothesis
import pytest
from hypothesis import strategies as st

from offerlog_domain.stream_ids import CHANCE_BITS, SLICES, make_stream_id, make_token, slice_of, token_of

AT = datetime(2026, 11, 22, 10, 0, 0, 999_999, tzinfo=UTC)
MAP_ID = UUID(int=2)
MOST_CHANCE = (1 << CHANCE_BITS) - 1

moments = st.datetimes(datetime(1970, 1, 1), datetime(2106, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
tokens = st.builds(make_token, st.uuids(), moments, st.integers(0, MOST_CHANCE))


@hypothesis.given(tokens, st.uuids())
def test_a_stream_id_is_a_uuid_of_version_8(token: int, action_map_id: UUID) -> None:
    """RFC 9562, sections 4.1, 4.2 and 5.8: version and variant stand where they must."""
    stream = make_stream_id(token, action_map_id)
    assert (stream.version, stream.variant) == (8, RFC_4122)
    assert stream == UUID(str(stream))


@hypothesis.given(st.uuids(), moments, st.integers(0, MOST_CHANCE), st.uuids())
def test_slice_second_and_chance_can_be_read_from_an_id(
    digest: UUID, first_seen: datetime, chance: int, action_map_id: UUID
) -> None:
    """Nothing is lost on the way through the signed number, and the id gives the token back."""
    # given
    token = make_token(digest, first_seen, chance)
    # when
    stream = make_stream_id(token, action_map_id)
    # then
    digits = stream.hex
    assert -(2**63) <= token < 2**63
    assert token_of(stream) == token
    assert slice_of(stream) == slice_of(digest) == int(digest.hex[0], 16) < SLICES
    assert int(digits[1:9], 16) == int(first_seen.timestamp())
    assert int(digits[9:12] + digits[13:16], 16) == chance


def test_visitors_of_a_slice_come_in_the_order_of_their_first_second() -> None:
    """Whatever their chance, and their digest behind its first digit; negative tokens too."""
    for digit in (0x0, 0x7, 0x8, 0xF):
        digests = [UUID(int=digit << 124 | rest) for rest in (2**124 - 1, 0)]
        made = [
            make_token(digests[second % 2], AT + timedelta(seconds=second), MOST_CHANCE - second)
            for second in range(10)
        ]
        assert made == sorted(made)
        streams = [make_stream_id(token, MAP_ID) for token in made]
        assert streams == sorted(streams)
        assert (made[0] < 0) == (digit >= 8)


def test_all_streams_of_a_visitor_lie_beside_each_other() -> None:
    """No stream of another visitor lies between two of them."""
    token = make_token(UUID(int=7 << 124), AT, 5)
    streams = sorted(make_stream_id(token, UUID(int=n)) for n in range(50))
    neighbours = [make_stream_id(other, UUID(int=n)) for other in (token - 1, token + 1) for n in range(50)]
    assert len(set(streams)) == 50
    assert not [one for one in neighbours if streams[0] < one < streams[-1]]


@pytest.mark.parametrize(
    ("first_seen", "seconds"),
    [
        (datetime(1969, 12, 31, tzinfo=UTC), 1),  # the second 0 is that of organizations
        (datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC), 2**32 - 1),
        (datetime(9999, 12, 31, tzinfo=UTC), 2**32 - 1),
    ],
)
def test_a_clock_outside_of_the_period_counts_as_its_nearest_second(
    first_seen: datetime, seconds: int
) -> None:
    """The period is 1970 to 2106; the slice stays what it is."""
    stream = make_stream_id(make_token(UUID(int=3 << 124), first_seen, 0), MAP_ID)
    assert int(stream.hex[1:9], 16) == seconds
    assert slice_of(stream) == 3


def test_a_stream_id_is_the_same_for_ever() -> None:
    """Streams written by one version of the program are found by the next."""
    token = make_token(UUID("9" * 32), AT, 0x123456)
    tail = sha256(token.to_bytes(8, "big", signed=True) + MAP_ID.bytes).hexdigest()[:15]
    assert make_stream_id(token, MAP_ID).hex == "96b02bd2012384568" + tail
