"""A pytest plugin: what a test process does once, where a separate program would do it again and again."""

import contextlib
import functools
import gc
from collections.abc import Iterator

import httpx
import pytest

from support.preloaded import LOOK_SECONDS


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Collect no garbage while tests are loaded: nearly all stays, and would be searched again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exclude all that is loaded from garbage collections: each would search it, which takes 0.1 s."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _costs_of_a_test_process() -> Iterator[None]:
    """Save what the many clients and services of one process cost together.

    Clients speak plain HTTP, but each would read all certificates at first, in 0.05 s. A service that is
    served freezes all objects, as `pytest_collection_finish` has done, and lets them go in the end. Services
    are idle for most of a test, and each look of a projector takes time; a wait wakes the projector anyway.
    """
    made_once = functools.cache(httpx.create_ssl_context)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("httpx._transports.default.create_ssl_context", made_once)
        patched.setattr("offerlog_infrastructure.http.server.server._freeze_objects", contextlib.nullcontext)
        patched.setattr("offerlog_infrastructure.postgres.projections.projector._LOOK_SECONDS", LOOK_SECONDS)
        yield
