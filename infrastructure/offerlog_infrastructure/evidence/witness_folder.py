"""The folder of a witness: its key, and the last checkpoint of each log that it has cosigned.

| file | content |
|---|---|
| `lock` | held by the process of the witness |
| `witness.key` | the private key; its owner alone may read it |
| `witness.vkey` | the public key, for everybody |
| `logs/HASH` | the last cosigned checkpoint of a log, by the SHA-256 of the log's name |
| `refused/HASH` | requests with another root than the cosigned one of the same size: the log signed both |
"""

import fcntl
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from offerlog_application.ports.signing import SignatureCheck
from offerlog_domain.errors import OfferlogError
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError, SignatureError
from offerlog_domain.transparency.notes import SignatureType
from offerlog_domain.transparency.witness_requests import AddCheckpoint
from offerlog_infrastructure.durable_folders import flush_folder
from offerlog_infrastructure.evidence.signing_keys import SigningKey, check_signature

_PRIVATE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_MOST_REFUSED: Final = 1_000
"""Most refused requests that are kept: one is evidence enough."""


class WitnessFolderError(OfferlogError):
    """The folder of a witness cannot be used."""


class WitnessFolder:
    """The application's `WitnessMemory` in a folder, which one process uses at a time.

    Args:
        folder: The folder; it is made if it is missing.
        name: The name of a witness that is made now. It cannot be changed afterwards.
        check: Checks the signatures of what the folder holds.

    Attributes:
        key: The key of the witness, made at the first start.

    Raises:
        WitnessFolderError: Another process uses the folder, it holds another witness, or a file is damaged.
        OSError: It cannot be read or written.
    """

    def __init__(self, folder: Path, name: str | None, check: SignatureCheck = check_signature) -> None:
        self._folder = folder
        for one in (folder, folder / "logs", folder / "refused"):
            one.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_MODE)
        try:
            self._take_lock()
            self.key = self._open_key(name)
            self._latest = {one.checkpoint.origin: one for one in self._read_logs(check)}
        except BaseException:
            os.close(self._lock)
            raise

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WitnessFolderError(
                f"another witness is at work in {self._folder}: end that one first"
            ) from None

    def _open_key(self, name: str | None) -> SigningKey:
        place = self._folder / "witness.key"
        try:
            key = SigningKey.parse(place.read_text("utf-8"))
        except FileNotFoundError:
            if any((self._folder / "logs").iterdir()):
                raise WitnessFolderError(f"{place} is missing: put it back from a copy") from None
            if name is None:
                raise WitnessFolderError(
                    f"{self._folder} holds no witness yet: give --name for a new one"
                ) from None
            try:
                key = SigningKey.generate(name, SignatureType.COSIGNATURE_V1)
            except NoteError as error:
                raise WitnessFolderError(f"--name: {error}") from None
            _replace(place, key.private_text() + "\n")
        except NoteError as error:
            raise WitnessFolderError(f"{place}: {error}") from None
        if name not in {None, key.key.name}:
            raise WitnessFolderError(f"{self._folder} holds the witness {key.key.name}, not {name}")
        _replace(self._folder / "witness.vkey", f"{key.key}\n")
        return key

    def _read_logs(self, check: SignatureCheck) -> list[SignedCheckpoint]:
        """Read every checkpoint; one that this witness has not cosigned is damaged."""
        found = []
        for place in sorted((self._folder / "logs").glob("[!.]*")):  # a crash may leave a new file with a dot
            try:
                signed = SignedCheckpoint.parse(place.read_text("utf-8"))
                is_own = check(signed, self.key.key) is not None
                is_own = is_own and place.name == _name(signed.checkpoint.origin)
            except (NoteError, SignatureError, UnicodeDecodeError):
                is_own = False
            if not is_own:
                raise WitnessFolderError(
                    f"{place} is not a checkpoint that this witness has cosigned: put back the last copy, or"
                    " retire this witness; without its memory it could cosign a second history"
                )
            found.append(signed)
        return found

    def latest(self, origin: str) -> SignedCheckpoint | None:
        """Return the last checkpoint of a log that was cosigned; None if there is none."""
        return self._latest.get(origin)

    def keep(self, signed: SignedCheckpoint) -> None:
        """Replace the last checkpoint of a log, on the disk first."""
        origin = signed.checkpoint.origin
        _replace(self._folder / "logs" / _name(origin), str(signed))
        self._latest[origin] = signed

    def keep_refused(self, request: AddCheckpoint) -> None:
        """Keep a request, once for each checkpoint, at most `_MOST_REFUSED`.

        A full disk does not change the answer.
        """
        place = self._folder / "refused" / _name(request.signed.note.text)
        with suppress(OSError):
            if not place.exists() and sum(1 for _ in place.parent.iterdir()) < _MOST_REFUSED:
                _replace(place, str(request))

    def close(self) -> None:
        """Release the folder."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _name(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _replace(place: Path, text: str) -> None:
    """Write a file so that it is there as a whole, and on the disk, or as it was before."""
    new = place.with_name(f".{place.name}.new")
    with open(new, "w", encoding="utf-8", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(place)
    flush_folder(place.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _PRIVATE_MODE)
