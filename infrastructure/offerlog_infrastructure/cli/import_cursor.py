"""The cursor file of an import: a line for each page that is recorded, so that a second run leaves it out."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from offerlog_domain.errors import OfferlogError


class ImportCursorError(OfferlogError):
    """A cursor file belongs to something else, or is no cursor file."""


class ImportCursor:
    """The pages that are recorded.

    Args:
        path: The file, for errors.
        file: The file, open for reading and appending.
        organization: The organization that the pages are recorded for.
        position: The last position of the log. A file that speaks of a later one belongs to another store.

    Raises:
        ImportCursorError: The file belongs to another organization or store, or is no cursor file.
    """

    def __init__(self, path: Path, file: BinaryIO, organization: str, position: int) -> None:
        self._file, self._organization = file, organization
        self._recorded: set[str] = set()
        file.seek(0)
        data = file.read()
        lines = data.split(b"\n")
        if lines[-1]:  # cut off by a crash: its page is recorded again, which changes nothing
            file.truncate(len(data) - len(lines[-1]))
        for number, line in enumerate(filter(None, lines[:-1]), 1):
            self._recorded.add(_read_line(path, number, line, organization, position))

    def has(self, digest: str) -> bool:
        """Return True if a page is recorded."""
        return digest in self._recorded

    def add(self, digest: str, place: str, position: int | None, behind: str | None) -> None:
        """Note that a page is recorded, durably.

        Args:
            digest: The digest of its text.
            place: The file, and the number of the page in it.
            position: The position in the log that shows it.
            behind: The vendor's cursor to what follows.

        Raises:
            OSError: The file cannot be written.
        """
        entry = {
            "page": digest,
            "place": place,
            "organization": self._organization,
            "position": position,
            "after": behind,
        }
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._recorded.add(digest)


@contextmanager
def open_cursor(path: Path | None, organization: str, position: int) -> Iterator[ImportCursor | None]:
    """Open a cursor file, and make it if it does not exist; yields None without one.

    Raises:
        ImportCursorError: It belongs to something else.
        OSError: It cannot be read or written.
    """
    if path is None:
        yield None
        return
    with path.open("a+b") as file:
        yield ImportCursor(path, file, organization, position)


def _read_line(path: Path, number: int, line: bytes, organization: str, position: int) -> str:
    try:
        entry: Any = json.loads(line)
        digest, owner, reached = entry["page"], entry["organization"], entry["position"] or 0
    except (ValueError, TypeError, LookupError):
        raise ImportCursorError(
            f"{path}, line {number}: this is not a cursor file of an import; give --cursor another name"
        ) from None
    if owner != organization:
        raise ImportCursorError(f"{path} is the cursor of organization {owner}, not of {organization}")
    if not isinstance(digest, str) or not isinstance(reached, int) or reached > position:
        raise ImportCursorError(
            f"{path}, line {number}: position {reached} is behind the end of this log, at {position}: the"
            " cursor belongs to another store. Give --cursor another name to record all pages"
        )
    return digest
