"""Rules about the sources that no tool has: who reads the environment, names, sizes, reasons."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

MAY_READ = {
    "infrastructure/offerlog_infrastructure/cli/commands.py": {"OFFERLOG_DEBUG"},
    "infrastructure/offerlog_infrastructure/embedded/binaries.py": {"PG_BINDIR"},
    "infrastructure/offerlog_infrastructure/observability/log_output.py": {"NO_COLOR"},
    "infrastructure/offerlog_infrastructure/settings_file.py": {"OFFERLOG_CONFIG", "XDG_CONFIG_HOME"},
}
"""Beside the settings, which read by pydantic, only these read the environment, and only this of it."""

NO_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
MAX_LINES = 400
LONGER = {"verify_bundle.py": 575, "answers.py": 1_000}
"""An auditor gets the verifier as one file and reads it whole, so it may not be cut into modules. The types
of the Python client are made from the OpenAPI document, and nobody edits them.
"""

SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|fmt:\s*(?:off|skip)|pragma)\b")
REASONED = re.compile(
    r"#\s*(?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[a-z, -]+\])\s*(?:- |# ?|\()[^\s#)][^#]{5,}"
)
SHAPE = re.compile(r"#\s*fmt: (skip|off)\s*$")
"""How a thing is laid out gives its own reason."""


def sources(root: Path) -> Iterator[Path]:
    """Every module of the three packages."""
    for layer in ("domain", "application", "infrastructure"):
        yield from sorted((root / layer).rglob("*.py"))


def environment_read(tree: ast.Module) -> Iterator[str]:
    """Every variable that a module asks the environment for; `*` for all at once or any."""
    keyed: dict[int, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ") as all_of_it), args=[key, *_]
            ):
                keyed[id(all_of_it)] = _text(key)
            case ast.Subscript(value=ast.Attribute(attr="environ") as all_of_it, slice=key):
                keyed[id(all_of_it)] = _text(key)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="getenv"), args=[key, *_]):
                yield _text(key)
            case ast.ImportFrom(module="os", names=names):
                yield from (
                    "*" for alias in names if alias.name in {"environ", "environb", "getenv", "getenvb"}
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb"}:
            yield keyed.get(id(node), "*")


def _text(key: ast.expr) -> str:
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "*"


def test_only_the_settings_read_the_environment(root: Path) -> None:
    """What an operator may set is in one place, but for variables that concern one file each."""
    for file in sources(root):
        where = file.relative_to(root).as_posix()
        read = set(environment_read(ast.parse(file.read_text())))
        assert read <= MAY_READ.get(where, set()), where
        if where != "infrastructure/offerlog_infrastructure/settings.py":
            assert "pydantic_settings" not in file.read_text(), where


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("import os\nos.environ['A']", {"A"}),
        ("import os\nos.environ.get('A', '')", {"A"}),
        ("import os\nos.getenv('A')", {"A"}),
        ("import os\ndict(os.environ)", {"*"}),
        ("import os\nos.environ.get(name)", {"*"}),
        ("from os import environ", {"*"}),
        ("import os\nos.getcwd()", set()),
    ],
)
def test_reading_the_environment_is_recognised(source: str, read: set[str]) -> None:
    """In every way of writing it."""
    assert set(environment_read(ast.parse(source))) == read


def test_names_say_what_a_module_is_about(root: Path) -> None:
    """No module or folder is called after nothing in particular."""
    for file in sources(root):
        assert not NO_NAMES & {part.strip("_") for part in file.relative_to(root).with_suffix("").parts}, file


def test_files_are_short(root: Path) -> None:
    """A file that has grown past this holds more than one thing; tests and benches too."""
    more = (
        file
        for folder in ("tests", "benchmarks", "docs", "clients", "examples")
        for file in (root / folder).rglob("*.py")
    )
    for file in (*sources(root), *more):
        assert len(file.read_text().splitlines()) <= LONGER.get(file.name, MAX_LINES), file


def unreasoned(source: str) -> list[str]:
    """Lines that switch off a check without saying why."""
    return [
        line
        for line in source.splitlines()
        if SUPPRESSION.search(line) and not SHAPE.search(line) and not REASONED.search(line)
    ]


def test_every_suppression_has_its_reason(root: Path) -> None:
    """On its line, behind the rule's code."""
    bare = {
        f"{file.relative_to(root)}: {line.strip()}"
        for file in [*sources(root), *sorted((root / "tests").rglob("*.py"))]
        if file.parent != Path(__file__).parent  # they hold examples
        for line in unreasoned(file.read_text())
    }
    assert not bare


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("x = 1  # noqa", True),
        ("x = 1  # noqa: S101", True),
        ("x = 1  # noqa: S101 -", True),
        ("x = 1  # type: ignore[misc]", True),
        ("x = 1  # type: ignore", True),
        ("x = 1  # noqa: S101 - the library makes no other", False),
        ("x = 1  # noqa: S101, E722 - the library makes no other", False),
        ("x = 1  # noqa: S311 (a repeatable simulation, no secret)", False),
        ("x = 1  # type: ignore[override] # the library narrows it so", False),
        ("x = 1  # noqa: PLC0415 - --help need not wait for it", False),
        ("x = 1  # fmt: skip", False),
    ],
)
def test_a_missing_reason_is_recognised(line: str, bare: bool) -> None:  # noqa: FBT001 - pytest's way
    """A code alone is no reason."""
    assert bool(unreasoned(line)) is bare


def test_every_package_says_that_it_is_typed(root: Path) -> None:
    """Type checkers of users look for this file."""
    for layer in ("domain", "application", "infrastructure"):
        assert (root / layer / f"offerlog_{layer}" / "py.typed").exists()
