"""What is given to `offerlog record` by mistake is named; NDJSON, however bad its lines, is not."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from typing import Final

import pytest

from offerlog_infrastructure.cli.formats import HEAD_BYTES, NotSignalsError, check_head, read_head

SIGNAL: Final = {"actionId": "a1", "actionState": "offered", "customerId": "Zo\u00eb"}
LINES: Final = "".join(json.dumps(SIGNAL, ensure_ascii=False) + "\n" for _ in range(3))


def archived(kind: str) -> bytes:
    """An archive with the signals in it."""
    made = io.BytesIO()
    first = {"zip": "day.ndjson", "xlsx": "[Content_Types].xml", "ods": "mimetype"}
    if kind in first:
        with zipfile.ZipFile(made, "w") as zipped:
            text = "application/vnd.oasis.opendocument.spreadsheet" if kind == "ods" else LINES
            zipped.writestr(first[kind], text)
            if kind == "xlsx":
                zipped.writestr("xl/workbook.xml", LINES)
    else:
        with tarfile.open(fileobj=made, mode="w") as tar:
            member = tarfile.TarInfo("day.ndjson")
            member.size = len(LINES.encode())
            tar.addfile(member, io.BytesIO(LINES.encode()))
    return made.getvalue()


def checked(text: bytes, piece: int = HEAD_BYTES) -> None:
    """Look at a file that comes in pieces of so many bytes."""
    source = io.BytesIO(text)
    check_head(read_head(lambda size: source.read(min(size, piece))), "day's file")


@pytest.mark.parametrize("piece", [1, HEAD_BYTES])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LINES.encode("utf-16"), "text in UTF-16"),
        (LINES.encode("utf-16-le"), "text in UTF-16"),
        (LINES.encode("utf-16-be"), "text in UTF-16"),
        (LINES.encode("utf-32"), "text in UTF-32"),
        (LINES.encode("utf-32-le"), "text in UTF-32"),
        (LINES.encode("utf-32-be"), "text in UTF-32"),
        (lzma.compress(LINES.encode()), "packed with xz"),
        (bz2.compress(LINES.encode()), "packed with bzip2"),
        (gzip.compress(LINES.encode()), "packed with gzip twice"),
        (b"\x28\xb5\x2f\xfd\x24\x03", "packed with zstd"),
        (archived("zip"), "a zip archive"),
        (archived("xlsx"), "a file of Excel"),
        (archived("ods"), "an OpenDocument file"),
        (archived("tar"), "a tar archive"),
        (b"", "it is empty"),
        (b"\n \r\n", "it is empty"),
        (b"\xef\xbb\xbf", "it is empty"),
        (b"[]\n", "a JSON array"),
        (json.dumps([SIGNAL] * 3).encode(), "a JSON array"),
        (json.dumps([SIGNAL] * 3, indent=2).encode(), "a JSON array"),
        (b"\xef\xbb\xbf  [{}]", "a JSON array"),
        (b"[" + json.dumps(SIGNAL).encode() * 2000, "a JSON array"),
        (json.dumps(SIGNAL, indent=2).encode(), "JSON over several lines"),
        (json.dumps({"entities": [SIGNAL] * 2000}, indent=2).encode(), "JSON over several lines"),
        (json.dumps(SIGNAL).encode() * 3, "several JSON objects on one line"),
        (
            json.dumps(SIGNAL).encode() + b"\r" + json.dumps(SIGNAL).encode(),
            "several JSON objects on one line",
        ),
        (b"actionId,actionState\na1,offered\n", "CSV or another table"),
        (b"actionId;actionState\r\na1;offered\r\n", "CSV or another table"),
        (b"actionId\tactionState\n", "CSV or another table"),
        (b"<!doctype html>\n<html>\n", "XML or HTML"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 300, "binary data"),
        (b"\x8a\x93\xff\n{\x01\xfe\0\n\xfe\n", "binary data"),
        (b"no such report\n", "none of the first lines is a JSON object"),
        (b"null\n1\n", "none of the first lines is a JSON object"),
    ],
    ids=lambda one: "" if isinstance(one, bytes) else str(one),  # packed bytes hold the time of day
)
def test_what_is_not_ndjson_is_named(text: bytes, what: str, piece: int) -> None:
    """With what to do; however it arrives."""
    with pytest.raises(NotSignalsError) as raised:
        checked(text, piece)
    assert raised.value.name == "day's file"
    assert what in str(raised.value)
    assert raised.value.remedy


@pytest.mark.parametrize("piece", [1, HEAD_BYTES])
@pytest.mark.parametrize(
    "text",
    [
        LINES.encode(),
        LINES.strip().encode(),
        b"\xef\xbb\xbf" + LINES.encode(),
        b"\r\n\r\n" + LINES.replace("\n", "\r\n").encode(),
        b"[]\n" + LINES.encode(),
        b"\xff\xfe raw\n" + LINES.encode(),
        b"{not json\n" + LINES.encode(),
        b"actionId,actionState\n" + LINES.encode(),
        b"\0\x01\n" + LINES.encode(),
        b"{not json\n",
        b"{}\n",
        b"{}",
        b'{"a": 1',
        b"{" * 5_000,
        b"{" + b"x" * 200_000,
        b"x" * 1_000 + b"\n{cut off\n",
        b"\n" * 200_000,
    ],
    ids=lambda one: one[:12].decode("latin-1") if isinstance(one, bytes) else str(one),
)
def test_ndjson_with_bad_lines_stays_ndjson(text: bytes, piece: int) -> None:
    """Its bad lines are refused one by one."""
    checked(text, piece)


def test_no_more_is_read_than_needed() -> None:
    """A line that is a signal is enough, so that a slow pipe is not waited for."""
    # given
    pieces = iter([b'{"a"', b": 1}\n", b"never asked for"])
    # when
    head = read_head(lambda _: next(pieces))
    # then
    assert head == b'{"a": 1}\n'
    assert next(pieces) == b"never asked for"
