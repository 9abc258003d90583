"""Faults of one server at once."""

from pathlib import Path

import pytest

from soak.history import read
from soak.server import Server
from soak.shards import system as module
from soak.shards.system import HURT, MENDED, ShardedSystem


def test_of_two_faults_of_a_server_the_last_to_end_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cannot answer while one of them lasts."""
    # given
    asked: list[Server] = []

    def answer(server: Server) -> bool:
        asked.append(server)
        return True

    monkeypatch.setattr(module, "_does_answer", answer)
    system = ShardedSystem(tmp_path, 10.0)
    # when
    with system.hurt(1):
        with system.hurt(1):
            pass
        asked_inside = list(asked)
        with system.hurt(2):
            pass
    with system.hurt(1):
        pass
    # then
    assert (asked_inside, len(asked)) == ([], 3)
    system.history.close()
    kinds = [(one["kind"], one["shard"]) for one in read(tmp_path / "history")]
    assert kinds == [(HURT, 1), (HURT, 2), (MENDED, 2), (MENDED, 1), (HURT, 1), (MENDED, 1)]
