"""The folder that the processes of a service share: who may remove it."""

import fcntl
import tempfile
from pathlib import Path

import pytest

from offerlog_infrastructure.workers import shared_folder
from offerlog_infrastructure.workers.shared_folder import SharedFolder


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other test uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shared_folder, "_LONGEST_PARENT", 1_000)
    return tmp_path


def test_a_service_removes_what_was_left_and_nothing_that_is_used(parent: Path) -> None:
    """A lock tells the two apart; it ends with the process that had it."""
    left = Path(tempfile.mkdtemp(prefix="offerlog-w-", dir=parent))
    first = SharedFolder.make()
    second = SharedFolder.make()
    assert (left.exists(), first.path.exists(), second.path.exists()) == (False, True, True)
    for one in (first, second):
        one.remove()
    assert not list(parent.iterdir())


def test_a_folder_that_was_removed_before_it_was_locked_is_made_again(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another service may start at that moment, and take it for one that was left."""
    lock = fcntl.flock
    removed: list[Path] = []

    def remove_first(folder: int, how: int) -> None:
        if not removed:
            removed.extend(parent.iterdir())
            removed[0].rmdir()
        lock(folder, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    made = SharedFolder.make()
    assert removed
    assert made.path.exists()
    assert made.path not in removed
    made.remove()
