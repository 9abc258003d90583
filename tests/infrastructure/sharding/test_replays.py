"""The log of all shards is replayed elsewhere: each with what it holds, and the results add up."""

from pathlib import Path
from typing import Final

import pytest

from offerlog import Offerlog, ShardUnavailableError
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.replaying.errors import ManifestError, SlicesMovedError
from offerlog_infrastructure.replaying.on_dask import ComparedReplay, replay_on_dask
from support.installations import Stores, move_slice
from support.journeys import journeys
from support.recount import rows
from support.replays import replay_in_this_process

pytest.importorskip("pyarrow")

_VISITORS: Final = 30


@pytest.fixture(autouse=True)
def _without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    replay_in_this_process(monkeypatch)


def _replay(service: Offerlog, folder: Path, break_at: tuple[str, int] = ("", 0)) -> ComparedReplay:
    """Replay all logs into a folder, up to a step."""

    def show(step: RebuildProgress) -> None:
        if (step.stage, step.events) == break_at:
            raise KeyboardInterrupt

    assert service.slices is not None
    return replay_on_dask(service.slices, folder, None, show)


def test_the_replay_of_all_shards_adds_up_to_that_of_one_store(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, tmp_path: Path
) -> None:
    """And a row that was changed on one of them is named with its shard."""
    sharded, single = services
    for one in services:
        one.wait(one.record([*journeys(_VISITORS), b"no signal"]).position)
        one.erase(customer_id="visitor-4")
    # when
    done, of_one = _replay(sharded, tmp_path / "all"), _replay(single, tmp_path / "one")
    # then
    names = [one.name for one in of_one.projections]
    assert [one.name for one in done.projections] == [f"{name}@{n}" for n in range(3) for name in names]
    assert done.is_equal
    assert of_one.is_equal
    assert done.total.counts == of_one.total.counts
    assert sum(done.total.counts.values()) > _VISITORS
    for name in names:
        replayed = sum(one.replayed.events for one in done.projections if one.name.startswith(f"{name}@"))
        live = sum(one.live.events for one in done.projections if one.name.startswith(f"{name}@"))
        assert replayed == live > 0
    # and again
    assert _replay(sharded, tmp_path / "all").total == done.total
    with pytest.raises(ManifestError, match="of several servers"):
        _replay(single, tmp_path / "all")
    with pytest.raises(ManifestError, match="the only one"):
        _replay(sharded, tmp_path / "one")
    # when a count is wrong on one shard
    rows(stores.dsns[2], "UPDATE performance_days SET offered = offered + 1 RETURNING 1")
    # then
    wrong = {one.name: one.differences for one in _replay(sharded, tmp_path / "wrong").projections}
    assert {name for name, found in wrong.items() if found} == {"performance@2"}
    assert wrong["performance@2"] == ["performance_days"]


def test_no_slice_moves_before_all_files_are_written(stores: Stores, tmp_path: Path) -> None:
    """Its events would be in the files of both servers, or of none; later on, moves do not matter."""
    first, second = tmp_path / "first", tmp_path / "second"
    with stores.open() as service:
        service.wait(service.record(journeys(_VISITORS)).position)
        # given a replay that was broken off while its files were written
        with pytest.raises(KeyboardInterrupt):
            _replay(service, first, ("writing slices", 20))
        files = {path: path.read_bytes() for path in first.rglob("*.parquet")}
        assert len(files) == 20
        # and one that was broken off before anything was written, which is planned anew
        with pytest.raises(KeyboardInterrupt):
            _replay(service, second, ("reading the live projections", 0))
        # when
        move_slice(stores, 12, 0)
        # then
        with pytest.raises(SlicesMovedError, match="begin anew in another folder"):
            _replay(service, first)
        with pytest.raises(KeyboardInterrupt):
            _replay(service, second, ("writing slices", 48))
        assert _replay(service, second).is_equal
        # when the next move comes behind the files
        move_slice(stores, 12, 1)
        # then
        assert _replay(service, second).is_equal


def test_a_shard_that_is_down_is_named(stores: Stores, tmp_path: Path) -> None:
    """Without its log there is no replay."""
    with stores.open() as service:
        service.wait(service.record(journeys(_VISITORS)).position)
        stores.proxy.go_away()
        with pytest.raises(ShardUnavailableError, match="shard 1"):
            _replay(service, tmp_path)
        assert not list(tmp_path.iterdir())
