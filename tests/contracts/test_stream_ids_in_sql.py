"""The database computes the ids of streams as the program does."""

import random
from uuid import UUID

from offerlog_domain.stream_ids import make_stream_id, slice_of, token_of
from support.recount import rows

_SELECT_IDS = """
    SELECT stream_id(token, action_map_id)
    FROM unnest(%s::bigint[], %s::uuid[]) WITH ORDINALITY AS pair (token, action_map_id, place) ORDER BY place
"""
_SELECT_PARTITIONS = """
    WITH written AS (
        INSERT INTO offerlog_events (originator_id, originator_version, topic, state)
        SELECT id, 1, 'a topic', '' FROM unnest(%s::uuid[]) AS id RETURNING originator_id, tableoid
    )
    SELECT originator_id, tableoid::regclass::text FROM written
"""


def pairs(number: int) -> list[tuple[int, UUID]]:
    """Tokens of all slices, half of them negative, with action maps; the same in every run."""
    chance = random.Random(8)  # noqa: S311 - examples
    ends = [-(2**63) | 0x8000, -1 & ~0xF000 | 0x8000, 0x8000, 2**63 - 1 & ~0xF000 | 0x8000]
    tokens = [chance.getrandbits(64) - 2**63 for _ in range(number)]
    return [(token, UUID(int=chance.getrandbits(128))) for token in ends + tokens]


def test_the_function_in_sql_makes_the_same_ids(dsn: str) -> None:
    """For hundreds of tokens, positive and negative ones, up to the ends of their range."""
    # given
    drawn = pairs(500)
    tokens, maps = map(list, zip(*drawn, strict=True))
    assert {token < 0 for token in tokens} == {True, False}
    # when
    found = [stream for (stream,) in rows(dsn, _SELECT_IDS, tokens, maps)]
    # then
    assert found == [made_here(token, action_map_id) for token, action_map_id in drawn]


def made_here(token: int, action_map_id: UUID) -> UUID:
    """The id that the program makes. The token comes back from it, also where it is not one of a visitor."""
    stream = make_stream_id(token, action_map_id)
    assert token_of(stream) == token
    return stream


def test_a_stream_lies_in_the_partition_of_its_slice(dsn: str) -> None:
    """Each of the 16 slices has one, and PostgreSQL orders ids as Python does."""
    # given
    streams = [make_stream_id(*pair) for pair in pairs(200)]
    assert {slice_of(stream) for stream in streams} == set(range(16))
    # when
    lying = rows(dsn, _SELECT_PARTITIONS, streams)
    # then
    assert len(lying) == len(streams)
    assert {(stream, name.split(".")[-1]) for stream, name in lying} == {
        (stream, f"offerlog_events_{slice_of(stream):x}") for stream in streams
    }
    kept = [
        stream for (stream,) in rows(dsn, "SELECT originator_id FROM offerlog_events ORDER BY originator_id")
    ]
    assert kept == sorted(streams)
