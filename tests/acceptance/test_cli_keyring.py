"""The keyring, as a user meets it: made once with one line, and an error that helps where it is missing."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from support.command_line import COMMAND_ENTRY, CommandLine, an_id, signal_of
from support.preloaded import preloaded
from support.processes import LimitedProcess

REFUSED: Final = b'{"a": 1}\n'
"""A file with one signal, which is refused."""


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """The place of a keyring that is not there yet."""
    return tmp_path / "config" / "keyring.json"


@pytest.fixture
def command(dsn: str, keyring: Path, tmp_path: Path) -> CommandLine:
    """The command over a database in which nothing was recorded, and which no keyring belongs to yet."""
    return CommandLine(
        tmp_path / "none", "acme", (("OFFERLOG_DATABASE_URL", dsn), ("OFFERLOG_KEYRING", str(keyring)))
    )


def made_line(keyring: Path) -> str:
    """What a first start says, once."""
    return (
        f"offerlog: made the keyring {keyring}: keep a copy of it, apart from the copies of the data; without"
        " it nobody can read the store any more\n"
    )


def test_the_first_start_makes_the_keyring_and_says_so_once(command: CommandLine, keyring: Path) -> None:
    """Without a question; the second start is silent, and the file stays as it is."""
    # when
    first = command("record", "-", given=REFUSED)
    made = keyring.read_bytes()
    second = command("record", "-", given=REFUSED)
    # then
    assert made_line(keyring) in first.errors
    assert first.errors.count("made the keyring") == 1
    assert "keyring" not in second.errors
    assert keyring.read_bytes() == made


def test_two_first_starts_at_once_make_one_keyring(command: CommandLine) -> None:
    """One of them says so, and both record."""
    # when
    words = [*preloaded(COMMAND_ENTRY), "record", "-"]
    started = [
        LimitedProcess(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=command.environment,
        )
        for _ in range(2)
    ]
    errors = b"".join([one.communicate(REFUSED, timeout=60)[1] for one in started])
    # then
    assert [one.returncode for one in started] == [0, 0]
    assert errors.count(b"made the keyring") == 1
    assert command("refusals", "--count", "--format", "json").json["refusals"] == 2


def test_a_store_whose_keyring_is_not_there_is_one_clear_error(command: CommandLine, keyring: Path) -> None:
    """Which file, which key, what to do; for every command, and nothing is made in its place."""
    # given
    command("record", "-", given=REFUSED)
    away = keyring.rename(keyring.with_name("away.json"))
    kek_id = FileKeyring(away).kek_id
    for words in (["report"], ["sample"], ["serve", "--check", "--port", "0"], ["projections", "status"]):
        # when
        error = command.fails(*words, code=1)
        # then
        assert error == (
            f"offerlog: the keyring {keyring} is not there, so it does not hold the key {kek_id} of this"
            " store: put the file that was made with the store there, or name its place with --keyring or"
            " OFFERLOG_KEYRING"
        )
    assert not keyring.exists()
    # when its place is named
    command("report", "--keyring", str(away))
    command("--keyring", str(away), "projections", "status")
    command("projections", "--keyring", str(away), "status")


def test_a_keyring_of_another_store_is_an_error(command: CommandLine, keyring: Path) -> None:
    """It is left as it is."""
    # given
    command("record", "-", given=REFUSED)
    keyring.unlink()
    FileKeyring(keyring).wrap(bytes(32))
    other = keyring.read_bytes()
    # when
    error = command.fails("report", code=1)
    # then
    assert f"the keyring {keyring} does not hold the key " in error
    assert keyring.read_bytes() == other


def test_a_keyring_that_others_may_read_is_an_error(command: CommandLine, keyring: Path) -> None:
    """With the command that mends it."""
    # given
    command("record", "-", given=REFUSED)
    keyring.chmod(0o644)
    # when
    error = command.fails("report", code=1)
    # then
    assert error == f"offerlog: the keyring {keyring} may be used by others: run `chmod 600 '{keyring}'`"
    # when
    keyring.chmod(0o600)
    command("report")


def test_a_keyring_among_the_data_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Every copy of the data would hold the key."""
    # given
    command = CommandLine(tmp_path / "new", "acme")
    # when
    error = command.fails("sample", "--keyring", str(tmp_path / "new" / "keyring.json"), code=1)
    # then
    assert "is in the data folder" in error
    assert not (tmp_path / "new").exists()


def test_an_empty_name_is_no_file(command: CommandLine) -> None:
    """An unset variable of a script must not mean the usual keyring."""
    assert "an empty name is no file" in command.fails("report", "--keyring", "")


def test_keys_are_listed_rotated_and_retired(command: CommandLine, keyring: Path) -> None:
    """The copy from before lacks the new key, and the former key is removed only when it is asked for."""
    # given
    command.judged(signal_of("offered", an_id(), an_id()))
    (first,) = command("keyring", "list", "--format", "json").lines
    assert (first["current"], first["visitors"], first["organizations"]) == (True, 1, 1)
    # when
    rotated = command("keyring", "rotate")
    # then
    key = rotated.json["key"]
    assert f"added the key {key} to the keyring {keyring}: replace the copies of the file" in rotated.errors
    assert rotated.json == {"key": key, "resumed": False, "visitors": 1, "organizations": 1}
    old, new = command("keyring", "list", "--format", "json").lines
    assert (old["key"], old["current"], old["visitors"]) == (first["key"], False, 0)
    assert (new["key"], new["current"], new["visitors"]) == (key, True, 1)
    assert new["key"] in command("keyring", "list").text
    assert "can never be opened again: give --yes" in command.fails("keyring", "retire", old["key"])
    assert "it is the current key" in command.fails("keyring", "retire", new["key"], "--yes", code=1)
    assert command("keyring", "retire", old["key"], "--yes").json == {"retired": old["key"]}
    assert [one["key"] for one in command("keyring", "list", "--format", "json").lines] == [new["key"]]
