"""A keyring in one file, which its owner alone may read.

The file is JSON: the id of the current key, and every key by its id, in base64. The id of a key is a part of
its hash, so a key cannot stand under the id of another one. Keys are wrapped with AES-256 (RFC 3394).
"""

import base64
import json
import logging
import os
import secrets
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from offerlog_application.ports.keyring import KeyringError, WrappedKey
from offerlog_infrastructure.disk_space import full_disk_hint

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


class KeyMissingError(KeyringFileError):
    """A store was made with a key that this keyring does not hold.

    Attributes:
        kek_id: The id of that key.
    """

    def __init__(self, path: Path, kek_id: str, *, is_there: bool) -> None:
        found = "does not hold" if is_there else "is not there, so it does not hold"
        super().__init__(
            path,
            f"{found} the key {kek_id} of this store: put the file that was made with the store there, or"
            " name its place with --keyring or OFFERLOG_KEYRING",
        )
        self.kek_id = kek_id


def default_keyring() -> Path:
    """Return the place of the keyring unless one is named: /etc/offerlog for root, else the platform's."""
    if os.geteuid() == 0:
        return Path("/etc/offerlog/keyring.json")
    import platformdirs  # noqa: PLC0415 - only a service without a named keyring needs it

    return platformdirs.user_config_path("offerlog", appauthor=False) / "keyring.json"


class FileKeyring:
    """The application's `Keyring` in a file.

    Args:
        path: The file; None for the usual place. It need not exist yet.

    Attributes:
        path: The file, absolute.

    Raises:
        KeyringFileError: The file cannot be read, others may read it, or it does not hold keys.
    """

    def __init__(self, path: Path | None = None) -> None:
        path = default_keyring() if path is None else path
        try:
            self.path = path.expanduser().absolute()
        except RuntimeError as error:  # there is no home folder
            raise KeyringFileError(path, f"cannot be found: {error}; set OFFERLOG_KEYRING") from None
        self._kek_id, self._keys = _read(self.path) or ("", {})

    @property
    def kek_id(self) -> str:
        """The id of the current key; the file is made at first use.

        Raises:
            KeyringFileError: The file cannot be made.
        """
        if not self._keys:
            _make(self.path)
            self._read_again()
        if not self._keys:
            raise KeyringFileError(self.path, "was removed while it was made: start again")
        return self._kek_id

    def check_holds(self, kek_id: str) -> None:
        """Check that the file holds the key of that id.

        Raises:
            KeyMissingError: It does not.
            KeyringFileError: The file cannot be read.
        """
        self._find(kek_id)

    def check_outside(self, folder: Path) -> None:
        """Check that the file is not in the data folder: every copy of the data would hold the keys.

        Raises:
            KeyringFileError: It is.
        """
        try:
            is_inside = self.path.resolve().is_relative_to(folder.expanduser().resolve())
        except (OSError, RuntimeError):  # the folder cannot be used, and its own checks say so
            return
        if is_inside:
            raise KeyringFileError(
                self.path,
                f"is in the data folder {folder}, so every copy of the data would hold the keys too: name"
                " another place with --keyring or OFFERLOG_KEYRING",
            )

    def wrap(self, key: bytes) -> WrappedKey:
        """Encrypt a key with the current key.

        Args:
            key: 16 bytes or more, a multiple of 8.

        Raises:
            KeyringFileError: The file cannot be made.
        """
        kek_id = self.kek_id
        return WrappedKey(kek_id, aes_key_wrap(self._keys[kek_id], key))

    def unwrap(self, kek_id: str, data: bytes) -> bytes:
        """Decrypt a key.

        Raises:
            KeyMissingError: The file does not hold the key that encrypted it.
            KeyringFileError: The encrypted key was changed.
        """
        key = self._keys.get(kek_id) or self._find(kek_id)
        try:
            return aes_key_unwrap(key, data)
        except InvalidUnwrap:
            raise KeyringFileError(
                self.path,
                f"cannot decrypt a key of this store: it was changed, or not encrypted with {kek_id}."
                " Restore the table that holds it from a backup",
            ) from None

    def _find(self, kek_id: str) -> bytes:
        """Return the key of that id; another process may have put it into the file since it was read."""
        if kek_id not in self._keys:
            self._read_again()
        if kek_id not in self._keys:
            raise KeyMissingError(self.path, kek_id, is_there=bool(self._keys))
        return self._keys[kek_id]

    def _read_again(self) -> None:
        found = _read(self.path)
        if found is not None:
            self._kek_id, self._keys = found


def id_of(key: bytes) -> str:
    """Return the id of a key that encrypts keys."""
    return sha256(b"offerlog key " + key).hexdigest()[: 2 * _ID_BYTES]


def _read(path: Path) -> tuple[str, Mapping[str, bytes]] | None:
    """Read the id of the current key and all keys; None if there is no file."""
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
    except (ValueError, TypeError, KeyError, AttributeError):
        # Without its cause, which holds the whole text: collectors of errors would send the keys away.
        del text
        raise KeyringFileError(path, "is damaged: it does not hold keys; put a copy of it there") from None
    if current not in keys or any(len(key) != _KEY_BYTES or id_of(key) != name for name, key in keys.items()):
        raise KeyringFileError(path, "is damaged: a key does not fit its id; put a copy of it there")
    return current, keys


def _make(path: Path) -> None:
    """Make the file with one new key, unless another process makes it first."""
    key = secrets.token_bytes(_KEY_BYTES)
    kek_id = id_of(key)
    document = {"about": _ABOUT, "current": kek_id, "keys": {kek_id: base64.b64encode(key).decode()}}
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # fails if the file is there: a keyring is never replaced
        finally:
            draft.unlink(missing_ok=True)
        _flush_folder(path.parent)
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


def _flush_folder(folder: Path) -> None:
    """Make the entry of a new file durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
