"""Which stream a visitor-offer lives in."""

import itertools

from offerlog_domain.identity import StreamKey

MAP = "00000000-0000-0000-0000-000000000002"
SECRET, OTHER = b"1" * 32, b"2" * 32


def test_every_part_of_the_identity_makes_another_stream() -> None:
    """Secret, id type, id and map; text that runs together does not."""
    kinds = (
        ("cookie", "a"),
        ("cooki", "ea"),
        ("cookie", "a\0"),
        ("c", "ookiea"),
        ("é", "a"),
        ("e", "\u0301a"),
    )
    streams = [
        StreamKey(secret).stream(kind, customer, action_map)
        for secret in (SECRET, OTHER)
        for kind, customer in kinds
        for action_map in (MAP, MAP[:-1] + "3")
    ]
    assert all(one != other for one, other in itertools.combinations(streams, 2))
    assert {stream.version for stream in streams} == {8}


def test_the_same_identity_is_the_same_stream_for_ever() -> None:
    """Streams written by one version of the program are found by the next."""
    key = StreamKey(SECRET)
    once = key.stream("cookie", "visitor-1", MAP)
    assert str(once) == "80802b10-9e07-851a-b86b-40a6b49f92ac"
    assert key.stream("cookie", "visitor-1", MAP) == once
