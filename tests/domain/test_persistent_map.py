"""An immutable map is a dictionary whose older versions stay as they were."""

from itertools import pairwise

import hypothesis
from hypothesis import strategies as st

from offerlog_domain.persistent_map import PersistentMap

keys = st.integers(0, 12)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, st.integers()),
        st.tuples(st.just("put many"), st.dictionaries(keys, st.integers(), max_size=5), st.none()),
        st.tuples(st.just("drop"), keys, st.none()),
    ),
    max_size=60,
)


@hypothesis.given(changes)
def test_every_version_equals_the_dictionary_of_its_time(steps: list[tuple[str, object, int | None]]) -> None:
    """Whatever is done to later ones."""
    versions: list[tuple[PersistentMap[int, int], dict[int, int]]] = [(PersistentMap(), {})]
    for what, key, value in steps:
        made, model = versions[-1][0], dict(versions[-1][1])
        match what, key:
            case "put", int() if value is not None:
                made, model[key] = made.with_entry(key, value), value
            case "put many", dict():
                made, model = made.with_entries(key), model | key
            case "drop", int():
                made = made.without(key)
                model.pop(key, None)
        versions.append((made, model))
    for made, model in versions:
        assert dict(made.items()) == model
        assert (len(made), bool(made)) == (len(model), bool(model))
        assert [made.get(key) for key in range(13)] == [model.get(key) for key in range(13)]
        assert sorted(made.values()) == sorted(model.values())
        rebuilt: PersistentMap[int, int] = PersistentMap()
        for key, value in model.items():
            rebuilt = rebuilt.with_entry(key, value)
        assert made == rebuilt
        assert hash(made) == hash(rebuilt)


def test_a_map_of_very_many_entries_asks_few_dictionaries() -> None:
    """Each is at least twice as long as the next, also after removals."""
    made: PersistentMap[int, int] = PersistentMap()
    for n in range(20_000):
        made = made.with_entry(n, n)
        if n % 3 == 0:
            made = made.without(n // 2)
    lengths = [len(segment) for segment in made._segments]
    assert len(lengths) <= 16
    assert all(longer >= 2 * shorter for longer, shorter in pairwise(lengths))


def test_a_map_is_shown_compared_and_asked_like_a_dictionary() -> None:
    """A removed key is not in it; maps with different keys have different hashes."""
    made: PersistentMap[str, int] = PersistentMap[str, int]().with_entries({"a": 1, "b": 2}).without("b")
    assert "a" in made
    assert "b" not in made
    assert repr(made) == "PersistentMap({'a': 1})"
    assert made != {"a": 1}
    assert len({hash(PersistentMap[str, int]().with_entry(key, 1)) for key in "abcdefgh"}) > 1
