"""Replays without Dask, which takes seconds to start."""

from collections.abc import Sequence
from contextlib import nullcontext

import pytest

from offerlog_infrastructure.replaying import on_dask
from offerlog_infrastructure.replaying.manifest import encode_result, save_manifest
from offerlog_infrastructure.replaying.slice_replay import replay_slice


def replay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay the slices in this process. The tests of the command have Dask do it."""

    def replay_here(_: object, __: object, parts: Sequence[on_dask.ReplayPart], ___: object) -> None:
        for part in parts:
            for one in part.manifest.slices:
                one.result = one.result or encode_result(replay_slice(str(part.folder / one.file)))
            save_manifest(part.folder, part.manifest)

    monkeypatch.setattr(on_dask, "_connected", lambda *_: nullcontext())
    monkeypatch.setattr(on_dask, "_load_dask", lambda: None)
    monkeypatch.setattr(on_dask, "_replay_slices", replay_here)
