"""What is written beside the tables of the media types names what is in them."""

import re
from pathlib import Path

from offerlog_domain.lifecycle import LIFECYCLES, MediaType

WEB = "infrastructure/offerlog_infrastructure/web"


def test_every_media_type_with_a_table_can_be_asked_for(root: Path) -> None:
    """By name: `MediaType` is what options, parameters and types of clients are made from."""
    assert {one.value for one in MediaType} == set(LIFECYCLES)
    options = re.findall(r'<option value="(\w+)', (root / WEB / "templates/form_choices.html").read_text())
    assert set(LIFECYCLES) <= set(options)
    named = re.search(r"MEDIA_TYPES = {(.*?)}", (root / WEB / "static/words.js").read_text(), re.DOTALL)
    assert named
    assert set(re.findall(r"(\w+):", named[1])) == set(LIFECYCLES)
    declared = re.search(r"type MediaType = ([^;]*);", (root / "clients/browser/offerlog.d.ts").read_text())
    assert declared
    assert set(re.findall(r'"(\w+)"', declared[1])) == set(LIFECYCLES)


def test_the_browser_module_has_the_states_of_the_tables(root: Path) -> None:
    """Its listeners and reports take those of the media type, and no others."""
    source = (root / WEB / "static/offerlog.js").read_text()
    before = re.search(r'const BEFORE = "([a-zA-Z ]+)"', source)
    chat = re.search(r'const CHAT = "([a-zA-Z ]+)"', source)
    table = re.search(r"const STATES = new Map\(\[(.*?)\]\);", source, re.DOTALL)
    assert before
    assert chat
    assert table
    found = {
        media_type: {
            *(chat[1] if states == "CHAT" else states.partition('"')[2].partition('"')[0]).split(),
            *before[1].split(),
        }
        for media_type, states in re.findall(r'\["(\w+)", (.+)\],', table[1])
    }
    assert found == {name: {state.value for state in one.states} for name, one in LIFECYCLES.items()}
    declared = re.search(r"type State =([^;]*);", (root / "clients/browser/offerlog.d.ts").read_text())
    assert declared
    every = {state.value for one in LIFECYCLES.values() for state in one.states}
    assert set(re.findall(r'"(\w+)"', declared[1])) == every
