"""What can be said of the image without a container engine: its files, its context, its settings."""

import json
import re
import subprocess
import sys
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.processes import finish


@pytest.fixture
def dockerfile(root: Path) -> str:
    """Its text, one instruction a line."""
    return (root / "Dockerfile").read_text().replace("\\\n", " ")


@pytest.fixture
def compose(root: Path) -> Any:
    """What compose.yaml says."""
    return yaml.safe_load((root / "compose.yaml").read_text())


def in_context(root: Path, name: str) -> bool:
    """Whether a path reaches the build, by the rules of .dockerignore: the last line that matches decides."""
    inside = True
    for line in (root / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").replace("**/", "*")
        parts = [name, *(str(parent) for parent in Path(name).parents if str(parent) != ".")]
        if any(fnmatch(part, pattern) or fnmatch(f"/{part}", pattern) for part in parts):
            inside = line.startswith("!")
    return inside


@pytest.mark.parametrize(
    "name", [".git/config", ".venv/bin/python", "tests/conftest.py", ".env", "day.ndjson", "compose.yaml",
             "requirements-dev.lock", "domain/offerlog_domain/__pycache__/x.pyc"],
)  # fmt: skip
def test_the_build_sees_nothing_else(root: Path, name: str) -> None:
    """Neither secrets nor histories nor tests."""
    assert not in_context(root, name)


def test_everything_that_is_copied_is_in_the_build(root: Path, dockerfile: str) -> None:
    """Each COPY finds its files."""
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert {"domain", "application", "infrastructure", "requirements.lock", "pyproject.toml"} <= set(copied)
    for name in copied:
        assert (root / name).exists(), name
        assert in_context(root, name), name
    assert in_context(root, "infrastructure/offerlog_infrastructure/web/static/offerlog.js")


def test_the_image_installs_production_alone(dockerfile: str) -> None:
    """By hash; the build's tools stay in another stage."""
    last = dockerfile[dockerfile.rindex("\nFROM") :]
    assert "--require-hashes -r /srv/requirements.lock" in last
    assert "requirements-" not in last


def test_the_service_runs_as_a_number(dockerfile: str) -> None:
    """An orchestrator can see that it is not root."""
    (user,) = re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_whether_the_process_lives(dockerfile: str, status: int, code: int) -> None:
    """Run as it stands there, against a service on another port."""
    # given
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

    assert re.search(r"HEALTHCHECK.*--start-period=\d+s", dockerfile)
    words = json.loads(re.search(r"HEALTHCHECK.* CMD\s+(\[.*\])$", dockerfile, re.MULTILINE)[1])  # type: ignore[index] # it is there
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        # when
        words = [sys.executable, *(word.replace(":8000", f":{server.server_port}") for word in words[1:])]
        run = subprocess.run(words, env={}, capture_output=True, timeout=30, check=False)
        finish(thread)
    # then
    assert run.returncode == code
    assert asked == ["/healthz"]


def test_compose_gives_the_service_no_more_than_it_needs(compose: Any) -> None:
    """No capability, nothing to write to but volumes and /tmp, no way to new privileges."""
    service = compose["services"]["offerlog"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_keyring_is_on_a_volume_of_its_own(dockerfile: str, compose: Any) -> None:
    """A copy of the data must not hold the key, and a new container must find it."""
    # given
    file = Path(re.search(r"OFFERLOG_KEYRING=(\S+)", dockerfile)[1])  # type: ignore[index] # it is there
    volumes = re.search(r"^VOLUME (.+)$", dockerfile, re.MULTILINE)[1].split()  # type: ignore[index] # as above
    # then
    assert str(file.parent) in volumes
    assert re.search(r"OFFERLOG_DATA=(\S+)", dockerfile)[1] in {*volumes} - {str(file.parent)}  # type: ignore[index] # as above
    mounted = dict(one.split(":")[::-1] for one in compose["services"]["offerlog"]["volumes"])
    assert mounted[str(file.parent)] in compose["volumes"]


def test_compose_puts_the_password_into_no_address(compose: Any) -> None:
    """There it would have to be quoted as an address has it; the store takes it as it is."""
    environment = compose["services"]["offerlog"]["environment"]
    assert "$" not in environment["OFFERLOG_DATABASE_URL"]
    store = compose["services"]["store"]["environment"]
    assert environment["OFFERLOG_DATABASE_PASSWORD"] == store["POSTGRES_PASSWORD"]
