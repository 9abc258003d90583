"""`offerlog import genesys`: saved pages into the log."""

import json
from pathlib import Path
from typing import Any

from support.command_line import CommandLine, an_id
from support.wire import STORED


def _entity(action: str, state: str, at: str, **more: Any) -> dict[str, Any]:
    """A web action event as the vendor's API shows it."""
    event = STORED["webActionEvent"]
    action_of_event = {"id": action, "state": state, "mediaType": "webchat"}
    return {
        **STORED,
        "id": an_id(),
        "createdDate": at,
        "webActionEvent": {**event, "action": action_of_event},
        **more,
    }


def test_pages_are_recorded_once_and_named_by_the_cursor(offerlog: CommandLine, tmp_path: Path) -> None:
    """Other events are counted and left out; a bad entity is refused alone; a second run skips them."""
    # given
    customer, action = f"visitor-{an_id()}", an_id()
    first = {
        "entities": [
            _entity(action, "offered", "2026-11-22T10:00:00Z", customerId=customer),
            {"eventType": "com.genesys.journey.WebEvent", "ipAddress": "203.0.113.7"},
        ],
        "nextUri": "/events?after=abc",
    }
    second = {
        "entities": [_entity(action, "accepted", "2026-11-22T10:00:05Z", customerId=customer), {"id": 7}]
    }
    (tmp_path / "1.json").write_text(json.dumps(first, indent=1))
    (tmp_path / "2.json").write_text(json.dumps(second))
    words = ("import", "genesys", str(tmp_path / "1.json"), str(tmp_path / "2.json"))
    cursor = tmp_path / "cursor"
    # when
    answer = offerlog(*words, "--cursor", str(cursor))
    again = offerlog(*words, "--cursor", str(cursor))
    without = offerlog(*words)
    # then
    assert "2 pages\n" in answer.text
    assert [line.split()[:3] for line in answer.text.splitlines()[3:5]] == [
        ["recorded", "2", "66.7%"],
        ["refused", "malformed", "1"],
    ]
    assert "left out: 1 com.genesys.journey.WebEvent" in answer.text
    assert again.text == "2 pages, 2 of them recorded before\n"
    assert ["duplicate", "2"] in [line.split()[:2] for line in without.text.splitlines()]
    noted = [json.loads(line) for line in cursor.read_text().splitlines()]
    assert [(one["place"], one["after"]) for one in noted] == [
        (f"{tmp_path / '1.json'}, page 1", "abc"),
        (f"{tmp_path / '2.json'}, page 1", None),
    ]
    found = offerlog("visitor", "--customer", customer, "--customer-type", "email", "--format", "json").text
    assert '"accepted"' in found


def test_a_page_behind_a_broken_one_is_not_recorded(offerlog: CommandLine, tmp_path: Path) -> None:
    """The pages before are, and the cursor says so."""
    good = {
        "entities": [_entity(an_id(), "offered", "2026-11-22T10:00:00Z", customerId=f"visitor-{an_id()}")]
    }
    (tmp_path / "pages.json").write_text(json.dumps(good) + "\n[]\n")
    (tmp_path / "other.json").write_text("[]")
    cursor = tmp_path / "cursor"
    answer = offerlog("import", "genesys", str(tmp_path / "pages.json"), "--cursor", str(cursor), code=1)
    assert "pages.json, page 2: it has no list `entities`" in answer.errors
    assert "The pages before it are recorded" in answer.errors
    first = offerlog("import", "genesys", str(tmp_path / "other.json"), code=1)
    assert first.errors.endswith("give pages as the vendor's API answers them\n")
    assert ["recorded", "1"] in [line.split()[:2] for line in answer.text.splitlines()]
    assert len(cursor.read_text().splitlines()) == 1
