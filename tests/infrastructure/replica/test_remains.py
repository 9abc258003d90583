"""What was removed from the local suppression list does not stand in its file any more."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from offerlog_infrastructure.replica.records import VisitorHead
from offerlog_infrastructure.replica.store import ReplicaStore

VISITORS = 3_000
ERASED = 40
KEY_BYTES = 40


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where replicas lie."""
    with tempfile.TemporaryDirectory(prefix="replica-remains-") as name:
        yield Path(name)


class Crowd:
    """Visitors of a list: digest, token and wrapped key of each, and one record."""

    def __init__(self) -> None:
        self.heads = {
            uuid4(): VisitorHead(token, 1, os.urandom(KEY_BYTES)) for token in range(1, VISITORS + 1)
        }
        self.records = {digest: os.urandom(150) for digest in self.heads}
        self.erased = list(self.heads)[5 :: VISITORS // ERASED]

    def fill(self, store: ReplicaStore) -> None:
        """Put all of them into a list."""
        store.put(
            ((digest, head, self.records[digest]) for digest, head in self.heads.items()), 1, b"a log", b""
        )

    def remaining(self) -> Mapping[int, VisitorHead]:
        """Those that the store of the log still has, by token."""
        return {head.token: head for digest, head in self.heads.items() if digest not in self.erased}

    def erase(self, store: ReplicaStore) -> None:
        """Remove the erased from a list, without a compaction."""
        for digests in store.tokens(1_000):
            store.replace_visitors(digests, self.remaining())

    def found(self, folder: Path) -> list[str]:
        """What stands in the files of the erased: digest, key or record, of any of them."""
        files = [file for file in folder.rglob("*") if file.is_file()]
        content = b"".join(file.read_bytes() for file in files)
        values = (
            (name, value)
            for digest in self.erased
            for name, value in (
                ("digest", digest.bytes),
                ("key", self.heads[digest].wrapped_key),
                ("record", self.records[digest][-16:]),
            )
        )
        return sorted({name for name, value in values if value in content})


def test_nothing_of_the_erased_stands_in_a_list_of_thousands(folder: Path) -> None:
    """Neither in free pages nor in the gaps of pages in use; the others stay, and the file does not grow."""
    # given
    crowd, store = Crowd(), ReplicaStore.open(folder)
    crowd.fill(store)
    crowd.erase(store)
    assert store.has_remains()
    assert crowd.found(folder) == ["digest", "key", "record"]
    size = (store.folder / "data.mdb").stat().st_size
    # when
    store.compact()
    # then, while the list is open, and when it is opened again
    assert crowd.found(folder) == []
    assert not store.has_remains()
    assert (store.folder / "data.mdb").stat().st_size <= size
    store.close()
    again = ReplicaStore.open(folder)
    assert crowd.found(folder) == []
    assert [digest for digest in crowd.heads if again.look_up(digest) is None] == crowd.erased
    assert sorted(path.name for path in again.folder.iterdir()) == ["boot", "data.mdb", "in-use", "lock.mdb"]
    again.close()


def test_a_list_whose_process_was_killed_before_the_compaction_is_compacted_at_the_next_start(
    folder: Path,
) -> None:
    """The mark of it is written in one transaction with the removal; a copy begun is removed."""
    # given
    crowd, store = Crowd(), ReplicaStore.open(folder)
    crowd.fill(store)
    crowd.erase(store)
    store.close()
    (store.folder / "data.mdb.1").write_bytes(crowd.heads[crowd.erased[0]].wrapped_key)
    # when
    again = ReplicaStore.open(folder)
    # then
    assert crowd.found(folder) == []
    assert again.position == 1
    again.close()


def test_without_room_for_the_new_file_the_old_one_stays_in_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is compacted later."""
    # given
    crowd, store = Crowd(), ReplicaStore.open(folder)
    crowd.fill(store)
    crowd.erase(store)
    # when
    with monkeypatch.context() as failing:
        failing.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="no room"):
            store.compact()
    # then
    assert store.has_remains()
    assert not [*store.folder.glob("data.mdb.*")]
    assert store.look_up(next(iter(crowd.heads))) is not None
    store.compact()
    assert crowd.found(folder) == []
    store.close()


def fail(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError("no room")


def test_a_new_life_leaves_nothing_of_the_old_one(folder: Path) -> None:
    """A visitor who was erased and turned another offer down, before the list saw the erasure."""
    # given
    crowd, store = Crowd(), ReplicaStore.open(folder)
    crowd.fill(store)
    # when
    again = [(digest, VisitorHead(10**6 + n, 1, b"new"), b"new") for n, digest in enumerate(crowd.erased)]
    store.put(again, 2, b"a log")
    # then
    assert store.has_remains()
    store.compact()
    assert set(crowd.found(folder)) == {"digest"}
    store.close()


def test_nothing_of_an_emptied_list_is_left(folder: Path) -> None:
    """As when the log was restored from a backup: the list is copied anew."""
    crowd, store = Crowd(), ReplicaStore.open(folder)
    crowd.fill(store)
    store.clear()
    assert crowd.found(folder) == []
    assert store.look_up(crowd.erased[0]) is None
    store.close()


def test_readers_are_not_disturbed_by_compactions(folder: Path) -> None:
    """They find the same before and after, and the old files are closed."""
    # given
    crowd, store = Crowd(), ReplicaStore.open(folder)
    crowd.fill(store)
    digest, ended, missed = next(iter(crowd.heads)), threading.Event(), []

    def read(digest: UUID) -> None:
        while not ended.is_set():
            if store.look_up(digest) is None:
                missed.append(digest)

    readers = [threading.Thread(target=read, args=(digest,)) for _ in range(3)]
    for reader in readers:
        reader.start()
    # when
    try:
        for _ in range(20):
            store.compact()
    finally:
        ended.set()
        for reader in readers:
            reader.join(10)
    # then
    assert missed == []
    opened = [path for path in open_files() if path.startswith(str(store.folder)) and "data.mdb" in path]
    assert not [path for path in opened if path.endswith("(deleted)") and "-lock" not in path]
    store.close()


def open_files() -> list[str]:
    """The files that this process has open."""
    descriptors = Path("/proc/self/fd")
    return [str(one.readlink()) for one in descriptors.iterdir() if one.is_symlink()]


def test_the_files_of_ended_processes_are_emptied(folder: Path) -> None:
    """By the next process that opens a list there, and when a running one is asked; those in use are not."""
    # given three lists in use, of which two end
    crowd = Crowd()
    stores = [ReplicaStore.open(folder) for _ in range(3)]
    for store in stores:
        crowd.fill(store)
    stores[1].close()
    # when
    stores[0].empty_unused()
    # then
    assert not (stores[1].folder / "data.mdb").exists()
    assert stores[2].look_up(crowd.erased[0]) is not None
    # when all have ended, and one starts
    stores[0].close()
    stores[2].close()
    again = ReplicaStore.open(folder)
    # then
    assert again.folder == stores[0].folder
    assert not (stores[2].folder / "data.mdb").exists()
    assert again.look_up(crowd.erased[0]) is not None
    again.close()
