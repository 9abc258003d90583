"""The file of a backup: a ZIP file with the dump and a manifest that describes it.

::

    store.dump      the dump in PostgreSQL's custom format, which pg_restore reads
    manifest.json   what is in it, and the SHA-256 of the dump

The keyring is not in it.
"""

import errno
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from offerlog_infrastructure.backups.errors import BackupFileError, written
from offerlog_infrastructure.durable_folders import flush_folder

FORMAT: Final = "offerlog-backup-1"
"""The name of the format, in the manifest."""

MANIFEST: Final = "manifest.json"
DUMP: Final = "store.dump"

PIECE: Final = 1 << 20
"""Bytes that are read or written at once."""

_COMPRESSION: Final = 1
"""Most of a dump is encrypted: to compress harder costs time and saves nothing."""

_LARGEST_MANIFEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a backup.

    Attributes:
        id: Random id of the backup.
        made_at: Time of its snapshot (RFC 3339).
        offerlog: Version of offerlog.
        postgres: Version of the PostgreSQL server.
        migration: Number of the last migration of the tables.
        position: Position of the last event; 0 if there is none.
        tree_size: Number of events in the Merkle tree.
        checkpoint: The last signed checkpoint in the store; None if there is none.
        keys: Ids of the keys of the keyring that the store needs.
        archive: The place of the store's archive, which is not in the backup; None without one.
        archived_files: The number of files of that archive that the store needs. The dump names them all.
        dump_bytes: Size of the dump.
        dump_sha256: SHA-256 of the dump, hexadecimal.
        shard: The number of the server in the backup of several, of which the file is a part; None for a
            store that is the only one.
    """

    id: str
    made_at: str
    offerlog: str
    postgres: str
    migration: int
    position: int
    tree_size: int
    checkpoint: str | None
    keys: tuple[str, ...]
    archive: str | None = None
    archived_files: int = 0
    dump_bytes: int = 0
    dump_sha256: str = ""
    shard: int | None = None


class BackupWriter:
    """A backup that is being written, under a temporary name beside its own.

    It is a context manager. If the block ends before `finish`, nothing of the backup stays.

    Args:
        place: The file.
        replace: True to replace a file that is there.

    Raises:
        BackupFileError: It is there already, or cannot be written.
    """

    def __init__(self, place: Path, *, replace: bool) -> None:
        self._place = place.absolute()
        self._replace = replace
        self._draft = self._place.with_name(f".{place.name}.{secrets.token_hex(8)}")
        self._digest, self._bytes = hashlib.sha256(), 0
        if not replace and os.path.lexists(self._place):
            raise self._exists()
        with written(self._place):
            if self._place.is_dir():
                raise BackupFileError(place, "is a folder: name a file")
            descriptor = os.open(self._draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "w+b")
        self._archive = zipfile.ZipFile(
            self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION, strict_timestamps=False
        )

    def write_dump(self, dump: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        """Write the dump.

        Args:
            dump: The dump, read to its end.
            on_bytes: Called with the number of bytes so far.

        Raises:
            BackupFileError: The file cannot be written.
        """
        with written(self._place), self._archive.open(DUMP, "w", force_zip64=True) as entry:
            while piece := dump.read(PIECE):
                entry.write(piece)
                self._digest.update(piece)
                self._bytes += len(piece)
                on_bytes(self._bytes)

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest, and give the file its name; returns the SHA-256 of the file.

        Raises:
            BackupFileError: The file cannot be written, or there is one of this name by now.
        """
        fields = asdict(manifest) | {"dump_bytes": self._bytes, "dump_sha256": self._digest.hexdigest()}
        with written(self._place):
            self._archive.writestr(MANIFEST, json.dumps({"format": FORMAT, **fields}, indent=1) + "\n")
            self._archive.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.seek(0)
            digest = hashlib.file_digest(self._file, "sha256").hexdigest()
            if self._replace:
                self._draft.replace(self._place)
            else:
                try:
                    os.link(self._draft, self._place)
                except FileExistsError:
                    raise self._exists() from None
            flush_folder(self._place.parent)
        return digest

    def _exists(self) -> BackupFileError:
        return BackupFileError(
            self._place, "is there already, and a backup never replaces another without --force"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._draft.unlink(missing_ok=True)
        with suppress(OSError, ValueError):  # it may be broken off in the middle
            self._archive.close()
        self._file.close()


class BackupReader:
    """A backup that is read. It is a context manager.

    Args:
        path: The file.

    Attributes:
        manifest: What it holds.

    Raises:
        BackupFileError: It cannot be read, or is not a backup.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._read():
            self._archive = zipfile.ZipFile(path)
        try:
            with self._read():
                if self._archive.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
                    raise ValueError("its manifest is too large")  # noqa: TRY301 - one error for all that is wrong
                self.manifest = _parse_manifest(self._archive.read(MANIFEST))
        except BaseException:
            self._archive.close()
            raise

    def check(self, on_bytes: Callable[[int], None]) -> None:
        """Read all of the dump, and compare it with the manifest.

        Raises:
            BackupFileError: It was changed, or is not whole.
        """
        digest, size = hashlib.sha256(), 0
        with self._read(), self._archive.open(DUMP) as dump:
            while piece := dump.read(PIECE):
                digest.update(piece)
                size += len(piece)
                on_bytes(size)
        if (size, digest.hexdigest()) != (self.manifest.dump_bytes, self.manifest.dump_sha256):
            raise BackupFileError(
                self._path,
                "was changed: its dump is not the one that its manifest describes; take another copy",
            )

    @contextmanager
    def dump(self) -> Iterator[IO[bytes]]:
        """Read the dump during a block.

        Raises:
            BackupFileError: It cannot be read, or is not whole.
        """
        with self._read(), self._archive.open(DUMP) as dump:
            yield dump

    @contextmanager
    def _read(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, NotImplementedError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if error.errno == errno.EINVAL:  # a place before the beginning: the file has lost its head
                raise self._damaged(error) from error
            raise BackupFileError(self._path, f"cannot be read: {error.strerror or error}") from error

    def _damaged(self, error: Exception) -> BackupFileError:
        words = str(error) or type(error).__name__
        return BackupFileError(
            self._path, f"is not whole, was changed, or is not a backup: {words}; take another copy"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()


def _parse_manifest(text: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: It is not one, or has another format.
    """
    fields: Any = json.loads(text)
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    try:
        return Manifest(**{**fields, "keys": tuple(map(str, fields["keys"]))})
    except TypeError as error:
        raise ValueError(f"its manifest is damaged: {error}") from error
