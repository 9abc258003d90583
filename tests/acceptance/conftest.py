"""Failures inside the modules that hold expectations show their values; the command's store."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("model_answers", "scenario", "acceptance.command_line")

from acceptance.command_line import CommandLine  # noqa: E402 - rewritten, so after the line above
from offerlog_infrastructure.embedded import EmbeddedServer  # noqa: E402 - goes with it


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
def cli_store() -> Iterator[Path]:
    """The folder of an embedded store, its server kept running so that no command waits for one."""
    folder = _folder() / "store"
    with EmbeddedServer.acquire(folder):
        yield folder


@pytest.fixture
def offerlog(cli_store: Path) -> CommandLine:
    """The command, working for an organization that has seen nothing."""
    return CommandLine(cli_store, f"org-{uuid.uuid4().hex[:12]}")
