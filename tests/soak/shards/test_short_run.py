"""A short soak of three servers as `make soak-shards` runs a long one: a fixed seed, a few faults."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = "kill -9 server,kill -9 service"
SEED = 40
"""With it, the first two faults come together, and the server is that of shard 1."""


@pytest.mark.time_limit(280)
def test_a_short_soak_of_three_servers_is_clean(tmp_path: Path) -> None:
    """Everybody is answered who has another server than the one that is hurt, and the judge finds nothing."""
    # when
    result = tmp_path / "result.json"
    words = [
        "--seconds",
        "4",
        "--seed",
        str(SEED),
        "--only",
        FAULTS,
        "--clients",
        "1",
        "--result",
        str(result),
    ]
    run = subprocess.run(
        [sys.executable, "-m", "soak.shards", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    # then
    assert run.returncode == 0, run.stdout + run.stderr
    document = json.loads(result.read_text(encoding="utf-8"))
    assert document["violations"] == []
    assert {name for name, one in document["faults"].items() if one["injected"]} == {*FAULTS.split(",")}
    assert document["ways"].keys() == {"service-1", "service-2"}
    assert "another server than the home was hurt 1 times" in run.stdout
    assert "meanwhile others' requests were answered after" in run.stdout
    assert document["outcomes"]["recorded"] > 50
    assert "misplaced: 0" in run.stdout
    assert f"again: make soak-shards SECONDS=4 SEED={SEED} ONLY='{FAULTS}'" in run.stdout
