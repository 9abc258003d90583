"""The list of erasures beside the checkpoints: the visitors whom no restored backup may bring back.

One JSON object a line. The first line says since when the list is kept, each other one is an erased visitor:
former token, organization, time. Nothing in it identifies anybody, and nothing is ever removed. A process
that is killed while it writes leaves an incomplete last line, which nobody has relied on.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from offerlog_application.ports.erasure import Tombstone
from offerlog_application.ports.sealed_tree import CheckpointFolderError
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.durable_folders import flush_folder

ERASURE_FILE: Final = "erasures"
"""The name of the file."""

_FORMAT: Final = "offerlog-erasures-1"


class ListedErasures(NamedTuple):
    """The content of a list.

    Attributes:
        kept_since: Erasures before this time may be missing.
        erased: The erased visitors, in the order in which they were added.
    """

    kept_since: datetime
    erased: Sequence[Tombstone]


class ErasureFile:
    """The application's `ErasureList` in a file of the folder of checkpoints; thread-safe.

    Args:
        folder: The folder; it is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.expanduser().absolute() / ERASURE_FILE

    def begin(self) -> None:
        """Make the list if there is none: it is kept from now on.

        Raises:
            CheckpointFolderError: It cannot be written or read.
        """
        self.add(())

    def add(self, erased: Sequence[Tombstone]) -> None:
        """Add the erasures that the list does not have yet, durably; make it if there is none.

        Raises:
            CheckpointFolderError: It cannot be written or read.
        """
        with self._used():
            is_new = not self._path.exists()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._append(file, erased)
            if is_new:
                flush_folder(self._path.parent)

    def read(self) -> ListedErasures | None:
        """Return the content; None if there is no list.

        Raises:
            CheckpointFolderError: It cannot be read, or is damaged.
        """
        with self._used():
            try:
                text = self._path.read_bytes()
            except FileNotFoundError:
                return None
        return self._parse(text)

    def _append(self, file: IO[bytes], erased: Sequence[Tombstone]) -> None:
        text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        listed = self._parse(whole)
        known = set() if listed is None else {_key_of(one) for one in listed.erased}
        new = {_key_of(one): one for one in erased if _key_of(one) not in known}
        lines = (
            [] if listed is not None else [{"format": _FORMAT, "kept_since": datetime.now(UTC).isoformat()}]
        )
        lines += [_describe_tombstone(one) for one in new.values()]
        if not lines:
            return
        file.truncate(len(whole))
        file.seek(len(whole))
        file.write(b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())

    def _parse(self, text: bytes) -> ListedErasures | None:
        """Read complete lines. Without any, the list was about to be made, and there is none."""
        lines = text[: text.rfind(b"\n") + 1].splitlines()
        if not lines:
            return None
        number = 0
        try:
            for number, line in enumerate(lines, start=1):
                fields = json.loads(line)
                if number == 1:
                    if fields["format"] != _FORMAT:
                        raise ValueError(fields["format"])  # noqa: TRY301 - one error for all that is wrong
                    kept_since, erased = datetime.fromisoformat(fields["kept_since"]), []
                else:
                    erased.append(_read_tombstone(fields))
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointFolderError(
                f"the list of erasures {self._path} is damaged in line {number}: mend it from a copy, because"
                " a restored backup would bring back whoever is missing in it"
            ) from error
        return ListedErasures(kept_since, erased)

    @contextmanager
    def _used(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointFolderError(
                f"the list of erasures {self._path} cannot be used: {error.strerror}"
                f"{full_disk_hint(self._path.parent)}; make the folder writable, or name another one with"
                " OFFERLOG_CHECKPOINTS"
            ) from error


def _key_of(one: Tombstone) -> object:
    """Return by what an erasure is known: one token is erased once, or once more after a restore."""
    return (one.organization, one.erased_at) if one.token is None else one.token


def _describe_tombstone(one: Tombstone) -> dict[str, Any]:
    return {
        "token": None if one.token is None else str(one.token),  # JavaScript has no integers of 64 bits
        "organization": one.organization,
        "erased_at": one.erased_at.astimezone(UTC).isoformat(),
    }


def _read_tombstone(fields: dict[str, Any]) -> Tombstone:
    token = fields["token"]
    return Tombstone(
        None if token is None else int(token),
        str(fields["organization"]),
        datetime.fromisoformat(fields["erased_at"]).astimezone(UTC),
    )
