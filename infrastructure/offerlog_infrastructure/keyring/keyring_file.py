"""Reading and checking of the file of a keyring, its making, and changes of it as a whole.

A change writes a draft, makes it durable, and renames it. So a reader sees the file before the change or
after it, and a crash leaves one of the two.
"""

import base64
import fcntl
import json
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from offerlog_application.ports.keyring import KeyringError
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.durable_folders import flush_folder

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 8
_ABOUT: Final = (
    "Keys of offerlog's stores. Keep a copy in a safe place, apart from the backups of the stores."
    " Without this file nobody can read them."
)

_log = logging.getLogger(__name__)


class KeyringFileError(KeyringError):
    """The file of a keyring cannot be used.

    Attributes:
        path: The file.
        reason: The trouble with it, and what to do.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the keyring {path} {reason}")
        self.path = path
        self.reason = reason


class FileContent(NamedTuple):
    """Content of the file of a keyring.

    Attributes:
        current: The id of the current key.
        keys: Every key by its id, in the order of their making.
        made: The times of making, as far as they are known.
    """

    current: str
    keys: Mapping[str, bytes]
    made: Mapping[str, datetime]


def id_of(key: bytes) -> str:
    """Return the id of a key that encrypts keys."""
    return sha256(b"offerlog key " + key).hexdigest()[: 2 * _ID_BYTES]


def read_file(path: Path) -> FileContent | None:
    """Read and check the file; None if there is none.

    Raises:
        KeyringFileError: It cannot be read, others may read it, or it does not hold keys.
    """
    try:
        with path.open("rb") as file:
            others = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            text = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyringFileError(path, f"cannot be read: {error.strerror}") from error
    if others:
        raise KeyringFileError(path, f"may be used by others: run `chmod 600 '{path}'`")
    try:
        document = json.loads(text)
        keys = {str(name): base64.b64decode(key, validate=True) for name, key in document["keys"].items()}
        current = str(document["current"])
        times = document.get("made", {}).items()
        made = {str(name): datetime.fromisoformat(moment).astimezone(UTC) for name, moment in times}
    except (ValueError, TypeError, KeyError, AttributeError):
        # Without its cause, which holds the whole text: collectors of errors would send the keys away.
        del text
        raise KeyringFileError(path, "is damaged: it does not hold keys; put a copy of it there") from None
    if current not in keys or any(len(key) != _KEY_BYTES or id_of(key) != name for name, key in keys.items()):
        raise KeyringFileError(path, "is damaged: a key does not fit its id; put a copy of it there")
    return FileContent(current, keys, made)


def make_file(path: Path) -> None:
    """Make the file with one new key, unless another process makes it first.

    Raises:
        KeyringFileError: It cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _drafted(path, with_new_key(FileContent("", {}, {}))) as draft:
            os.link(draft, path)  # fails if the file is there: a file that is made never replaces another
        flush_folder(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise KeyringFileError(
            path,
            f"cannot be made: {error.strerror}{full_disk_hint(path.parent)}; name another place with"
            " --keyring or OFFERLOG_KEYRING",
        ) from error
    _log.warning(
        "made the keyring %s: keep a copy of it, apart from the copies of the data; without it nobody can"
        " read the store any more",
        path,
    )


def change_file(path: Path, edit: Callable[[FileContent], FileContent]) -> FileContent:
    """Replace the file by an edited one, and return what it holds then; durable on return.

    One process at a time changes a file. Owner and mode stay as they are.

    Raises:
        KeyringFileError: The file is not there, or cannot be changed.
    """
    try:
        target = path.resolve(strict=True)  # a link to the file stays a link
        with _locked(target) as owner:
            edited = edit(read_file(target) or FileContent("", {}, {}))
            with _drafted(target, edited, owner) as draft:
                draft.replace(target)
            flush_folder(target.parent)
            return edited
    except FileNotFoundError:
        raise KeyringFileError(path, "is not there: put its copy there") from None
    except OSError as error:
        raise KeyringFileError(
            path,
            f"cannot be changed: {error.strerror}{full_disk_hint(path.parent)}; make the file and its folder"
            " writable for this user",
        ) from error


def with_new_key(content: FileContent) -> FileContent:
    """Return the content with one more key, which is the current one."""
    key = secrets.token_bytes(_KEY_BYTES)
    kek_id = id_of(key)
    made = {**content.made, kek_id: datetime.now(UTC).replace(microsecond=0)}
    return FileContent(kek_id, {**content.keys, kek_id: key}, made)


def without_key(content: FileContent, kek_id: str) -> FileContent:
    """Return the content without a key."""
    keys = {name: key for name, key in content.keys.items() if name != kek_id}
    return FileContent(
        content.current, keys, {name: moment for name, moment in content.made.items() if name in keys}
    )


@contextmanager
def _locked(path: Path) -> Iterator[os.stat_result]:
    """Lock the file against other changes; yields its state. A file that was replaced is locked anew."""
    while True:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            state = os.fstat(descriptor)
            if state.st_ino == path.stat().st_ino:
                yield state
                return
        finally:
            os.close(descriptor)


@contextmanager
def _drafted(path: Path, content: FileContent, owner: os.stat_result | None = None) -> Iterator[Path]:
    """Write a draft beside the file, durable, which goes at the end unless it was renamed."""
    document: dict[str, Any] = {
        "about": _ABOUT,
        "current": content.current,
        "keys": {name: base64.b64encode(key).decode() for name, key in content.keys.items()},
        "made": {name: moment.isoformat() for name, moment in content.made.items()},
    }
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
