"""`--help` of every command that there is: it teaches by an example, and fits a narrow terminal."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from offerlog_infrastructure.cli.commands import app, command_tree
from offerlog_infrastructure.cli.options import file_name, folder_name


def commands_under(command: object, *words: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """All commands, each with the words that call it, and whether it is a family of others."""
    yield words, isinstance(command, TyperGroup)
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from commands_under(one, *words, name)


ALL = list(commands_under(command_tree()))


@pytest.mark.parametrize(("words", "is_family"), ALL, ids=[" ".join(words) or "offerlog" for words, _ in ALL])
def test_help_teaches_and_fits(
    words: tuple[str, ...],
    is_family: bool,  # noqa: FBT001 - pytest's way
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command says what it does and, but for the families, gives an example; in 80 columns."""
    monkeypatch.setattr("typer.testing._get_command", lambda _: command_tree())  # else made for each anew
    narrow = {"COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    shown = CliRunner().invoke(app, [*words, "--help"], env=narrow)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "<bool>" not in shown.output  # a flag takes no value
    assert is_family or f"Example: offerlog {' '.join(words)}" in shown.output


def test_no_file_and_no_folder_has_an_empty_name() -> None:
    """A script's unset variable must not mean the current folder: the parser of each path says so."""
    command: Any = command_tree()
    for words, is_family in ALL:
        found = reduce(lambda family, word: family.commands[word], words, command)
        for one in () if is_family else found.params:
            if "pathlib.Path" in str(one.type_descriptor.annotation):
                read = one.type_descriptor.parameter_info.parser
                assert read in {file_name, folder_name}, (words, one.name)
