"""The problem of an error that no request can bring about."""

from pathlib import Path

from offerlog_application.ports.keyring import KeyringError
from offerlog_infrastructure.http.problems import SLUGS, describe_problem, problem_of
from offerlog_infrastructure.keyring.file_keyring import KeyringFileError


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
