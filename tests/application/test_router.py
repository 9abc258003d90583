"""The router while a slice moves: what adds up is asked for again until each slice was there exactly once."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final

import pytest

from offerlog_application.ports.shards import HeldSlices, ShardMap, SliceInMotionError
from offerlog_application.sharding import router as router_module
from offerlog_application.sharding.router import Router

_ALL: Final = frozenset(range(16))


def _held(owned: frozenset[int], *leaving: int, epoch: int = 1) -> HeldSlices:
    return HeldSlices(owned, frozenset(leaving), (1,) * 15 + (epoch,))


class _Shards:
    """Two shards that say what they hold, one answer after the other; the last one again and again.

    Attributes:
        asked: How often each was asked for counts.
    """

    def __init__(self, *answers: Sequence[HeldSlices]) -> None:
        self.asked = 0
        self.map = ShardMap([0] * 16, [1] * 16, {1})
        self._shards = [self._make(number, [*each]) for number, each in enumerate(answers)]

    def read_map(self) -> ShardMap:
        return self.map

    def get(self, number: int) -> Any:
        return self._shards[number]

    def _make(self, number: int, answers: list[HeldSlices]) -> Any:
        def read_held() -> HeldSlices:
            return answers.pop(0) if len(answers) > 1 else answers[0]

        writer = SimpleNamespace(health=SimpleNamespace(trouble=None))
        return SimpleNamespace(number=number, writer=writer, find_silence=lambda: None, read_held=read_held)

    def count(self, shard: Any) -> int:
        """Answer a question to a shard."""
        self.asked += 1
        return int(shard.number)


def _router(shards: _Shards) -> Router:
    return Router(shards)  # type: ignore[arg-type] # what is asked here is all there


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports wait for a moment only."""
    monkeypatch.setattr(router_module, "ADDING_SECONDS", 0.2)


def test_a_slice_that_leaves_is_counted_where_its_rows_are() -> None:
    """Nobody owns it: all is there exactly once."""
    shards = _Shards([_held(_ALL - {15}, 15)], [_held(frozenset())])
    assert _router(shards).ask_all(shards.count) == [0, 1]


def test_counts_that_a_move_has_met_are_asked_for_again() -> None:
    """The slice was taken between the look before and the one behind."""
    before, fenced = _held(_ALL), _held(_ALL - {15}, 15, epoch=2)
    left, taken = _held(_ALL - {15}, epoch=2), _held(frozenset({15}), epoch=3)
    shards = _Shards([before, fenced, left], [_held(frozenset()), taken])
    assert _router(shards).ask_all(shards.count) == [0, 1]
    assert shards.asked == 4


@pytest.mark.parametrize("home", [_held(_ALL - {15}, 15), _held(_ALL)], ids=["leaving", "owned"])
def test_a_slice_on_two_shards_never_adds_up(home: HeldSlices) -> None:
    """The error names it."""
    shards = _Shards([home], [_held(frozenset({15}))])
    with pytest.raises(SliceInMotionError, match="slice f is on its way") as error:
        _router(shards).ask_all(shards.count)
    assert error.value.slices == [15]
    assert not shards.asked


def test_a_slice_on_no_shard_is_never_left_out() -> None:
    """Likewise."""
    shards = _Shards([_held(_ALL - {15})], [_held(frozenset())])
    with pytest.raises(SliceInMotionError, match="slice f is on its way"):
        _router(shards).ask_all(shards.count)
