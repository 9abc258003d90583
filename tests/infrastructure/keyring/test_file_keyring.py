"""A keyring in a file: made once, private, and never replaced."""

import json
import logging
import secrets
import stat
import subprocess
from pathlib import Path

import pytest

from offerlog_infrastructure.keyring.file_keyring import FileKeyring, KeyMissingError
from offerlog_infrastructure.keyring.keyring_file import KeyringFileError, id_of
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


def test_a_new_key_is_current_at_once_and_the_former_one_still_decrypts(path: Path) -> None:
    """Another process of the same file uses it once it reads the file again, and decrypts."""
    # given two processes
    one, other = FileKeyring(path), FileKeyring(path)
    old = one.wrap(KEY)
    other.refresh()
    # when
    added = one.add_key()
    new = one.wrap(KEY)
    # then
    assert added == one.kek_id == new.kek_id != old.kek_id
    assert other.kek_id == old.kek_id
    assert other.unwrap(*new) == other.unwrap(*old) == one.unwrap(*old) == KEY
    assert other.kek_id == added
    assert list(one.made_at()) == [old.kek_id, added]
    assert None not in one.made_at().values()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_a_key_that_was_removed_is_gone_and_the_current_one_stays(path: Path) -> None:
    """From the file, and for every process that reads it from then on."""
    # given
    keyring = FileKeyring(path)
    old = keyring.wrap(KEY)
    keyring.add_key()
    # when
    keyring.remove_key(old.kek_id)
    # then
    with pytest.raises(KeyMissingError, match="does not hold the key"):
        FileKeyring(path).unwrap(*old)
    with pytest.raises(KeyringFileError, match="current key, which cannot be removed"):
        keyring.remove_key(keyring.kek_id)
    with pytest.raises(KeyMissingError):
        keyring.remove_key(old.kek_id)
    assert list(FileKeyring(path).made_at()) == [keyring.kek_id]


def test_a_change_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it fails at the last moment; nothing is left beside the file."""
    # given
    keyring = FileKeyring(path)
    keyring.wrap(KEY)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    # when
    with pytest.raises(KeyringFileError, match="cannot be changed: No space left on device"):
        keyring.add_key()
    # then
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


ADD_KEY = (
    "import sys; from pathlib import Path;"
    " from offerlog_infrastructure.keyring.file_keyring import FileKeyring;"
    " print(FileKeyring(Path(sys.argv[1])).add_key())"
)


def test_processes_that_add_keys_at_once_lose_none(path: Path, tmp_path: Path) -> None:
    """Nor does a link to the file become a file."""
    # given a link, as a mounted secret may be
    first = FileKeyring(path).kek_id
    link = tmp_path / "link.json"
    link.symlink_to(path)
    # when
    command = [*preloaded_code(ADD_KEY), str(link)]
    started = [LimitedProcess(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    added = {one.communicate(timeout=60)[0].strip() for one in started}
    # then
    assert len(added) == 4
    assert set(FileKeyring(path).made_at()) == {first, *added}
    assert link.is_symlink()
