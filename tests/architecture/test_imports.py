"""The contracts of `.importlinter` are kept, and each of them bites."""

import configparser
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

INNER = "application/offerlog_application"
OUTER = "infrastructure/offerlog_infrastructure"

BITES = [
    ("layers", "domain/offerlog_domain/events.py", "import offerlog_application.ports"),
    ("layers", "domain/offerlog_domain/events.py", "import offerlog_infrastructure.settings"),
    ("layers", f"{INNER}/recording/offers.py", "import offerlog_infrastructure.clock"),
    ("layers", f"{OUTER}/clock.py", "import offerlog"),
    ("application-rooms", f"{INNER}/ports/read_side.py",
     "from offerlog_application.reading.audit import History"),
    ("application-rooms", f"{INNER}/recording/offers.py",
     "from offerlog_application.refusals.policy import RefusalPolicy"),
    ("pure-domain", "domain/offerlog_domain/decision.py", "import time"),
    ("pure-domain", "domain/offerlog_domain/decision.py", "from random import choice"),
    ("domain-packages", "domain/offerlog_domain/events.py", "import eventsourcing.domain"),
    ("domain-packages", "domain/offerlog_domain/events.py", "from psycopg import sql"),
    ("application-packages", f"{INNER}/ports/event_log.py", "import eventsourcing.persistence"),
    ("application-packages", f"{INNER}/ports/event_log.py", "import psycopg"),
    ("application-packages", f"{INNER}/ports/event_log.py", "from typer import Typer"),
    ("application-packages", f"{INNER}/recording/batches.py", "import msgspec"),
    ("wiring", f"{OUTER}/cli/__init__.py",
     "from offerlog_infrastructure.postgres.log.event_log import PostgresLog"),
    ("tracing", f"{OUTER}/clock.py", "from opentelemetry import trace"),
    ("application-packages", f"{INNER}/recording/writer.py", "import opentelemetry.trace"),
    ("application-packages", f"{INNER}/recording/writer.py", "import structlog"),
    ("arrow", f"{OUTER}/evidence/parquet.py", "import pyarrow"),
    ("fsspec", f"{OUTER}/archive/places.py", "import fsspec"),
    ("dask", f"{OUTER}/replaying/slice_replay.py", "import distributed"),
    ("ciphers", f"{OUTER}/postgres/keys.py", "from cryptography.fernet import Fernet"),
    ("embedded", f"{OUTER}/embedded/server.py",
     "from offerlog_infrastructure.postgres import migrations"),
    ("simulation", f"{OUTER}/simulation/traffic.py",
     "from offerlog_infrastructure.composition import open_offerlog"),
]  # fmt: skip
"""A contract, and an import that breaks it: in which file, and how."""

ALLOWED = {
    "domain/offerlog_domain": {"msgspec", "pydantic", "pydantic_core", "offerlog_domain"},
    "application/offerlog_application": {"offerlog_application", "offerlog_domain", "pyarrow"},
}
"""What the inner layers may import beside the standard library; whatever else is installed one day. A
contract says which modules know pyarrow, a library for values in memory."""


def contracts(root: Path) -> dict[str, str]:
    """The name of each contract by its key."""
    config = configparser.ConfigParser()
    config.read(root / ".importlinter")
    head = "importlinter:contract:"
    return {
        section.removeprefix(head): config[section]["name"]
        for section in config.sections()
        if section.startswith(head)
    }


def flat(text: str) -> str:
    """A text without its line breaks, wherever a tool has put them."""
    return " ".join(text.split())


def test_every_contract_is_kept(root: Path, run: Run) -> None:
    """As `make lint` says."""
    checked = run(root, "lint-imports", "--no-cache")
    assert checked.returncode == 0, checked.stdout
    assert f"Contracts: {len(contracts(root))} kept, 0 broken." in checked.stdout


def module_of(file: str) -> str:
    """The dotted name of a file of a layer."""
    return file.partition("/")[2].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.fixture(scope="module")
def broken(
    copy: Callable[[Path], Path], run: Run, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What is printed of each contract, by its name, once all violations above are in one tree."""
    tree = copy(tmp_path_factory.mktemp("violations"))
    for _, file, line in BITES:
        with (tree / file).open("a") as source:
            source.write(f"\n{line}\n")
    checked = run(tree, "lint-imports", "--no-cache")
    assert checked.returncode == 1
    names = set(contracts(tree).values())
    printed: dict[str, str] = {}
    name = ""
    _, _, details = checked.stdout.partition("Broken contracts")
    for line in details.splitlines():
        name = line if line in names else name
        printed[name] = printed.get(name, "") + line + "\n"
    return printed


@pytest.mark.parametrize(("contract", "file", "line"), BITES)
def test_a_violation_is_found(
    root: Path, broken: dict[str, str], contract: str, file: str, line: str
) -> None:
    """One import in one file, and that contract is broken, by its name."""
    _, imported, *names = line.split()
    # An outer package is one module to the tool; a name may be a module of the package in front of it.
    found = {imported, imported.partition(".")[0], f"{imported}.{names[-1] if names else ''}"}
    printed = broken[contracts(root)[contract]]
    assert any(f"{module_of(file)} -> {name} (" in printed for name in found), printed


def test_every_contract_has_a_violation_above(root: Path) -> None:
    """None that nobody has seen bite; each name is the sentence that explains it."""
    assert set(contracts(root)) == {contract for contract, _, _ in BITES}
    assert all(" " in name and len(name) > 40 for name in contracts(root).values())


@pytest.mark.parametrize("package", ALLOWED)
def test_the_inner_layers_import_nothing_else(
    root: Path, package: str, imported: Callable[[Path], set[str]]
) -> None:
    """The contracts forbid what is known today; this holds for all that may come."""
    for file in (root / package).rglob("*.py"):
        packages = {name.partition(".")[0] for name in imported(file)}
        assert packages <= ALLOWED[package] | sys.stdlib_module_names, file
