"""Ruff's rules bite: each kind of slip that the house forbids is found with this configuration."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

CLEAN = '''"""A module."""


def double(number: int) -> int:
    """Twice the number."""
    return 2 * number
'''

SLIPS = [
    ("T201", 'print("hello")\n'),
    ("E722", "try:\n    double(1)\nexcept:\n    double(2)\n"),
    ("BLE001", "try:\n    double(1)\nexcept Exception:\n    double(2)\n"),
    ("S101", "assert double(1)\n"),
    ("DTZ005", "from datetime import datetime\n\ndatetime.now()\n"),
    ("D103", "def triple(number: int) -> int:\n    return 3 * number\n"),
    ("ANN001", 'def triple(number) -> int:\n    """Thrice."""\n    return 3 * int(number)\n'),
    ("S608", 'name = "x"\nquery = f"SELECT * FROM {name}"\n'),
    ("S105", 'password = "secret word"\n'),
    ("RUF100", "double(1)  # noqa: S101 - needless\n"),
    ("PGH003", "double(1)  # type: ignore\n"),
    ("ERA001", "# double(1)\n"),
    ("FBT001", 'def flag(on: bool) -> bool:\n    """On."""\n    return on\n'),
    ("F401", "import json\n"),
    ("E501", f'text = "{"x" * 110}"\n'),
]


def test_the_example_is_clean_before_the_slip(tree: Path, run: Run) -> None:
    """Otherwise the tests below would find something else."""
    (tree / "domain/offerlog_domain/example.py").write_text(CLEAN)
    assert run(tree, "ruff", "check", "--no-cache", "domain/offerlog_domain/example.py").returncode == 0


@pytest.mark.parametrize(("rule", "slip"), SLIPS)
def test_a_slip_in_the_domain_is_found(tree: Path, run: Run, rule: str, slip: str) -> None:
    """By its rule, so that no general exception lets it pass."""
    (tree / "domain/offerlog_domain/example.py").write_text(f"{CLEAN}\n\n{slip}")
    checked = run(
        tree, "ruff", "check", "--no-cache", "--output-format=concise", "domain/offerlog_domain/example.py"
    )
    assert checked.returncode == 1
    assert f" {rule} " in checked.stdout


def test_the_layout_is_checked(tree: Path, run: Run) -> None:
    """The formatter has one opinion, and `make lint` asks for it."""
    (tree / "domain/offerlog_domain/example.py").write_text(CLEAN.replace("2 * number", "2*number"))
    assert run(tree, "ruff", "format", "--no-cache", "--check", "domain").returncode == 1


def test_every_python_file_is_type_checked(root: Path) -> None:
    """The packages, the tests, the benches and the scripts: one command checks all of them, strictly."""
    # given
    mypy = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mypy"]
    # when
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=False, timeout=30
    )
    if listed.returncode:
        pytest.skip("the sources are not a Git checkout")
    # then
    assert mypy["strict"]
    assert {file.partition("/")[0] for file in listed.stdout.splitlines()} == set(mypy["files"])
