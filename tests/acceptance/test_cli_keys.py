"""`offerlog serve`, `keys`: where it listens, and who gets which key."""

import contextlib
import socket
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.command_line import CommandLine


@contextlib.contextmanager
def taken_port() -> Iterator[str]:
    """A port that another program listens on."""
    with socket.socket() as busy:
        busy.settimeout(10)
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield str(busy.getsockname()[1])


def test_an_explicit_port_that_is_taken_is_an_error(offerlog: CommandLine) -> None:
    """A proxy would go on talking to the program that has it; no key is made."""
    # given
    with taken_port() as port:
        # when
        error = offerlog.fails("serve", "--check", "--port", port, code=1)
    # then
    assert f"port {port} of 127.0.0.1 is taken by another program" in error
    assert offerlog("keys", "list").raw == b""


def test_the_first_admin_key_goes_into_a_file_where_no_terminal_is(offerlog: CommandLine) -> None:
    """Standard output may be a log that many can read; a second start makes no other key."""
    # when
    first = offerlog("serve", "--check", "--port", "0")
    again = offerlog.with_settings(http_proxy="http://127.0.0.1:9")("serve", "--check", "--port", "0")
    # then
    file = offerlog.data / f"admin-key-{offerlog.organization}"
    assert f"The admin key of organization {offerlog.organization} is in {file}\n" in first.text
    assert file.read_text().startswith("ofl_admin_")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "ofl_admin_" not in first.text + first.errors + again.text + again.errors
    assert "ready, and stopped again" in first.text
    assert "ready, and stopped again" in again.text
    assert [key["role"] for key in offerlog("keys", "list").lines] == ["admin"]


def test_the_first_admin_key_is_shown_on_a_terminal(offerlog: CommandLine) -> None:
    """Once, to the person who sits there, and in no file."""
    seen = offerlog.on_a_terminal("serve", "--check", "--port", "0", columns=200)
    assert seen.count("ofl_admin_") == 1
    assert not (offerlog.data / f"admin-key-{offerlog.organization}").exists()


def test_the_file_of_the_admin_key_can_be_chosen(offerlog: CommandLine, tmp_path: Path) -> None:
    """Also on a terminal. A file that is there is not overwritten, and no key is made then."""
    # given
    file = tmp_path / "key"
    file.write_text("mine")
    chosen = offerlog.with_settings(OFFERLOG_ADMIN_KEY_FILE=str(file))
    # when
    error = chosen("serve", "--check", "--port", "0", code=2).errors
    # then
    assert f"{file} is there already" in error
    assert file.read_text() == "mine"
    assert offerlog("keys", "list").raw == b""
    # when
    file.unlink()
    seen = chosen.on_a_terminal("serve", "--check", "--port", "0", columns=200)
    # then
    assert "ofl_admin_" not in seen
    assert file.read_text().startswith("ofl_admin_")


def test_a_widget_key_names_its_origins(offerlog: CommandLine) -> None:
    """It stands in public pages: a key for every site is made on purpose only."""
    widget = ("keys", "create", "--role", "widget")
    assert "--origin https://shop.example" in offerlog.fails(*widget)
    assert "a page key is for the pages of a site" in offerlog.fails("keys", "create", "--role", "page")
    both = (*widget, "--any-origin", "--origin", "https://shop.example")
    assert "give --origin or --any-origin, not both" in offerlog.fails(*both)
    assert offerlog(*widget, "--any-origin").json["origins"] == []
    assert offerlog(*widget, "--origin", "https://shop.example").json["origins"] == ["https://shop.example"]
    never = offerlog.fails(*widget, "--origin", "https://shop.example/")
    assert "'--origin': 'https://shop.example/' is not a web origin" in never
    assert "is no name" in offerlog.fails(*widget, "--any-origin", "--name", "two\nlines")


def test_keys_are_listed_and_revoked(offerlog: CommandLine) -> None:
    """Without their text. Another organization's key is not revoked, but named as what it is."""
    # given
    made = offerlog("keys", "create", "--role", "reporter").json
    other = f"org-{uuid.uuid4().hex[:12]}"
    stranger = offerlog("keys", "create", "--role", "reporter", "--organization", other).json
    # then
    assert made["key"].startswith(f"ofl_reporter_{made['id']}_")
    listed = offerlog("keys", "list").lines
    assert [one["id"] for one in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert listed[0]["expires_at"] is listed[0]["last_used_at"] is None
    short = offerlog("keys", "create", "--role", "reporter", "--expires", "36h").json
    lasts = datetime.fromisoformat(short["expires_at"]) - datetime.fromisoformat(short["created_at"])
    assert timedelta(hours=35) < lasts <= timedelta(hours=36)
    assert "--expires: '0d' has passed" in offerlog.fails(
        "keys", "create", "--role", "reporter", "--expires", "0d"
    )
    assert offerlog("keys", "revoke", made["id"]).json["revoked_at"]
    assert "there is no key" in offerlog.fails("keys", "revoke", "nonsense", code=1)
    error = offerlog.fails("keys", "revoke", stranger["id"])
    assert f"is of organization {other}, not {offerlog.organization}" in error
    assert offerlog("keys", "list", "--organization", other).lines[0]["revoked_at"] is None


@pytest.mark.parametrize(
    "words", [("serve", "--check", "--host", ""), ("serve", "--check", "--port", "70000")]
)
def test_no_store_is_made_for_a_call_that_is_wrong(cli_folder: Path, words: tuple[str, ...]) -> None:
    """What can be seen to be wrong is said first."""
    CommandLine(cli_folder / "store", "default").fails(*words)
    assert not (cli_folder / "store").exists()
