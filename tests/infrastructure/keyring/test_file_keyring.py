"""A keyring in a file: made once, private, and never replaced."""

import json
import logging
import secrets
import stat
import subprocess
from pathlib import Path

import pytest

from offerlog_infrastructure.keyring.file_keyring import FileKeyring, KeyMissingError, KeyringFileError, id_of
from support.preloaded import preloaded_code
from support.processes import LimitedProcess

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The place of a keyring, in a folder that is not there yet."""
    return tmp_path / "config" / "keyring.json"


def test_a_key_that_was_wrapped_is_unwrapped_by_another_process_of_the_same_file(path: Path) -> None:
    """The store never sees the key that encrypts."""
    # given
    wrapped = FileKeyring(path).wrap(KEY)
    # when
    again = FileKeyring(path).unwrap(*wrapped)
    # then
    assert again == KEY
    assert KEY not in wrapped.data
    assert len(wrapped.data) == len(KEY) + 8


def test_the_file_is_made_at_first_use_and_one_line_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its owner alone may read it."""
    # given
    keyring = FileKeyring(path)
    assert not path.parent.exists()
    # when
    with caplog.at_level(logging.WARNING):
        keyring.wrap(KEY)
        keyring.wrap(KEY)
    # then
    (line,) = caplog.messages
    assert str(path) in line
    assert "keep a copy" in line
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["keyring.json"]


PRINT_ID = (
    "import sys; from pathlib import Path;"
    " from offerlog_infrastructure.keyring.file_keyring import FileKeyring;"
    " print(FileKeyring(Path(sys.argv[1])).kek_id)"
)


def test_processes_that_make_it_at_once_agree_on_one_key(path: Path) -> None:
    """The file of the first one stays."""
    # given
    command = [*preloaded_code(PRINT_ID), str(path)]
    # when
    started = [LimitedProcess(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    printed = {one.communicate(timeout=60)[0] for one in started}
    # then
    assert printed == {f"{FileKeyring(path).kek_id}\n"}


def test_a_key_of_another_keyring_is_named(path: Path, tmp_path: Path) -> None:
    """The error says where the file belongs."""
    # given
    wrapped = FileKeyring(tmp_path / "other.json").wrap(KEY)
    # when there is no file
    with pytest.raises(KeyMissingError, match=f"{path} is not there, .* {wrapped.kek_id} .*OFFERLOG_KEYRING"):
        FileKeyring(path).unwrap(*wrapped)
    # when there is a file with another key
    FileKeyring(path).wrap(KEY)
    with pytest.raises(KeyMissingError, match="does not hold the key"):
        FileKeyring(path).unwrap(*wrapped)


def test_a_wrapped_key_that_was_changed_is_not_unwrapped(path: Path) -> None:
    """A single bit is enough."""
    keyring = FileKeyring(path)
    kek_id, data = keyring.wrap(KEY)
    with pytest.raises(KeyringFileError, match="cannot decrypt"):
        keyring.unwrap(kek_id, bytes([data[0] ^ 1]) + data[1:])


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    """With the command that mends it."""
    FileKeyring(path).wrap(KEY)
    path.chmod(0o640)
    with pytest.raises(KeyringFileError, match=f"chmod 600 '{path}'"):
        FileKeyring(path)


KEY_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"current": "x", "keys": {}}),
        json.dumps({"current": "x", "keys": {"x": 7}}),
        json.dumps({"current": "x", "keys": {"x": KEY_TEXT}}),
        json.dumps({"current": id_of(KEY), "keys": {id_of(KEY): KEY_TEXT[4:]}}),
        json.dumps({"current": "x", "keys": {id_of(KEY): KEY_TEXT}}),
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    """Nothing is made in its place: it may be mended."""
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyringFileError, match="damaged"):
        FileKeyring(path)
    assert path.read_text() == text


def test_a_whole_file_of_another_is_read(path: Path) -> None:
    """The text of the tests above is one without damage."""
    path.parent.mkdir()
    path.write_text(json.dumps({"current": id_of(KEY), "keys": {id_of(KEY): KEY_TEXT}}))
    path.chmod(0o600)
    assert FileKeyring(path).kek_id == id_of(KEY)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Also where a file stands in its place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyringFileError, match="Not a directory"):
        FileKeyring(tmp_path / "file" / "keyring.json").wrap(secrets.token_bytes(32))
