"""Work for a slice that moves: it waits until a shard owns the slice, and not for ever."""

from collections.abc import Collection, Iterator
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import Mock
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import SliceElsewhereError, StoreUnavailableError
from offerlog_application.ports.shards import HeldSlices, ShardMap, SliceInMotionError
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.sharding import divided_writer, in_motion
from offerlog_application.sharding.divided_writer import DividedWriter
from offerlog_application.sharding.router import Router

_ALL: Final = frozenset(range(16))
_DIGEST: Final = UUID(int=0xA << 124)
"""That of a visitor of the slice a."""

_COMMAND: Final[Any] = SimpleNamespace(is_short=False, offer=SimpleNamespace(visitor_digest=_DIGEST))


class _Shards:
    """A home that has given the slice a away, and a shard that takes it at some look.

    Args:
        silent: The shard cannot be reached.
        taken_at: The look at which it owns the slice; None for never.
        refusing: The shards whose writers say that the slice is elsewhere.
    """

    def __init__(
        self, *, silent: bool = False, taken_at: int | None = None, refusing: Collection[int] = (0,)
    ) -> None:
        self.map = ShardMap([0] * 16, [1] * 16, {1})
        self.maps_read = 0
        self.looks = 0
        self.handed_in: list[int] = []
        self._silent = silent
        self._taken_at = taken_at
        self._refusing = refusing

    def read_map(self) -> ShardMap:
        self.maps_read += 1
        return self.map

    def get(self, number: int) -> Any:
        if number == 1 and self._silent:
            raise StoreUnavailableError
        return SimpleNamespace(
            number=number,
            writer=SimpleNamespace(
                health=SimpleNamespace(trouble=None), submit=lambda *_, **__: self._submit(number)
            ),
            find_silence=lambda: None,
            read_owned=lambda: self._read_owned(number),
        )

    def _read_owned(self, number: int) -> frozenset[int]:
        if number == 0:
            return _ALL - {0xA}
        self.looks += 1
        return frozenset({0xA} if self._taken_at is not None and self.looks >= self._taken_at else ())

    def _submit(self, number: int) -> PendingAnswer[Any]:
        self.handed_in.append(number)
        pending: PendingAnswer[Any] = PendingAnswer()
        if number in self._refusing:
            pending.set_exception(SliceElsewhereError({0xA}))
        else:
            pending.set_result(([Mock()], 7))
        return pending


@pytest.fixture
def writers() -> Iterator[list[DividedWriter]]:
    """Writers, which are closed at the end."""
    made: list[DividedWriter] = []
    yield made
    for one in made:
        one.close()


def _submit(shards: _Shards, writers: list[DividedWriter]) -> PendingAnswer[Any]:
    writers.append(DividedWriter(Router(shards), Mock(), Mock()))  # type: ignore[arg-type] # what is asked here is all there
    return writers[0].submit([_COMMAND], [], lambda _, position: position, organization="default")


def test_work_is_handed_in_once_its_slice_has_an_owner(writers: list[DividedWriter]) -> None:
    """And to nobody before: a writer would decide it in vain. Only the first look asks the directory."""
    shards = _Shards(taken_at=4)
    assert _submit(shards, writers).result(30) is not None
    assert shards.handed_in == [0, 1]
    assert (shards.looks, shards.maps_read) == (4, 1)


@pytest.mark.parametrize("taken_at", [None, 1])
def test_work_does_not_wait_for_ever(
    taken_at: int | None, writers: list[DividedWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes the slice; or the writer of its owner goes on to say that it is elsewhere."""
    monkeypatch.setattr(divided_writer, "PATIENCE_SECONDS", 0.05)
    shards = _Shards(taken_at=taken_at, refusing=(0, 1))
    assert isinstance(_submit(shards, writers).exception(30), SliceInMotionError)


def test_nobody_says_that_a_slice_has_no_owner_while_a_shard_is_silent() -> None:
    """It may be that one's."""
    for silent, unowned in ((False, {0xA}), (True, set())):
        shards = _Shards(silent=silent)
        assert {*Router(shards).ask_owners(shards.map).unowned} == unowned  # type: ignore[arg-type] # as above


def test_in_motion_is_what_is_not_held_once() -> None:
    """Neither a slice of nobody nor one of two shards adds up."""

    def holding(*slices: int, leaving: tuple[int, ...] = ()) -> HeldSlices:
        return HeldSlices(frozenset(slices), frozenset(leaving), (1,) * 16)

    everything = range(16)
    assert in_motion.find_in_motion([holding(*everything)]) == []
    assert in_motion.find_in_motion([holding(*range(15)), holding()]) == [15]
    assert in_motion.find_in_motion([holding(*range(15), leaving=(15,)), holding()]) == []
    assert in_motion.find_in_motion([holding(*range(15), leaving=(15,)), holding(15)]) == [15]
    changed = holding(*everything)._replace(epochs=(1, 3) + (1,) * 14)
    assert in_motion.find_changed([holding(*everything)], [changed]) == [1]
