"""Saved pages of the vendor's session events: what a file may look like, and what is kept of it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offerlog_infrastructure.cli import genesys_pages
from offerlog_infrastructure.cli.genesys_pages import NotPagesError, read_pages
from offerlog_infrastructure.cli.import_cursor import ImportCursorError, open_cursor
from support.wire import BLOCKED, STORED

PERSONAL: dict[str, Any] = {
    **STORED,
    "browser": {"family": "Firefox"},
    "ipAddress": "203.0.113.7",
    "session": {**STORED["session"], "type": "web"},
    "webActionEvent": {**STORED["webActionEvent"], "geolocation": {"city": "Riga"}},
}
KEPT_OF_BLOCKED = {name: value for name, value in BLOCKED.items() if name != "session"} | {
    "session": {"id": BLOCKED["session"]["id"]}
}
BLOCKED_THERE: dict[str, Any] = {
    **BLOCKED,
    "ipAddress": "203.0.113.7",
    "blockedWebActionOfferEvent": {
        **BLOCKED["blockedWebActionOfferEvent"],
        "blockingPageUrlConditions": [{"values": ["https://shop.example/private"]}],
    },
}
PAGE = {
    "entities": [PERSONAL, BLOCKED_THERE, {"eventType": "com.genesys.journey.WebEvent", "id": "1"}],
    "nextUri": "/api/v2/journey/sessions/7/events?pageSize=200&after=MTIz",
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PAGE) + "\n" + json.dumps(PAGE),
        json.dumps(PAGE, indent=2) + json.dumps(PAGE),
        "\ufeff" + json.dumps(PAGE) + json.dumps(PAGE) + "\n\n",
    ],
    ids=["on lines", "over several lines", "directly behind each other"],
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_pages_are_read_however_a_client_has_joined_them(
    tmp_path: Path, text: str, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a piece that is read ends inside a page."""
    monkeypatch.setattr(genesys_pages, "_READ", 100)
    file = tmp_path / "pages"
    file.write_bytes(pack(text.encode()))
    first, second = read_pages(file)
    assert [first.place, second.place] == [f"{file}, page 1", f"{file}, page 2"]
    assert first.signals == second.signals == [STORED, KEPT_OF_BLOCKED], (
        "nothing of the browser, the place or the address"
    )
    assert first.others == {"com.genesys.journey.WebEvent": 1}
    assert first.behind == "MTIz"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "it is empty"),
        (b'{"entities": [', "page 1: it is not JSON"),
        (b'{"entities": []} [1, 2]', "page 2: it has no list `entities`"),
        (b'{"entities": {}}', "page 1: it has no list"),
        (b'{"entities": ["\xff"]}', "it is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "' + b"x" * 3_000 + b'"}', "it is longer than"),
    ],
)
def test_a_file_that_holds_something_else_is_named_with_the_page(
    tmp_path: Path, text: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear error, whatever comes."""
    if "longer" in words:
        monkeypatch.setattr(genesys_pages, "_READ", 1_000)
        monkeypatch.setattr(genesys_pages, "MAX_PAGE", 1_500)
    file = tmp_path / "pages"
    file.write_bytes(text)
    with pytest.raises(NotPagesError) as refused:
        list(read_pages(file))
    assert words in str(refused.value)
    assert str(refused.value).startswith(str(file))


def test_a_packed_file_that_breaks_off_is_an_error_behind_its_last_page(tmp_path: Path) -> None:
    """What came before is read."""
    file = tmp_path / "pages.gz"
    file.write_bytes(gzip.compress((json.dumps(PAGE) + "\n").encode())[:-9])
    pages = read_pages(file)
    with pytest.raises(OSError, match=r"pages\.gz: it breaks off behind page"):
        list(pages)


def test_a_cursor_names_the_pages_that_are_recorded(tmp_path: Path) -> None:
    """A line that was cut off by a crash is taken away."""
    path = tmp_path / "cursor"
    with open_cursor(path, "shop", 10) as cursor:
        assert cursor is not None
        cursor.add("aa", "one.json, page 1", 7, "MTIz")
    with path.open("ab") as file:
        file.write(b'{"page": "bb", "pla')
    with open_cursor(path, "shop", 10) as cursor:
        assert cursor is not None
        assert (cursor.has("aa"), cursor.has("bb")) == (True, False)
        cursor.add("cc", "two.json, page 1", None, None)
    assert [json.loads(line)["page"] for line in path.read_text().splitlines()] == ["aa", "cc"]


@pytest.mark.parametrize(
    ("content", "organization", "position", "words"),
    [
        (
            '{"page": "aa", "organization": "shop", "position": 7}',
            "other",
            10,
            "of organization shop, not of",
        ),
        ('{"page": "aa", "organization": "shop", "position": 7}', "shop", 6, "belongs to another store"),
        ("notes\n", "shop", 6, "not a cursor file"),
        ('["page"]', "shop", 6, "not a cursor file"),
    ],
)
def test_a_cursor_of_something_else_is_refused(
    tmp_path: Path, content: str, organization: str, position: int, words: str
) -> None:
    """Or pages would be left out that were never recorded here."""
    path = tmp_path / "cursor"
    path.write_text(content + "\n")
    with pytest.raises(ImportCursorError, match=words), open_cursor(path, organization, position):
        pass
