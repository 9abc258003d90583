"""What every test needs: assertions that show their values, a time limit, databases of its own."""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator

import httpx
import pytest

pytest.register_assert_rewrite("support")  # before any import from there
pytest_plugins = ["support.time_limits", "support.databases", "support.file_order"]

FOLDER = "OFFERLOG_TEST_FOLDER"


def pytest_configure() -> None:
    """Name the run's folder once; worker processes inherit the name."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="offerlog-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind; the workers have stopped by now."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _tls_settings_are_made_once() -> Iterator[None]:
    """Clients of tests speak plain HTTP, but each would read all certificates at first: 50 ms of CPU time."""
    made_once = functools.cache(httpx.create_ssl_context)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("httpx._transports.default.create_ssl_context", made_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _idle_projectors_look_less_often() -> Iterator[None]:
    """Services of a test process are idle for most of a run, and each look takes time from other tests.

    A wait wakes the projector of its service, so it takes no longer.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("offerlog_infrastructure.postgres.projections.projector._LOOK_SECONDS", 0.05)
        yield
