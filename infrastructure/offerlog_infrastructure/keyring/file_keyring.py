"""A keyring in one file, which its owner alone may read.

The file is JSON: the id of the current key, and every key by its id, in base64. The id of a key is a part of
its hash, so a key cannot stand under the id of another one. Keys are wrapped with AES-256 (RFC 3394).
"""

import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from offerlog_application.ports.keyring import WrappedKey
from offerlog_infrastructure.keyring.keyring_file import (
    FileContent,
    KeyringFileError,
    change_file,
    make_file,
    read_file,
    with_new_key,
    without_key,
)

_log = logging.getLogger(__name__)


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


_NOTHING = FileContent("", {}, {})


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
        self._content = read_file(self.path) or _NOTHING

    @property
    def kek_id(self) -> str:
        """The id of the current key; the file is made at first use.

        Raises:
            KeyringFileError: The file cannot be made.
        """
        if not self._content.keys:
            make_file(self.path)
            self.refresh()
        if not self._content.keys:
            raise KeyringFileError(self.path, "was removed while it was made: start again")
        return self._content.current

    def refresh(self) -> None:
        """Read the file again, if it is there: another process may have made a new key.

        Raises:
            KeyringFileError: It cannot be read, or does not hold keys.
        """
        self._content = read_file(self.path) or self._content

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
        return WrappedKey(kek_id, aes_key_wrap(self._content.keys[kek_id], key))

    def unwrap(self, kek_id: str, data: bytes) -> bytes:
        """Decrypt a key.

        Raises:
            KeyMissingError: The file does not hold the key that encrypted it.
            KeyringFileError: The encrypted key was changed.
        """
        key = self._content.keys.get(kek_id) or self._find(kek_id)
        try:
            return aes_key_unwrap(key, data)
        except InvalidUnwrap:
            raise KeyringFileError(
                self.path,
                f"cannot decrypt a key of this store: it was changed, or not encrypted with {kek_id}."
                " Restore the table that holds it from a backup",
            ) from None

    def made_at(self) -> Mapping[str, datetime | None]:
        """Return the ids of all keys in the order of their making; a key of an older file has no time."""
        return {kek_id: self._content.made.get(kek_id) for kek_id in self._content.keys}

    def add_key(self) -> str:
        """Add a new key to the file, which is the current one from then on; returns its id.

        Raises:
            KeyringFileError: The file cannot be changed.
        """
        self._content = change_file(self.path, with_new_key)
        _log.warning(
            "added the key %s to the keyring %s: replace the copies of the file now; without it nobody can"
            " read what is recorded from here on",
            self._content.current,
            self.path,
        )
        return self._content.current

    def remove_key(self, kek_id: str) -> None:
        """Remove a key from the file for good.

        Raises:
            KeyMissingError: The file does not hold it.
            KeyringFileError: The file cannot be changed, or the key is the current one.
        """

        def remove(content: FileContent) -> FileContent:
            if kek_id not in content.keys:
                raise KeyMissingError(self.path, kek_id, is_there=True)
            if kek_id == content.current:
                raise KeyringFileError(self.path, f"has {kek_id} as its current key, which cannot be removed")
            return without_key(content, kek_id)

        self._content = change_file(self.path, remove)

    def _find(self, kek_id: str) -> bytes:
        """Return the key of that id; another process may have put it into the file since it was read."""
        if kek_id not in self._content.keys:
            self.refresh()
        if kek_id not in self._content.keys:
            raise KeyMissingError(self.path, kek_id, is_there=bool(self._content.keys))
        return self._content.keys[kek_id]
