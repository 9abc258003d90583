"""What is built is what is meant: sdist, then the wheel from it, file by file; and it works installed."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

DATA = {".typed", ".sql", ".gz", ".html", ".css", ".js", ".svg", ".json", ".toml", ".txt", ".md"}
LAYERS = ("domain", "application", "infrastructure")
PACKAGES = (*((layer, f"offerlog_{layer}") for layer in LAYERS), ("infrastructure", "offerlog"))
"""Each package, with the folder that it lies in."""


@pytest.fixture(scope="module")
def built(run: Run, copy: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist of a copy of the tree, and the wheel built from that sdist."""
    tree = copy(tmp_path_factory.mktemp("wheel"))
    (tree / "tests").mkdir()
    (tree / "tests" / "test_stray.py").write_text("")
    (tree / "infrastructure" / "stray.py").write_text("")
    made = run(tree, "python", "-m", "build", "--no-isolation", "--outdir", tree / "dist", tree)
    assert made.returncode == 0, made.stdout + made.stderr
    return tree


def contents(tree: Path) -> set[str]:
    """What belongs into the wheel: every module and all data of the four packages."""
    return {
        file.relative_to(tree / layer).as_posix()
        for layer, package in PACKAGES
        for file in (tree / layer / package).rglob("*")
        if file.suffix in DATA | {".py"}
    }


def wheel_of(tree: Path) -> Path:
    """The one wheel that was built."""
    (wheel,) = (tree / "dist").glob("*.whl")
    return wheel


def test_the_wheel_holds_the_four_packages_and_nothing_else(built: Path) -> None:
    """Every module, the markers for type checkers, the SQL, the sample; no tests."""
    with zipfile.ZipFile(wheel_of(built)) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == contents(built)
    assert {name.partition("/")[0] for name in names} == {package for _, package in PACKAGES}
    assert {f"{package}/py.typed" for _, package in PACKAGES} <= names
    assert "offerlog_infrastructure/postgres/sql/0001_log.sql" in names


def test_all_packages_say_that_there_is_no_licence_and_cannot_be_published(root: Path) -> None:
    """Until the owner chooses one: then all of them change together."""
    assert not list(root.glob("LICEN[CS]E*"))
    for folder in (root, root / "clients" / "python"):
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert "license" not in project
        assert "Private :: Do Not Upload" in project["classifiers"]
    for file in (root / "clients").glob("*/package.json"):
        package = json.loads(file.read_text())
        assert (package["license"], package["private"]) == ("UNLICENSED", True)
    for page in (root, *(root / "clients").glob("*/")):
        assert "has not chosen a licence" in (page / "README.md").read_text()


def test_every_file_of_a_package_is_module_or_known_data(root: Path) -> None:
    """A new kind of file is meant to be in the wheel, so it is named here."""
    for layer in LAYERS:
        for file in (root / layer).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.suffix in DATA | {".py"}, file


def test_the_wheel_says_how_it_is_run(built: Path) -> None:
    """One command, `offerlog`, and metadata of this project."""
    with zipfile.ZipFile(wheel_of(built)) as archive:
        (entry_points,) = (n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt"))
        commands = ConfigParser()
        commands.read_string(archive.read(entry_points).decode())
    assert dict(commands["console_scripts"]) == {"offerlog": "offerlog_infrastructure.cli.main:main"}
    assert commands.sections() == ["console_scripts"]


def test_the_sdist_holds_the_sources_and_no_tests(built: Path) -> None:
    """Enough to build the wheel again."""
    (sdist,) = (built / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "PKG-INFO"} <= names
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == set(LAYERS)


def test_the_wheel_works_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    """In an environment that has the dependencies, but not the sources: modules, data and command."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*/site-packages"))
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    _done([sys.executable, *install, str(wheel_of(built))], tmp_path)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    script = (
        "import offerlog, offerlog_domain, offerlog_application, offerlog_infrastructure.composition as c\n"
        "from offerlog_infrastructure.postgres.migrations import migrations\n"
        "assert offerlog.open_offerlog is c.open_offerlog\n"
        "print(offerlog.__file__, offerlog_domain.__file__, offerlog_application.__file__, c.__file__,"
        " len(migrations()))"
    )
    *files, numbered = _done([str(python), "-c", script], tmp_path).split()
    assert all(Path(file).is_relative_to(site) for file in files)
    assert int(numbered) == len(list(built.rglob("postgres/sql/*.sql")))
    if (built / "infrastructure/offerlog_infrastructure/cli/main.py").exists():
        assert "offerlog" in _done([str(home / "bin" / "offerlog"), "--help"], tmp_path)


def _done(command: list[str], folder: Path) -> str:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=180
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
