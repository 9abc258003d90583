"""Text from outside, made safe for JSON, terminals and spreadsheets."""

import json
import unicodedata
from typing import Final

import pytest

from offerlog_infrastructure.presentation.escaping import (
    escape_json,
    escape_json_bytes,
    guard_formulas,
    spell_out,
)

EVERYTHING: Final = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x11000))))
STEERING: Final = {"\u2028", "\u2029", "\u061c", "\u200e", "\u200f"} | {
    one
    for one in EVERYTHING
    if unicodedata.category(one) == "Cc"
    or unicodedata.bidirectional(one) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
}
"""Control characters, what reorders text, and what separates lines: by Unicode's own properties."""


def test_no_steering_character_stands_raw_in_json_and_the_value_stays_the_same() -> None:
    """Of all characters there are."""
    # given
    plain = json.dumps(EVERYTHING, ensure_ascii=False)
    # when
    escaped = escape_json(plain)
    # then
    assert not STEERING & set(escaped)
    assert json.loads(escaped) == EVERYTHING
    assert set(EVERYTHING) - set(escaped) == STEERING
    assert escape_json_bytes(plain.encode()) == escaped.encode()


def test_nothing_that_steers_is_left_when_spelled_out() -> None:
    """A line feed neither."""
    assert not STEERING & set(spell_out(EVERYTHING))
    assert spell_out("\x1b]0;x\x07\u202e\n") == "\\x1b]0;x\\x07\\u202e\\n"


@pytest.mark.parametrize("separator", ["", "x;", "x,", "x\t", "x\n", "x\r\n", "x|", "x\u2028"])
def test_a_formula_is_guarded_wherever_a_cell_may_begin(separator: str) -> None:
    """The apostrophe stands first in that cell, before all that a spreadsheet skips."""
    for before in ("", " ", "\u3000", "\ufeff", "\0", "\x01", "\u200b", '"', ' "\ufeff\0'):
        for sign in "=+-@\uff1d\uff0b\uff0d\uff20":
            assert guard_formulas(f"{separator}{before}{sign}1") == f"{separator}'{before}{sign}1"


@pytest.mark.parametrize("name", ["Checkout help", "a-b", "x=1", "me@home", "1 + 1", "a; b", "", "\uff1c"])
def test_a_name_that_is_no_formula_stays_as_it_is(name: str) -> None:
    """Signs inside a text begin nothing."""
    assert guard_formulas(name) == name
