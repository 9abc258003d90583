"""`offerlog.testing`: a small project with its own tests, run by pytest as its author would."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import offerlog_domain
from offerlog.testing import SettableClock

DOCS = Path(offerlog_domain.__file__).parents[2] / "docs"

MANY = """
from uuid import uuid4

import pytest

from offerlog import Offerlog, OfferMade

MAP = str(uuid4())


@pytest.mark.parametrize("number", range(12))
def test_every_test_begins_with_an_empty_organization(offerlog_service: Offerlog, number: int) -> None:
    assert not list(offerlog_service.action_maps())
    made = offerlog_service.offer(customer_id="visitor-1", action_map_id=MAP, session_id=MAP)
    assert isinstance(made, OfferMade)
    offerlog_service.wait(made.position)
    assert [name for name, _ in offerlog_service.action_maps()] == [MAP]


def test_the_store_is_where_all_workers_find_it(offerlog_store) -> None:
    with open("STORES", "a") as file:
        file.write(f"{offerlog_store.data}\\n")


test_another_worker_finds_it_there = test_the_store_is_where_all_workers_find_it
"""


@pytest.fixture
def project() -> Iterator[Path]:
    """A folder that the server's user can enter, with the program of docs/testing.md in it."""
    with tempfile.TemporaryDirectory(prefix="offerlog-project-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "tmp").mkdir(mode=0o755)
        for code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", _text(), re.DOTALL | re.MULTILINE):
            (folder / code[0]).write_text(code[1])
        yield folder


def _text() -> str:
    return (DOCS / "testing.md").read_text(encoding="utf-8")


def run(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest there, with nothing of this run's in its environment."""
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=project,
        env=environment | {"TMPDIR": str(project / "tmp")},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_tests_of_the_documentation_pass(project: Path) -> None:
    """As they stand there, and the run leaves nothing behind."""
    assert {"conftest.py", "test_shop.py", "test_rules.py", "test_deadline.py"} <= {
        file.name for file in project.iterdir()
    }
    ran = run(project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^[4-9] passed", ran.stdout, re.MULTILINE)
    assert list((project / "tmp").glob("offerlog-pytest-*")) == []


def test_workers_share_one_store_and_every_test_has_its_own_organization(project: Path) -> None:
    """Under pytest-xdist as well; whatever the tests before have recorded."""
    (project / "test_many.py").write_text(MANY)
    ran = run(project, "-n", "2", "test_many.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "14 passed" in ran.stdout
    stores = (project / "STORES").read_text().split()
    assert len(stores) == 2
    assert len(set(stores)) == 1
    assert list((project / "tmp").glob("offerlog-pytest-*")) == []


def test_a_clock_stands_until_it_is_set() -> None:
    """In UTC, and never at a time without an offset."""
    clock = SettableClock(datetime.fromisoformat("2026-03-02T11:00:00+01:00"))
    assert clock.now() == clock.now() == datetime(2026, 3, 2, 10, tzinfo=UTC)
    clock.advance(timedelta(hours=1))
    assert clock.now() == datetime(2026, 3, 2, 11, tzinfo=UTC)
    with pytest.raises(ValueError, match="offset"):
        clock.set(datetime(2026, 3, 2))  # noqa: DTZ001 - the mistake in question
