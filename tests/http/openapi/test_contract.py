"""Schemathesis holds the service to its OpenAPI document: every operation and every check."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.http.openapi import examples
from support.http_site import Site

pytest_plugins = ("support.http_site",)

CONTRACT = Path(__file__).parent / "contract"
RUNS = {
    # These would take away what the other operations ask about, and find nothing the second time.
    Role.ADMIN: [
        "--exclude-operation-id=eraseVisitor",
        "--exclude-operation-id=eraseVisitorOf",
        "--exclude-operation-id=deleteOrganization",
        "--exclude-operation-id=deleteWebhook",
    ],
    Role.SERVICE: ["--include-tag=signals", "--include-tag=offers"],
}
"""By the caller's role; what other operations say to a service key, the tests of access know."""


@pytest.mark.parametrize("role", list(RUNS))
def test_schemathesis_finds_nothing(site: Site, role: Role, tmp_path: Path) -> None:
    """What each may hold is in `contract/`.

    Examples, always the same, and edge cases with the key that may do all: a service key leads to the same
    code. `make examples` adds edge cases, random texts and sequences of requests for both.
    OFFERLOG_CONTRACT sets the options, such as `-n 500 --seed 7`.
    """
    with site.client() as admin:  # so that the stream has an event from the start
        admin.post("/v1/signals", json=examples.REQUESTS["recordSignals"]["several"])
        webhook = admin.post("/v1/webhooks", json=examples.REQUESTS["createWebhook"]["all"]).json()["id"]
        site.service.catch_up()
    phases = "examples,coverage" if role is Role.ADMIN else "examples"
    options = os.environ.get("OFFERLOG_CONTRACT", f"--phases={phases} --generation-deterministic").split()
    schemathesis = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        f"--config-file={CONTRACT / 'schemathesis.toml'}",
    ]
    found = subprocess.run(
        [*schemathesis, "run", f"{site.url}/openapi.json", "--no-color", *RUNS[role], *options],
        cwd=tmp_path,
        env=os.environ
        | {"OFFERLOG_URL": site.url, "OFFERLOG_KEY": site.key(role), "PYTHONPATH": str(CONTRACT)}
        | {"OFFERLOG_WEBHOOK": webhook},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert found.returncode == 0, found.stdout + found.stderr
