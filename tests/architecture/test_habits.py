"""The files that editors, git and newcomers use agree with the Makefile and with the sources."""

import configparser
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDERS = (
    *("domain", "application", "infrastructure", "tests", "benchmarks", "docs", "tools", ".ci"),
    *("clients", "examples"),
)
PLACES = ("application/offerlog_application", "infrastructure/offerlog_infrastructure")
"""Packages whose folders the pages name without them."""
TEXT = {".c", ".css", ".html", ".js", ".md", ".py", ".sql", ".toml", ".ts", ".yaml", ""}
"""Suffixes of files that people write; files without a suffix are scripts and settings."""
NOT_OURS = {"vendor", "__pycache__", "node_modules"}
"""Folders of files that nobody here writes."""


def rules(makefile: str) -> dict[str, list[str]]:
    """Map every target of the Makefile, files and special targets left out, to the lines of its recipe."""
    found: dict[str, list[str]] = {}
    for names, recipe in re.findall(r"^([a-z][a-z% -]*):(?!=).*\n((?:\t.*\n)*)", makefile, re.MULTILINE):
        for name in names.split():
            found.setdefault(name, []).extend(recipe.splitlines())
    return found


@pytest.fixture
def makefile(root: Path) -> str:
    """Its text."""
    return (root / "Makefile").read_text()


@pytest.fixture
def hooks(root: Path) -> Any:
    """The repositories of hooks that git's pre-commit names."""
    return yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]


def test_the_hooks_run_the_commands_of_make_lint(makefile: str, hooks: Any) -> None:
    """The same commands in the same order, on the whole tree."""
    # given
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in rules(makefile)["lint"]]
    # when
    called = [hook["entry"] for repository in hooks for hook in repository["hooks"]]
    # then
    assert len(commands) >= 4
    assert called == commands


def test_the_hooks_fetch_nothing(hooks: Any) -> None:
    """They run what requirements-dev.lock has installed, and no other version of it."""
    assert [repository["repo"] for repository in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False, "the commands name their files themselves"
        assert hook["always_run"] is True, "a change of settings concerns every file"


def test_make_help_lists_every_target(root: Path, makefile: str) -> None:
    """With its meaning in one line that fits on a terminal."""
    # when
    printed = subprocess.check_output(["make", "help"], cwd=root, text=True, timeout=30)
    # then
    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", printed, re.MULTILINE))
    patterns = [name.replace("NAME", "*") for name in listed]
    for target in rules(makefile):
        assert any(fnmatch(target.replace("%", "*"), pattern) for pattern in patterns), target
    assert all(len(line) <= 120 for line in printed.splitlines())


def test_the_worked_paths_name_what_exists(root: Path, makefile: str) -> None:
    """Files and folders, targets of make, and names of the code: a move or a new name shows here."""
    # given
    spans = re.findall(r"`([^`\n]+)`", (root / "docs/contributing.md").read_text())
    code = (
        makefile
        + (root / "pyproject.toml").read_text()
        + "".join(
            file.read_text() for folder in FOLDERS for file in (root / folder).rglob("*.py") if file.is_file()
        )
    )
    # when
    paths = [span for span in spans if re.fullmatch(r"[\w.]+/[\w./-]*|[\w-]+\.(?:py|lock|toml)", span)]
    names = [span for span in spans if re.fullmatch(r"_?[A-Z]\w+|[a-z]+_[a-z_]+|_[a-z]+", span)]
    targets = [span.removeprefix("make ") for span in spans if span.startswith("make ")]
    # then
    assert len(paths) > 40
    assert len(names) > 15
    folders = [root, *(root / folder for folder in PLACES)]
    for path in paths:
        assert path.startswith(".venv/") or any((folder / path).exists() for folder in folders), path
    for name in names:
        assert re.search(rf"\b{name}\b", code), name
    assert set(targets) <= rules(makefile).keys()


def settings(root: Path) -> list[tuple[str, dict[str, str]]]:
    """The sections of .editorconfig, the general one first, each with its pattern for names of files."""
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (root / ".editorconfig").read_text())
    return [(name, dict(parser[name])) for name in parser.sections() if name != "top"]


def wanted(sections: list[tuple[str, dict[str, str]]], name: str) -> dict[str, str]:
    """The layout of a file; later sections win, and `*.{a,b}` means `*.a` or `*.b`."""
    layout: dict[str, str] = {}
    for pattern, keys in sections:
        head, _, rest = pattern.partition("{")
        choices, _, tail = rest.partition("}")
        if any(fnmatch(name, head + choice + tail) for choice in choices.split(",")):
            layout |= keys
    return layout


def faults(layout: dict[str, str], content: bytes) -> Iterator[str]:
    """What a file has that its layout forbids; ruff measures lines, and has its own exceptions."""
    try:
        text = content.decode(layout["charset"])
    except UnicodeDecodeError:
        yield "charset"
        return
    lines = text.split("\n")
    if "\r" in text:
        yield "end_of_line"
    if text and lines[-1]:
        yield "insert_final_newline"
    if any(line != line.rstrip() for line in lines):
        yield "trim_trailing_whitespace"
    if layout["indent_style"] == "space" and any(re.match(" *\t", line) for line in lines):
        yield "indent_style"


def test_files_have_the_layout_of_the_editorconfig(root: Path) -> None:
    """So that an editor that obeys it changes nothing else in a file."""
    sections = settings(root)
    files = [file for file in root.iterdir() if file.is_file()]
    files += [file for folder in FOLDERS for file in (root / folder).rglob("*") if file.is_file()]
    seen = 0
    for file in files:
        if file.suffix in TEXT and not NOT_OURS & set(file.parts) and file.name != ".git":
            seen += 1
            assert not list(faults(wanted(sections, file.name), file.read_bytes())), file
    assert seen > 400


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.py", b"\tx = 1\n", "indent_style"),
        ("a.py", b"x = 1 \n", "trim_trailing_whitespace"),
        ("a.py", b"x = 1", "insert_final_newline"),
        ("a.py", b"x = 1\r\n", "end_of_line"),
        ("a.md", b"\xff\n", "charset"),
    ],
)
def test_another_layout_is_recognised(root: Path, name: str, content: bytes, fault: str) -> None:
    """Each setting is compared."""
    assert fault in list(faults(wanted(settings(root), name), content))


def test_the_editorconfig_has_the_numbers_of_ruff(root: Path) -> None:
    """Line length, and the tabs without which make reads no recipe."""
    ruff = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["ruff"]
    assert wanted(settings(root), "module.py")["max_line_length"] == str(ruff["line-length"])
    assert wanted(settings(root), "Makefile")["indent_style"] == "tab"
    assert wanted(settings(root), "base.html")["indent_size"] == "2"
