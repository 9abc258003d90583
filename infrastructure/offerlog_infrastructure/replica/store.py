"""The replica's file: a short record for each suppressed visitor and map, under the digest of the visitor.

Nothing in the file says who a visitor is, or which action it was. Its keys are digests with the
organization's secret, which is not in the file. So nobody who has the file can test customer ids against it.
Action ids are sealed, and the keyring that opens them is not in the file.
"""

import fcntl
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from uuid import UUID

import lmdb

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.replica.records import VisitorHead, add_record, head_of, replace_head

_MAP_BYTES: Final = 1 << 36
"""The largest size of the file; on the disk it takes only what it holds."""

_POSITION: Final = b"position"
_SOURCE: Final = b"source"
_LAST: Final = b"last"
_EPOCH: Final = b"epoch"
_FORMAT: Final = b"format"
_THIS_FORMAT: Final = b"3"
"""A file of another format is made anew from the log. The first format had digests without a key, the second
one action ids in clear."""

_DIGEST_BYTES: Final = 16
"""Bytes of a key that is a digest. The keys in words are shorter."""

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
        self._env = lmdb.open(str(folder), map_size=_MAP_BYTES, sync=False, max_readers=512, mode=0o600)
        self._db = self._env.open_db(None)
        with self._env.begin(write=True) as transaction:
            if transaction.get(_FORMAT) != _THIS_FORMAT:
                transaction.drop(self._db, delete=False)
            position = transaction.get(_POSITION)
        self.position = None if position is None else int(position)

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
                folder = parent / f"suppressions-{number}"
                folder.mkdir(exist_ok=True, mode=0o700)
                _check_private(folder, stat.S_IRWXG | stat.S_IRWXO)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                lock = os.open(folder / "in-use", flags, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                    number += 1
                    continue
                return cls._opened(folder, lock)
        except lmdb.MemoryError as error:
            raise ReplicaFolderError(
                parent,
                "this process may not use 64 GiB of address space; raise the limit (`ulimit -v unlimited`)",
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
            transaction.drop(self._db, delete=False)
        self.position = None

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
    ) -> None:
        """Add suppressions and move the position in one transaction.

        Args:
            added: Digest of the visitor, the visitor, and the record.
            position: The file is complete up to this position.
            source: The identity of the log.
            last: The mark of the last event applied; None without a new event.
        """
        with self._env.begin(write=True) as transaction:
            for digest, head, record in added:
                known = transaction.get(digest.bytes)
                value = add_record(known, head, record)
                if value != known:
                    transaction.put(digest.bytes, value)
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
                elif head != known:
                    transaction.put(digest, replace_head(value, head))

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


def _empty(folder: Path) -> None:
    for name in ("data.mdb", "lock.mdb"):
        (folder / name).unlink(missing_ok=True)


def _check_private(folder: Path, forbidden: int) -> None:
    """Check that this user owns a folder, and that others do not have the forbidden rights.

    Raises:
        ReplicaFolderError: The check fails.
    """
    found = folder.lstat() if folder.name.startswith("suppressions-") else folder.stat()
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
