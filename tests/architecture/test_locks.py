"""The locks agree: what runs is a part of what is tested, in the same versions, and holds no test tool."""

import re
import tomllib
from pathlib import Path

import pytest

LOCKED = re.compile(r"^([a-z0-9.-]+)(?:\[[a-z, ]+\])?==(\S+)(?: ; (.+?))?(?: \\)?$", re.MULTILINE)
NOT_IN_PRODUCTION = {
    *("pytest", "pytest-xdist", "hypothesis", "schemathesis", "playwright", "mypy", "ruff", "import-linter"),
    *("werkzeug", "build", "hatchling", "uv", "pip"),
    *("coverage", "pytest-cov", "pre-commit", "virtualenv", "mutmut", "cosmic-ray"),
    *("websockets", "watchfiles", "pyyaml"),
}
"""Tools, and the extras of uvicorn that nothing here uses."""


def locked(root: Path, name: str) -> dict[str, str]:
    """The version of each package in a lock."""
    return {package: version for package, version, _ in LOCKED.findall((root / name).read_text())}


@pytest.mark.parametrize("part", ["requirements.lock", "requirements-build.lock"])
def test_each_lock_is_a_part_of_what_is_tested(root: Path, part: str) -> None:
    """`make lock` writes them together; one edited by hand shows here."""
    # given
    tested = locked(root, "requirements-dev.lock")
    # when
    found = locked(root, part)
    # then
    assert len(found) > 4
    assert found.items() <= tested.items()


def test_production_holds_no_test_tool(root: Path) -> None:
    """What is not installed cannot be attacked."""
    found = locked(root, "requirements.lock")
    assert not found.keys() & NOT_IN_PRODUCTION
    assert locked(root, "requirements-dev.lock").keys() > found.keys()


def test_production_holds_every_dependency(root: Path) -> None:
    """Those of pyproject.toml, those of the extra for traces too."""
    # given
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["otel"]]
    # when
    names = {re.split(r"[\[<>=~! ]", one)[0].lower() for one in needed}
    # then
    assert names <= locked(root, "requirements.lock").keys()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"])
def test_a_lock_has_hashes_and_names_no_address(root: Path, name: str) -> None:
    """Pip refuses what has another hash, and takes it from wherever it is set up to."""
    text = (root / name).read_text()
    assert "://" not in text
    assert "index" not in text.replace("importlib", "")
    blocks = re.split(r"\n(?=[a-z0-9.-]+(?:\[[a-z, ]+\])?==)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)
