"""The recognition of files that are not NDJSON, from their first bytes and lines.

Each line of a file of signals is a JSON object. If one of the first lines is, bad lines are refused one by
one. If none is, the whole file has another format: recording it would fill the refusal log with its lines.
"""

import json
import re
import shlex
from collections.abc import Callable
from typing import Final

from offerlog_domain.errors import OfferlogError
from offerlog_domain.signals import MAX_LINE_BYTES

HEAD_BYTES: Final = MAX_LINE_BYTES
"""The most bytes of a file that are examined."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which is skipped at the start of a file."""

_ZIP: Final = b"PK\x03\x04"
_ZIP_NAME: Final = 30
"""Place of the name of the first file in a zip archive."""

_OFFICE_PARTS: Final = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/")
"""Names with which a file of Excel or another Office program begins (ECMA-376, part 2)."""

_UNPACK: Final = {
    b"\xfd7zXZ\0": ("packed with xz", "xz -dc {file} | offerlog record -"),
    _ZIP: ("a zip archive", "unzip -p {file} | offerlog record -"),
    b"PK\x05\x06": ("an empty zip archive", "give the files that should be in it"),
    b"BZh": ("packed with bzip2", "bzip2 -dc {file} | offerlog record -"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "zstd -dc {file} | offerlog record -"),
    b"\x04\x22\x4d\x18": ("packed with lz4", "lz4 -dc {file} | offerlog record -"),
    b"\x1f\x9d": ("packed with compress", "gzip -dc {file} | offerlog record -"),
    b"\x1f\x8b": ("packed with gzip twice", "gzip -dc {file} | offerlog record -"),
    b"LZIP": ("packed with lzip", "lzip -dc {file} | offerlog record -"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "7z x -so {file} | offerlog record -"),
    b"PAR1": ("a Parquet file", "export it as NDJSON: one JSON object a line"),
    b"Obj\x01": ("an Avro file", "export it as NDJSON: one JSON object a line"),
    b"SQLite format 3\0": ("an SQLite database", "export it as NDJSON: one JSON object a line"),
    b"%PDF": ("a PDF document", "give NDJSON: one JSON object a line"),
}
"""Formats by their first bytes, each with what to do."""

_WIDE: Final = (
    # Longer marks first: the mark of UTF-32 begins with that of UTF-16.
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|[^\0]\0\0\0|\0\0\0[^\0]"), "UTF-32"),
    (re.compile(rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]"), "UTF-16"),
)
"""Byte order marks, and the places of zero bytes beside the first ASCII characters of a text."""

_TAR_MAGIC: Final = slice(257, 262)
_OTHER_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ONE_A_LINE: Final = "give NDJSON: one JSON object a line"


class NotSignalsError(OfferlogError):
    """A file, or standard input, is not NDJSON; nothing of it was recorded.

    Attributes:
        name: The file as the caller named it, or `standard input`.
        what: The format that it has.
        remedy: What to do.
    """

    def __init__(self, name: str, what: str, remedy: str) -> None:
        self.name = name
        self.what = what
        self.remedy = remedy
        super().__init__(f"{name}: {what}, so nothing of it was recorded; {remedy}")


def read_head(read: Callable[[int], bytes]) -> bytes:
    """Read until a line is a JSON object, or 64 KiB, or the end.

    Args:
        read: Reads at most so many bytes, and none only at the end, as `BufferedReader.read1`.
    """
    head, looked_at = b"", 0
    while len(head) < HEAD_BYTES and (more := read(HEAD_BYTES - len(head))):
        head += more
        end = head.rfind(b"\n") + 1
        if any(_is_object(line) for line in head[looked_at:end].split(b"\n")):
            break
        looked_at = max(looked_at, end)
    return head


def check_head(head: bytes, file: str | None) -> None:
    """Check that a file is NDJSON, from its head as `read_head` returns it.

    Args:
        head: The first bytes, unpacked.
        file: The file's name, for the error; None for standard input.

    Raises:
        NotSignalsError: It has another format, which the message names.
    """
    found = _format(head)
    if found is not None:
        what, remedy = found
        given = "FILE" if file is None else shlex.quote(file)
        raise NotSignalsError(file or "standard input", what, remedy.format(file=given))


def _format(head: bytes) -> tuple[str, str] | None:
    """Return the format of a file and what to do; None for NDJSON."""
    packed = _packed_format(head)  # first: an archive may contain the lines of its files unchanged
    if packed is not None or any(_is_object(line) for line in head.split(b"\n")):
        return packed
    return _wide_format(head) or _text_format(head.removeprefix(BYTE_ORDER_MARK))


def _is_object(line: bytes) -> bool:
    line = line.removeprefix(BYTE_ORDER_MARK).strip()
    if not line.startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(line.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _packed_format(head: bytes) -> tuple[str, str] | None:
    if (sheet := _office_format(head)) is not None:
        return sheet, "save the table as NDJSON: one JSON object a line, with the fields of a signal"
    for magic, found in _UNPACK.items():
        if head.startswith(magic):
            return found
    if head[_TAR_MAGIC] == b"ustar":
        return "a tar archive", "tar -xOf {file} | offerlog record -"
    return None


def _office_format(head: bytes) -> str | None:
    """Describe a document of an office program, which is a zip archive with parts of known names."""
    if not head.startswith(_ZIP):
        return None
    name = head[_ZIP_NAME:]
    if name.startswith(_OFFICE_PARTS):
        return "a file of Excel or another Office program"
    return "an OpenDocument file" if name.startswith(b"mimetypeapplication/vnd.oasis") else None


def _wide_format(head: bytes) -> tuple[str, str] | None:
    for pattern, encoding in _WIDE:
        if pattern.match(head):
            return f"text in {encoding}", f"iconv -f {encoding} -t UTF-8 {{file}} | offerlog record -"
    return None


def _text_format(text: bytes) -> tuple[str, str] | None:
    lines = [line.strip() for line in text.split(b"\n")]
    lines = [line for line in lines if line]
    if not lines:
        return None if text and len(text) >= HEAD_BYTES else ("it is empty", _ONE_A_LINE)
    if lines[0].startswith(b"["):
        return "a JSON array", "jq -c '.[]' {file} | offerlog record -"
    if lines[0].startswith(b"{"):
        return _json_format(text, lines)
    if any(line.startswith(b"{") for line in lines) and not _OTHER_CONTROLS.search(text):
        return None
    return _other_text(text, lines), _ONE_A_LINE


def _other_text(text: bytes, lines: list[bytes]) -> str:
    """Describe a text without a line that could be a JSON object."""
    if _OTHER_CONTROLS.search(text):
        return "binary data"
    if lines[0].startswith(b"<"):
        return "XML or HTML"
    if any(all(mark in line for line in lines[:2]) for mark in (b",", b";", b"\t", b"|")):
        return "CSV or another table"
    return "text of which none of the first lines is a JSON object"


def _json_format(text: bytes, lines: list[bytes]) -> tuple[str, str] | None:
    """Return the format of JSON that is not one object a line; None for NDJSON with bad lines."""
    pretty = "JSON over several lines", "jq -c . {file} | offerlog record -"
    plain = text.decode("utf-8", "replace").lstrip()
    try:
        _, end = json.JSONDecoder().raw_decode(plain)
    except (ValueError, RecursionError):
        key_alone = len(lines) > 1 and lines[0] == b"{" and lines[1].startswith(b'"')
        return pretty if key_alone else None
    if "\n" in plain[:end]:
        return pretty
    joined = plain[end:].lstrip().startswith(("{", ","))
    return ("several JSON objects on one line", pretty[1]) if joined else None
