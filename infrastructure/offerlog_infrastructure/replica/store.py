"""The replica's file: a short record for each suppressed visitor and map, under the digest of the visitor.

Nothing in the file says who a visitor is, or which action it was. Its keys are digests with the
organization's secret, which is not in the file. So nobody who has the file can test customer ids against it.
Action ids are sealed, and the keyring that opens them is not in the file.
"""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, Self
from uuid import UUID

import lmdb

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.replica.records import (
    VisitorHead,
    add_record,
    head_of,
    remove_record,
    replace_head,
)

_MAP_BYTES: Final = 1 << 36
"""The largest size of the file; on the disk it takes only what it holds."""

_POSITION: Final = b"position"
_SOURCE: Final = b"source"
_LAST: Final = b"last"
_EPOCH: Final = b"epoch"
_FORMAT: Final = b"format"
_THIS_FORMAT: Final = b"4"
"""A file of another format is made anew from the log. The first format had digests without a key, the second
one action ids in clear. The third one had no mark of removed records that it still held."""

_DIGEST_BYTES: Final = 16
"""Bytes of a key that is a digest. The keys in words are shorter."""

_REMAINS: Final = b"remains"
"""Is set while the file holds removed records in parts that are not in use. Shorter than a digest."""

_COPIED_AT_ONCE: Final = 2_000
"""Number of records that a compaction copies in one transaction."""

_OPENING_ATTEMPTS: Final = 200

_DATA: Final = "data.mdb"
_OWN_FOLDERS: Final = "suppressions-"

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Holds another id after each start of the machine; without it, a crash of the machine is not noticed."""


class ReplicaFolderError(OfferlogError):
    """The folder for the local suppression list cannot be used; the message says why and what to do.

    Attributes:
        folder: That folder.
        reason: The trouble with it.
    """

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(f"the local suppression list cannot be kept in {folder}: {reason}")


class ReplicaStore:
    """The file of one process. Reading methods are thread-safe; writing methods are for one thread.

    Attributes:
        folder: The folder of the file.
        position: The position of the log up to which the file is complete; None if it is empty.
        cleared: How often the file was emptied. A read during which this changes is not valid.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self.cleared = 0
        self._compactions = 0
        self._env = _open_file(folder)
        with self._env.begin() as transaction:
            is_of_this_format = transaction.get(_FORMAT) == _THIS_FORMAT
            position = transaction.get(_POSITION)
        self.position = None if position is None else int(position)
        if not is_of_this_format and self._env.stat()["entries"]:
            self.clear()
        elif self.has_remains():  # the process before was killed
            self.compact()

    @classmethod
    def open(cls, parent: Path) -> Self:
        """Open a file for this process alone; the file of an ended process is reused.

        Raises:
            ReplicaFolderError: The folder is not private, cannot be written, or its disk is full.
        """
        try:
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _check_private(parent, stat.S_IWGRP | stat.S_IWOTH)
            number = 0
            while True:
                folder = parent / f"{_OWN_FOLDERS}{number}"
                folder.mkdir(exist_ok=True, mode=0o700)
                _check_private(folder, stat.S_IRWXG | stat.S_IRWXO)
                lock = _try_lock(folder)
                if lock is not None:
                    opened = cls._opened(folder, lock)
                    opened.empty_unused()
                    return opened
                number += 1
        except lmdb.MemoryError as error:
            raise ReplicaFolderError(
                parent,
                "this process may not use 128 GiB of address space; raise the limit (`ulimit -v unlimited`)",
            ) from error
        except (lmdb.Error, OSError) as error:
            raise ReplicaFolderError(parent, f"{_words(error)}{full_disk_hint(parent)}") from error

    @classmethod
    def _opened(cls, folder: Path, lock: int) -> Self:
        # The file is never flushed to the disk: after a crash of the machine it may be damaged.
        boot, now = folder / "boot", _BOOT_ID.read_text() if _BOOT_ID.exists() else ""
        if not boot.exists() or boot.read_text() != now:
            _empty(folder)
            boot.write_text(now)
            boot.chmod(0o600)
        for file in folder.iterdir():
            if file.name.startswith(f"{_DATA}."):  # of a process that was killed while it compacted
                file.unlink()
            else:
                file.chmod(0o600)  # an older offerlog did not set the mode
        try:
            return cls(folder, lock)
        except lmdb.MemoryError:
            raise
        except (lmdb.Error, ValueError):  # damaged: made anew from the log
            _empty(folder)
            return cls(folder, lock)

    def clear(self) -> None:
        """Empty the file."""
        self.cleared += 1  # first, so that a reader that finds nothing can tell why
        with self._env.begin(write=True) as transaction:
            transaction.drop(self._env.open_db(None), delete=False)
            transaction.put(_REMAINS, b"")
        self.position = None
        self.compact()

    def source(self) -> bytes | None:
        """The identity of the log that was copied; None if the file is empty."""
        with self._env.begin() as transaction:
            found: bytes | None = transaction.get(_SOURCE)
            return found

    def last(self) -> bytes | None:
        """The mark of the last event applied; None if the file is empty."""
        with self._env.begin() as transaction:
            found: bytes | None = transaction.get(_LAST)
            return found

    def epoch(self) -> int | None:
        """The epoch of the log at which the visitors were read; None if the file is empty."""
        with self._env.begin() as transaction:
            found: bytes | None = transaction.get(_EPOCH)
            return None if found is None else int(found)

    def put(
        self,
        added: Iterable[tuple[UUID, VisitorHead, bytes]],
        position: int,
        source: bytes,
        last: bytes | None = None,
        removed: Iterable[tuple[UUID, int, UUID]] = (),
    ) -> None:
        """Remove and add suppressions and move the position in one transaction.

        Args:
            added: Digest of the visitor, the visitor, and the record.
            position: The file is complete up to this position.
            source: The identity of the log.
            last: The mark of the last event applied; None without a new event.
            removed: Digest of the visitor, the token, and the action map; removed before others are added.
        """
        with self._env.begin(write=True) as transaction:
            for digest, token, action_map_id in removed:
                known = transaction.get(digest.bytes)
                value = remove_record(known, token, action_map_id)
                if value is not None and value != known:
                    transaction.put(digest.bytes, value)
            for digest, head, record in added:
                known = transaction.get(digest.bytes)
                value = add_record(known, head, record)
                if value != known:
                    transaction.put(digest.bytes, value)
                if known is not None and not value.startswith(known):  # of an erased visitor
                    transaction.put(_REMAINS, b"")
            transaction.put(_POSITION, b"%d" % position)
            transaction.put(_SOURCE, source)
            transaction.put(_FORMAT, _THIS_FORMAT)
            if last is not None:
                transaction.put(_LAST, last)
        self.position = position

    def put_epoch(self, epoch: int) -> None:
        """Note that the visitors of the file are those of the store at this epoch."""
        with self._env.begin(write=True) as transaction:
            transaction.put(_EPOCH, b"%d" % epoch)

    def tokens(self, most: int) -> Iterator[Mapping[bytes, int]]:
        """Return the tokens of all visitors by digest, in parts of at most so many."""
        after = b""
        while part := self._tokens_after(after, most):
            yield part
            after = max(part) + b"\0"

    def _tokens_after(self, after: bytes, most: int) -> Mapping[bytes, int]:
        found: dict[bytes, int] = {}
        with self._env.begin() as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(after):
                return found
            for digest, value in cursor:
                if len(digest) == _DIGEST_BYTES:
                    found[digest] = head_of(value).token
                    if len(found) == most:
                        break
        return found

    def replace_visitors(self, digests: Collection[bytes], stored: Mapping[int, VisitorHead]) -> None:
        """Give visitors the keys that the store has for them now, and remove those that it does not have.

        The removed records stand in the file until the next call of `compact`.

        Args:
            digests: The visitors.
            stored: What the store says, by token.
        """
        with self._env.begin(write=True) as transaction:
            for digest in digests:
                value = transaction.get(digest)
                if value is None:
                    continue
                known = head_of(value)
                head = stored.get(known.token)
                if head is None:
                    transaction.delete(digest)
                    transaction.put(_REMAINS, b"")
                elif head != known:
                    transaction.put(digest, replace_head(value, head))

    def has_remains(self) -> bool:
        """Return True if removed records stand in parts of the file that are not in use."""
        with self._env.begin() as transaction:
            return transaction.get(_REMAINS) is not None

    def compact(self) -> None:
        """Write what is in use into a new file, which takes the place of the old one.

        LMDB leaves removed records in free pages and in the gaps of pages in use, and removed digests as
        the bounds of pages. Its own compacted copy keeps the bounds, so all records are put anew. Readers
        finish in the old file, which is closed with the last of them.

        Raises:
            lmdb.Error: The new file cannot be written; the old one stays in use.
            OSError: As above.
        """
        self._compactions += 1
        path = self.folder / f"{_DATA}.{self._compactions}"
        path.unlink(missing_ok=True)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            compacted = _open_new_file(path)
            # The lock file serves the threads of this process alone, which have it open.
            Path(f"{path}-lock").unlink()
            with self._env.begin() as transaction, transaction.cursor() as cursor:
                in_use = (record for record in cursor if record[0] != _REMAINS)
                while part := list(islice(in_use, _COPIED_AT_ONCE)):
                    with compacted.begin(write=True) as writing, writing.cursor() as target:
                        target.putmulti(part, append=True)
            path.rename(self.folder / _DATA)
        except BaseException:
            for left in (path, Path(f"{path}-lock")):
                left.unlink(missing_ok=True)
            raise
        self._env = compacted

    def empty_unused(self) -> None:
        """Empty the files beside this one whose processes have ended: nobody keeps them up to date."""
        for folder in self.folder.parent.glob(f"{_OWN_FOLDERS}*"):
            if folder == self.folder or not (folder / _DATA).exists():
                continue
            with suppress(OSError, ReplicaFolderError):  # of another user, or just removed: it stays as it is
                _check_private(folder, stat.S_IRWXG | stat.S_IRWXO)
                lock = _try_lock(folder)
                if lock is not None:
                    try:
                        _empty(folder)
                    finally:
                        os.close(lock)

    def look_up(self, digest: UUID) -> bytes | None:
        """Return the value of a visitor by the digest; None if nothing is suppressed for such a one."""
        with self._env.begin() as transaction:
            found: bytes | None = transaction.get(digest.bytes)
            return found

    def close(self) -> None:
        """Close the file; the next process reuses it and catches up with the log."""
        with suppress(lmdb.Error):
            self._env.sync(True)
        self._env.close()
        os.close(self._lock)

    def destroy(self) -> None:
        """Remove the file."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _open_file(path: Path) -> lmdb.Environment:
    """Open a file, or the one in a folder."""
    return lmdb.open(
        str(path), subdir=path.is_dir(), map_size=_MAP_BYTES, sync=False, max_readers=512, mode=0o600
    )


def _open_new_file(path: Path) -> lmdb.Environment:
    """Open a file that was just made.

    Its inode may be that of a former file that a reader closes at this moment: LMDB takes both for one.
    """
    for _ in range(_OPENING_ATTEMPTS - 1):
        try:
            return _open_file(path)
        except lmdb.Error as error:
            if "already open" not in str(error):
                raise
            time.sleep(0.01)
    return _open_file(path)


def _try_lock(folder: Path) -> int | None:
    """Lock a folder for this process; returns the descriptor to close, None if another process has it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(folder / "in-use", flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _empty(folder: Path) -> None:
    for name in ("lock.mdb", _DATA, *(file.name for file in folder.glob(f"{_DATA}.*"))):
        (folder / name).unlink(missing_ok=True)


def _check_private(folder: Path, forbidden: int) -> None:
    """Check that this user owns a folder, and that others do not have the forbidden rights.

    Raises:
        ReplicaFolderError: The check fails.
    """
    found = folder.lstat() if folder.name.startswith(_OWN_FOLDERS) else folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise ReplicaFolderError(folder, "it is not a folder")
    if found.st_uid != os.geteuid():
        raise ReplicaFolderError(folder, "it belongs to another user; choose a folder that you own")
    # In a folder like /tmp, other users cannot change the files of this user.
    if found.st_mode & forbidden and not (found.st_mode & stat.S_ISVTX and not forbidden & stat.S_IRGRP):
        raise ReplicaFolderError(
            folder, f"others may use it; run `chmod 700 '{folder}'`, or choose another one"
        )


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
