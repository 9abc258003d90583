"""Failures inside the modules that hold expectations show their values; the command's store."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("model_answers", "scenario", "acceptance.command_line")

from acceptance.command_line import CommandLine  # noqa: E402 - rewritten, so after the line above
from offerlog_infrastructure.composition import open_offerlog  # noqa: E402 - goes with it
from offerlog_infrastructure.service import Offerlog  # noqa: E402 - goes with it


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
    with open_offerlog(data=folder, keep_deadlines=False, project=False) as service:
        yield folder, service


@pytest.fixture
def offerlog(cli_store: tuple[Path, Offerlog]) -> CommandLine:
    """The command, working for an organization that is known and has seen nothing."""
    folder, service = cli_store
    organization = f"org-{uuid.uuid4().hex[:12]}"
    service.organizations.register(organization)
    return CommandLine(folder, organization)
