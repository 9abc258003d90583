"""The project's tree, and copies of it that a test may spoil."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import offerlog_domain

ROOT: Final = Path(offerlog_domain.__file__).parents[2]
LAYERS: Final = ("domain", "application", "infrastructure")
FILES: Final = ("pyproject.toml", ".importlinter", "README.md", "CHANGELOG.md")


@pytest.fixture(scope="session")
def root() -> Path:
    """Where the sources under test lie."""
    return ROOT


@pytest.fixture(scope="session")
def copy() -> Callable[[Path], Path]:
    """Copies the sources, and what configures their tools, into a folder."""

    def make(folder: Path) -> Path:
        tree = folder / "tree"
        for layer in LAYERS:
            shutil.copytree(ROOT / layer, tree / layer, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(ROOT / name, tree / name)
        return tree

    return make


@pytest.fixture
def tree(copy: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A copy that the test may spoil."""
    return copy(tmp_path)


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one of the virtual environment's programs on the tree in a folder."""

    def ran(folder: Path, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join(str(folder / layer) for layer in LAYERS)
        return subprocess.run(
            [str(Path(sys.executable).parent / program), *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "300"},
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )

    return ran


@pytest.fixture(scope="session")
def imported() -> Callable[[Path], set[str]]:
    """Finds the full name of every module that a file imports."""

    def names(file: Path) -> set[str]:
        found: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute"
                found.add(node.module or "")
        return found

    return names
