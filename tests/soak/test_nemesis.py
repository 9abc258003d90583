"""The nemesis repeats its choices, and heals whatever happens."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from soak.faults import CannotInjectError, Fault, load
from soak.history import read
from soak.nemesis import Nemesis
from soak.system import System


def named(name: str, weight: int = 1) -> Fault:
    """A fault that does nothing, and says what it would have hit."""

    def run(_: System, chance: Random) -> Iterator[str]:
        if chance.random() < 0.2:
            raise CannotInjectError("there is none")
        yield f"target {chance.randrange(100)}"

    return Fault(name, weight, (0.0, 0.001), run, lambda _: None)


def dealt(folder: Path, seed: int) -> list[list[object]]:
    """What a nemesis with this seed did first, in order."""
    system = System(folder, 60)
    faults = [named("a", weight=3), named("b"), named("c")]
    nemesis = Nemesis(system, faults, seed, time.monotonic, rest=(0.0, 0.0))
    nemesis.run(0.3)
    system.history.close()
    entries = [one for one in read(folder / "history") if one["kind"] in {"injected", "skipped"}]
    return [[one["kind"], one["fault"], one.get("target")] for one in entries][:15]


def test_a_seed_repeats_the_faults_and_their_targets(tmp_path: Path) -> None:
    """Another seed gives others; every fault of the deck comes before any comes again."""
    # when
    first = dealt(tmp_path / "1", 7)
    # then
    assert dealt(tmp_path / "2", 7) == first
    assert dealt(tmp_path / "3", 8) != first
    assert sorted(str(one[1]) for one in first[:5]) == ["a", "a", "a", "b", "c"]
    assert {one[0] for one in first} == {"injected", "skipped"}


def test_a_fault_that_others_would_wait_for_stays_alone(tmp_path: Path) -> None:
    """Two at once come now and then, but never on top of that one."""
    # given a fault during which nothing else may begin
    active: list[str] = []

    def recorded(name: str, *, alone: bool) -> Fault:
        def run(_: System, __: Random) -> Iterator[str]:
            assert "alone" not in active
            active.append(name)
            pairs.append(len(active))
            yield name
            active.remove(name)

        return Fault(name, 1, (0.0, 0.0), run, lambda _: None, alone)

    pairs: list[int] = []
    system = System(tmp_path, 60)
    # when many are injected
    faults = [recorded("alone", alone=True), recorded("other", alone=False), recorded("third", alone=False)]
    Nemesis(system, faults, 7, time.monotonic, rest=(0.0, 0.0)).run(0.5)
    system.history.close()
    # then some were two at once, and the assertion above held
    assert 2 in pairs


def test_a_fault_is_chosen_by_a_part_of_its_name() -> None:
    """A word that is in no name is a mistake."""
    assert {one.name for one in load(["kill -9 guard"])} == {"kill -9 guard"}
    assert len(load(["kill -9"])) >= 4
    with pytest.raises(ValueError, match=r"no fault has 'nonsense' in its name; there are: .*kill -9 guard"):
        load(["nonsense"])
