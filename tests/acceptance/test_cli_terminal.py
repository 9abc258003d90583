"""What comes from outside steers no terminal, whichever command shows it."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Final

import pytest

from support.command_line import CommandLine, an_id, signal_of

HOSTILE: Final = "\x1b]0;owned\x07\x9b31m\x7f\u202eabc\u2066\u200f\u2028\u0085"
RAW: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Whatever steers, but for tab and line ends."""

COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]")
"""What offerlog itself sends to a terminal."""

MAP: Final = "0a000000-0000-4000-8000-000000000001"
AT: Final = "2026-11-22T10:00:00Z"


@pytest.fixture
def recorded(offerlog: CommandLine) -> CommandLine:
    """A map and a visitor with hostile names, an error with a hostile text, and refused and parked ones."""
    who = {"customerId": HOSTILE, "actionMapName": HOSTILE}
    action = an_id()
    offerlog.judged(
        signal_of("offered", action, MAP, AT, **who),
        signal_of("rejected", action, MAP, AT, **who),
        signal_of("accepted", an_id(), MAP, AT, **who, errorMessage=HOSTILE),
        signal_of("offered", action, MAP, AT, **who, sessionId=HOSTILE),
    )
    return offerlog


VISITOR: Final = ("--customer", HOSTILE, "--action-map", MAP)
COMMANDS: Final = [
    ("report",),
    ("report", "--format", "csv"),
    ("report", "--format", "json"),
    ("suppressions", "--action-map", MAP),
    ("suppressions", "--customer", HOSTILE),
    ("history", *VISITOR),
    ("history", *VISITOR, "--format", "json"),
    ("eligibility", *VISITOR),
    ("refusals",),
    ("parked",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:1] + words[2:3]))
def test_no_command_shows_a_control_character_raw(recorded: CommandLine, words: tuple[str, ...]) -> None:
    """On a terminal."""
    # when
    seen = recorded.on_a_terminal(*words)
    # then
    assert not RAW.search(COLOURS.sub("", seen)), seen


def test_csv_in_a_pipe_holds_the_name_itself(recorded: CommandLine) -> None:
    """A program gets what came; a person on a terminal gets it spelled out."""
    _, row = csv.reader(io.StringIO(recorded("report", "--format", "csv").raw.decode(), newline=""))
    assert row[1] == HOSTILE
    assert "\\x1b]0;owned\\x07" in recorded.on_a_terminal("report", "--format", "csv")


def test_json_means_the_text_that_came(recorded: CommandLine) -> None:
    """Escaped, in a pipe too, and not changed."""
    listed, refused = recorded("suppressions", "--action-map", MAP), recorded("refusals")
    assert not RAW.search(listed.text + refused.text)
    assert listed.lines[0]["customer_id"] == HOSTILE
    assert json.loads(refused.lines[0]["signal"])["sessionId"] == HOSTILE


def test_an_outcome_that_quotes_a_file_name_is_escaped(offerlog: CommandLine, tmp_path: Path) -> None:
    """Whoever names the file may not be who runs the command."""
    files = [tmp_path / f"{number}\x9b\u202e.ndjson" for number in range(2)]
    for file in files:
        file.write_text(json.dumps(signal_of("offered", an_id(), an_id(), AT)))
    seen = offerlog.on_a_terminal("record", *map(str, files), "--outcomes", "-")
    assert not RAW.search(COLOURS.sub("", seen)), seen


@pytest.mark.parametrize(
    "words",
    [
        ("record", f"/nowhere/{HOSTILE}"),
        ("report", "--organization", HOSTILE),
        ("report", "--zone", HOSTILE),
        ("report", "--from", HOSTILE),
        ("report", f"--{HOSTILE}"),
        (HOSTILE,),
        ("projections", "rebuild", HOSTILE),
        ("keys", "revoke", HOSTILE),
        ("keys", "create", "--role", "widget", "--origin", HOSTILE),
    ],
    ids=lambda words: words[0] if words[0] != HOSTILE else "command",
)
def test_no_error_repeats_a_control_character(offerlog: CommandLine, words: tuple[str, ...]) -> None:
    """Whatever of the call it quotes."""
    code = 1 if words[:2] == ("keys", "revoke") else 2
    seen = offerlog.on_a_terminal(*words, code=code)
    assert seen.startswith("offerlog: ")
    assert not RAW.search(seen), seen
