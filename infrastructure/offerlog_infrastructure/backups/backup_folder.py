"""The folder of a backup of several servers: a backup file of each, and their list, which is written last.

::

    servers.json                  the servers with their slices and files, and the SHA-256 of each file
    shard-0-1f0c93aa.offerlog     the part of the home, a backup file like that of a single store
    shard-1-1f0c93aa.offerlog     the part of shard 1

The parts have the first digits of the backup's id in their names. So a new backup may be made in the folder
of an older one: the list is replaced in one step, and then the older parts are removed.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from offerlog_infrastructure.backups.errors import BackupFileError, written
from offerlog_infrastructure.durable_folders import flush_folder

SERVERS_FORMAT: Final = "offerlog-servers-1"
"""The name of the format, in the list."""

SERVERS: Final = "servers.json"
"""The name of the list."""

_PARTS: Final = "shard-*.offerlog"
_DRAFTS: Final = (".shard-*", f".{SERVERS}.*")


@dataclass(frozen=True, slots=True)
class BackupPart:
    """A server in a backup of several.

    Attributes:
        shard: Its number; 0 for the home.
        file: The name of its backup file in the folder.
        sha256: SHA-256 of the file, hexadecimal.
        bytes: Size of the file.
        slices: The slices that it had, as `format_slices` writes them.
        position: Position of its last event; 0 if there is none.
        tree_size: Number of events in its Merkle tree.
    """

    shard: int
    file: str
    sha256: str
    bytes: int
    slices: str
    position: int
    tree_size: int


@dataclass(frozen=True, slots=True)
class BackupList:
    """The list of a backup of several servers.

    Attributes:
        id: Random id of the backup, which its parts have, too.
        made_at: Time of the first snapshot (RFC 3339).
        offerlog: Version of offerlog.
        servers: The servers, the home first.
    """

    id: str
    made_at: str
    offerlog: str
    servers: Sequence[BackupPart]


class BackupFolder:
    """The folder of a backup of several servers.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    def is_one(self) -> bool:
        """Return True if a whole backup is there."""
        return (self.path / SERVERS).is_file()

    @contextmanager
    def filled(self, *, replace: bool) -> Iterator[None]:
        """Fill the folder during a block. It is made if it is missing, for its owner alone.

        If the block ends with an error, and nothing is in the folder that was made, it is removed again.

        Args:
            replace: True if it may hold a backup already, which is to be replaced.

        Raises:
            BackupFileError: It may not, or cannot be made, or another backup is being made in it.
        """
        with written(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise BackupFileError(
                    self.path, "is a file, and the backup of several servers is a folder: give another name"
                )
            missing = [one for one in (self.path, *self.path.parents) if not one.exists()]
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BackupFileError(self.path, "is being made by another process") from error
            self._check_free(replace=replace)
            yield
        except BaseException:
            with suppress(OSError):  # one that is not empty stays, and so do those around it
                for one in missing:
                    one.rmdir()
            raise
        finally:
            os.close(descriptor)

    def _check_free(self, *, replace: bool) -> None:
        if self.is_one() and not replace:
            raise BackupFileError(
                self.path, "is there already, and a backup never replaces another without --force"
            )
        with written(self.path):
            others = {one.name for one in self.path.iterdir()} - {one.name for one in self._own_files()}
        if others:
            raise BackupFileError(
                self.path,
                f"is a folder with other files, such as {min(others)}: give an empty or a new folder",
            )

    def place_of(self, backup: str, shard: int) -> Path:
        """Return the place of the part of a server in a backup with this id."""
        return self.path / f"shard-{shard}-{backup[:8]}.offerlog"

    def finish(self, made: BackupList) -> str:
        """Write the list, which makes the backup whole; returns its SHA-256. Then remove all older parts.

        Raises:
            BackupFileError: It cannot be written.
        """
        text = (json.dumps({"format": SERVERS_FORMAT, **asdict(made)}, indent=1) + "\n").encode()
        draft = self.path / f".{SERVERS}.{secrets.token_hex(8)}"
        with written(self.path):
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path / SERVERS)
            flush_folder(self.path)
            kept = {SERVERS, *(one.file for one in made.servers)}
            for one in self._own_files():
                if one.name not in kept:
                    one.unlink(missing_ok=True)
        return hashlib.sha256(text).hexdigest()

    def read(self) -> BackupList:
        """Read the list.

        Raises:
            BackupFileError: There is none, or it cannot be read.
        """
        try:
            text = (self.path / SERVERS).read_bytes()
        except FileNotFoundError as error:
            raise BackupFileError(
                self.path,
                f"has no {SERVERS}: it is not the folder of a backup, or its backup was interrupted. Give"
                " another folder, or make the backup again",
            ) from error
        except OSError as error:
            raise BackupFileError(self.path, f"cannot be read: {error.strerror or error}") from error
        try:
            return _parse_list(text)
        except (ValueError, KeyError, TypeError) as error:
            raise BackupFileError(
                self.path, f"was changed: its {SERVERS} cannot be read ({error}); take another copy"
            ) from error

    def check(self, part: BackupPart, on_bytes: Callable[[int], None]) -> Path:
        """Read all of a part, and compare it with the list; returns its place.

        Raises:
            BackupFileError: It is missing, or was changed.
        """
        place, size, digest = self.path / part.file, 0, hashlib.sha256()
        try:
            with place.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
                    size += len(piece)
                    on_bytes(size)
        except OSError as error:
            raise BackupFileError(place, f"cannot be read: {error.strerror or error}") from error
        if digest.hexdigest() != part.sha256:
            raise BackupFileError(place, f"is not the file that {SERVERS} describes; take another copy")
        return place

    def _own_files(self) -> Iterator[Path]:
        """List what backups have left here, whole or not."""
        for pattern in (SERVERS, _PARTS, *_DRAFTS):
            yield from self.path.glob(pattern)


def _parse_list(text: bytes) -> BackupList:
    """Read a list.

    Raises:
        ValueError: It is not one, or has another format.
        KeyError, TypeError: A field is missing, or there is an unknown one.
    """
    fields: Any = json.loads(text)
    if not isinstance(fields, dict) or fields.pop("format", None) != SERVERS_FORMAT:
        raise ValueError(f"its format is not {SERVERS_FORMAT}")
    servers = [BackupPart(**one) for one in fields.pop("servers")]
    if [one.shard for one in servers] != sorted({0, *(one.shard for one in servers)}):
        raise ValueError("its servers are not in order")
    if any(Path(one.file).name != one.file for one in servers):
        raise ValueError("a file of it is not in the folder")
    return BackupList(**fields, servers=servers)
