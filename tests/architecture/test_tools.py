"""A program that is missing is installed where that can be done, and else named, with what to do."""

import os
import subprocess
from pathlib import Path

import pytest

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def install(root: Path, path: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Ask for a program that is nowhere on this PATH, where only what the folder holds can be run."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return] # options of any kind
        ["/bin/sh", "-s", "chromium", "chromium", "make test"],
        input=(root / "tools" / "install").read_text(),
        env={"PATH": str(path)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def program(folder: Path, name: str, script: str) -> None:
    """Put a shell script on that PATH."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def path() -> Path:
    """A folder that any user may enter."""
    folder = Path(os.environ["OFFERLOG_TEST_FOLDER"])
    folder.chmod(0o755)
    made = folder / f"path-{os.urandom(4).hex()}"
    made.mkdir(mode=0o755)
    return made


def test_what_is_there_is_not_installed(root: Path, path: Path) -> None:
    """Nothing happens."""
    program(path, "chromium", "exit 7")
    run = install(root, path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_without_apt_it_says_what_to_install(root: Path, path: Path) -> None:
    """On macOS, for instance."""
    run = install(root, path)
    assert run.returncode == 1
    assert "make test needs the program chromium, and there is no apt-get here" in run.stderr
    assert "brew install chromium" in run.stderr


@only_root
def test_an_ordinary_user_gets_the_command_for_root(root: Path, path: Path) -> None:
    """It is not run."""
    program(path, "apt-get", "echo should not run; exit 9")
    program(path, "id", "echo 1000")
    run = install(root, path, user=65534, group=65534, extra_groups=[])
    assert run.returncode == 1
    assert "sudo apt-get install --no-install-recommends chromium" in run.stderr
    assert "should not run" not in run.stdout


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("echo no such package >&2; exit 100", 1)])
def test_root_installs_it(root: Path, path: Path, script: str, code: int) -> None:
    """Or is told that it did not work, with apt's own words."""
    program(path, "apt-get", script)
    program(path, "id", "echo 0")
    run = install(root, path)
    assert run.returncode == code
    assert run.stdout.startswith("installing chromium ...")
    assert ("could not install the package chromium" in run.stderr) is bool(code)
