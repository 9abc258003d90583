"""Text from outside, made safe for where it goes: JSON, a terminal, a spreadsheet.

Action map names, customer ids and refused texts come from whoever sends signals. Three kinds of
characters in them do harm where they are shown: control characters (C0, DEL, C1) steer a terminal,
bidirectional controls (Unicode TR 36, "bidirectional text spoofing") reorder what stands around them, and the
line and paragraph separators U+2028 and U+2029 break a line in some programs.
"""

import re
from typing import Final

_HARMFUL: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that RFC 8259 lets stand in a JSON text as they are, and that must not reach a terminal so."""

_HARMFUL_UTF8: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""The same in UTF-8. Each alternative begins with a leading byte, so none matches inside a character."""

_CELL_START: Final = re.compile(
    # The start of the text, or what some spreadsheet splits cells and rows at.
    "(^|[,;\t|\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+)"
    # Blanks, quotes and what is not shown: a spreadsheet drops them before it looks for a formula.
    '(?=[\\s\0-\x1f\x7f-\xa0"\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*'
    # A formula's first sign, in ASCII or full width.
    "[=+\\-@\uff1d\uff0b\uff0d\uff20])"
)


def escape_json(text: str) -> str:
    r"""Escape, in a finished JSON text, the harmful characters that JSON allows; the value stays the same.

    They can only stand inside strings, so each is replaced by its `\uXXXX`.
    """
    at = 0
    while found := _HARMFUL.search(text, at):  # for each of the few dozen characters, not for each place
        at = found.start()
        text = text.replace(found[0], f"\\u{ord(found[0]):04x}")
    return text


def escape_json_bytes(text: bytes) -> bytes:
    """As `escape_json`, for a JSON text in UTF-8."""
    at = 0
    while found := _HARMFUL_UTF8.search(text, at):
        at = found.start()
        text = text.replace(found[0], b"\\u%04x" % ord(found[0].decode()))
    return text


def spell_out(text: str) -> str:
    r"""Spell out whatever does not print, for a terminal: `\x1b`, `\u202e`, `\n`."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def guard_formulas(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would take for a formula.

    Not only at the start: which character separates cells depends on the country and the program, so a
    `;=` inside a text begins a cell of its own somewhere. Quotes of CSV do not prevent that. A text that
    begins with a tab or a line break gets an apostrophe too.
    """
    guarded = _CELL_START.sub(r"\1'", text)
    return f"'{guarded}" if guarded[:1] in {"\t", "\r", "\n"} else guarded
