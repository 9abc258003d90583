"""The problem of an error that no request can bring about."""

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from offerlog_application.ports.keyring import KeyringError
from offerlog_infrastructure.http.problems import SLUGS, describe_problem, handle, problem_of
from offerlog_infrastructure.keyring.keyring_file import KeyringFileError


def test_a_keyring_that_cannot_be_used_has_a_problem_of_its_own() -> None:
    """Of any kind; the answer does not name the file, which is nobody's business outside."""
    for error in (KeyringError("no key"), KeyringFileError(Path("/etc/offerlog/keyring.json"), "is damaged")):
        # when
        problem = problem_of(error)
        # then
        assert describe_problem(problem)["type"] == "/problems/keyring-failed"
        assert problem.status == SLUGS["keyring-failed"] == 503
        assert problem.headers is not None
        assert "Retry-After" in problem.headers
        assert "/etc" not in problem.detail


def test_the_log_says_why_the_keys_cannot_be_used(caplog: pytest.LogCaptureFixture) -> None:
    """The operator learns what the answer does not say."""
    # given a request of a service whose keyring was damaged
    app = FastAPI()
    handle(app)

    @app.get("/")
    def fail() -> None:
        raise KeyringFileError(Path("/etc/offerlog/keyring.json"), "is damaged")

    # when it is made
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    # then
    assert answer.status_code == 503
    assert "the keyring /etc/offerlog/keyring.json is damaged" in caplog.text
    assert "/etc" not in answer.text
