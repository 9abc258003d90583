"""Escapes that make text from outside safe in JSON, on a terminal and in a spreadsheet.

Action map names, customer ids and refused texts come from the senders of signals. Three kinds of characters
in them do harm where they are shown. Control characters (C0, DEL, C1) control a terminal. Bidirectional
controls (Unicode TR 36, "bidirectional text spoofing") reorder the text around them. The line and paragraph
separators U+2028 and U+2029 break a line in some programs.
"""

import re
from typing import Final

_HARMFUL: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that RFC 8259 allows unescaped in a JSON text, and that must not reach a terminal."""

_HARMFUL_UTF8: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""The same characters in UTF-8. Each alternative begins with a leading byte of a character."""

_CELL_START: Final = re.compile(
    # The start of the text, or a character at which some spreadsheet splits cells and rows.
    "(^|[,;\t|\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+)"
    # Blanks, quotes and invisible characters: a spreadsheet drops them before it looks for a formula.
    '(?=[\\s\0-\x1f\x7f-\xa0"\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*'
    # A formula's first sign, in ASCII or full width.
    "[=+\\-@\uff1d\uff0b\uff0d\uff20])"
)


def escape_json(text: str) -> str:
    r"""Escape the harmful characters of a finished JSON text as `\uXXXX`; the value stays the same.

    Such characters can only stand inside strings.
    """
    at = 0
    while found := _HARMFUL.search(text, at):  # at most once for each of the few dozen characters
        at = found.start()
        text = text.replace(found[0], f"\\u{ord(found[0]):04x}")
    return text


def escape_json_bytes(text: bytes) -> bytes:
    """Escape a JSON text in UTF-8, as `escape_json` does."""
    at = 0
    while found := _HARMFUL_UTF8.search(text, at):
        at = found.start()
        text = text.replace(found[0], b"\\u%04x" % ord(found[0].decode()))
    return text


def spell_out(text: str) -> str:
    r"""Spell out all characters that do not print, for a terminal: `\x1b`, `\u202e`, `\n`."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def guard_formulas(text: str) -> str:
    """Put an apostrophe before every text that a spreadsheet would take for a formula.

    Formulas are found inside the text too. The character that separates cells depends on the country and the
    program, so `;=` begins a cell in some of them. Quotes of CSV do not prevent that. A text that begins with
    a tab or a line break gets an apostrophe too.
    """
    guarded = _CELL_START.sub(r"\1'", text)
    return f"'{guarded}" if guarded[:1] in {"\t", "\r", "\n"} else guarded
