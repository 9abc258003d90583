"""Bodies that are not UTF-8 text, recognized by their first bytes."""

from typing import Final

UTF_8_MARK: Final = b"\xef\xbb\xbf"
FIRST_BYTES: Final = 6
"""Number of bytes that show the format of a file."""

_SIGNATURES: Final = (
    (b"\xff\xfe", "UTF-16 or UTF-32 text", "send UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "send UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32 text", "send UTF-8"),
    (b"\x1f\x8b", "gzip", "say so: Content-Encoding: gzip"),
    (b"\xfd7zXZ\x00", "xz", "send gzip, or plain"),
    (b"\x28\xb5\x2f\xfd", "zstd", "send gzip, or plain"),
    (b"BZh", "bzip2", "send gzip, or plain"),
    (b"PK\x03\x04", "a zip archive", "send gzip, or plain"),
    (b"PAR1", "a Parquet file", "send NDJSON"),
)


def recognize_foreign(first: bytes) -> str | None:
    """Return the format of a body with these first bytes, and advice; None if it may be UTF-8 text."""
    for signature, name, advice in _SIGNATURES:
        if first.startswith(signature):
            return f"this is {name}: {advice}"
    # JSON begins with an ASCII character. A zero byte beside it belongs to a wider encoding.
    if first[:4].count(0) and first[:1] not in {b"{", b"[", b'"'}:
        return "this is UTF-16 or UTF-32 text, or not text: send UTF-8"
    if first[1:2] == b"\x00":
        return "this is UTF-16 or UTF-32 text: send UTF-8"
    return None
