"""The store of the command under test."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog
from support.command_line import CommandLine
from support.ready_stores import put_store


def _folder() -> Path:
    """A folder that the server's own user can reach; it goes with the test run."""
    run = Path(os.environ["OFFERLOG_TEST_FOLDER"])
    run.chmod(0o755)
    folder = Path(tempfile.mkdtemp(prefix="cli-", dir=run))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def cli_folder() -> Path:
    """A folder of the test's own, for a store."""
    return _folder()


@pytest.fixture(scope="session")
def cli_store() -> Iterator[tuple[Path, Offerlog]]:
    """The folder of an embedded store and a service on it, which keeps the server running."""
    folder = _folder() / "store"
    put_store(folder)
    with open_offerlog(data=folder, keep_deadlines=False, project=False) as service:
        yield folder, service


@pytest.fixture
def offerlog(cli_store: tuple[Path, Offerlog]) -> CommandLine:
    """The command, working for an organization that is known and has seen nothing."""
    folder, service = cli_store
    organization = f"org-{uuid.uuid4().hex[:12]}"
    service.organizations.register(organization)
    return CommandLine(folder, organization)
