"""The file with the key that signs checkpoints, which its owner alone may read; beside it the public key."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from offerlog_application.ports.sealed_tree import AuditKeyError
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.notes import SignatureType, VerifierKey
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.durable_folders import flush_folder
from offerlog_infrastructure.evidence.signing_keys import SigningKey

USUAL_NAME: Final = "audit.key"
"""The name of the file, beside the keyring."""

_ELSEWHERE: Final = "name another place with --key or OFFERLOG_AUDIT_KEY"


def public_file(path: Path) -> Path:
    """Return the file with the public key of a key file."""
    return path.with_name(f"{path.name}.pub")


def read_audit_key(path: Path) -> SigningKey | None:
    """Read the key that signs checkpoints; None if there is no file.

    Raises:
        AuditKeyError: The file cannot be read, others may read it, or it does not hold a key.
    """
    try:
        with path.open("rb") as file:
            others = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            text = file.read().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AuditKeyError(f"the audit key {path} cannot be read: {error.strerror}") from error
    if others:
        raise AuditKeyError(f"the audit key {path} may be used by others: run `chmod 600 '{path}'`")
    try:
        return SigningKey.parse(text)
    except NoteError:
        del text  # collectors of errors would send the key away
        raise AuditKeyError(
            f"the audit key {path} is damaged: it does not hold a key; put a copy of it there"
        ) from None


def make_audit_key(path: Path, origin: str, kind: SignatureType, data: Path | None) -> VerifierKey:
    """Make the key of a log in a new file, and write the public key beside it.

    Args:
        path: The file; it must not exist.
        origin: The unique name of the log.
        kind: The algorithm.
        data: The data folder of the embedded store, in which the key must not lie; None without one.

    Raises:
        AuditKeyError: The file is there already, cannot be made, or would lie in the data folder.
        NoteError: The log cannot have this name, or the algorithm is not built in.
    """
    path = path.expanduser().absolute()
    if data is not None and path.resolve().is_relative_to(data.expanduser().resolve()):
        raise AuditKeyError(
            f"the audit key {path} would be in the data folder {data}, so whoever can change the data could"
            f" sign for it: {_ELSEWHERE}"
        )
    made = SigningKey.generate(origin, kind)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, made.private_text() + "\n", 0o600)
        public_file(path).write_text(f"{made.key}\n")
    except FileExistsError:
        raise AuditKeyError(
            f"the audit key {path} is there already, and is never replaced: {_ELSEWHERE}"
        ) from None
    except OSError as error:
        raise AuditKeyError(
            f"the audit key {path} cannot be made: {error.strerror}{full_disk_hint(path.parent)};"
            f" {_ELSEWHERE}"
        ) from error
    return made.key


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file in one step, durably.

    Raises:
        FileExistsError: It is there.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)
