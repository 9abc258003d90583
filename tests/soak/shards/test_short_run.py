"""A short soak of three servers as `make soak-shards` runs a long one: a fixed seed, a few faults."""

import re
from pathlib import Path

import pytest

from soak.short_run import LIMIT_SECONDS, run_short

FAULTS = "kill -9 server,kill -9 service,kill -9 mover"
SEED = 2484
"""With it, the first two faults come together, and the server is that of shard 1. Then a mover is killed, not
before it compares, and its move is left to the services."""


@pytest.mark.time_limit(LIMIT_SECONDS)
def test_a_short_soak_of_three_servers_is_clean(tmp_path: Path) -> None:
    """Everybody is answered who has another server than the one that is hurt, and the judge finds nothing.

    Slices move meanwhile, and the services end the move of a killed mover.
    """
    # when
    document, printed = run_short("soak.shards", tmp_path, 4, SEED, FAULTS, "--each")
    # then
    assert document["violations"] == []
    assert {name for name, one in document["faults"].items() if one["injected"]} == {*FAULTS.split(",")}
    assert document["ways"].keys() == {"service-1", "service-2"}
    assert re.search("another server than the home was hurt [1-9] times", printed)
    assert "meanwhile others' requests were answered after" in printed
    assert re.search("[1-9] moves of [1-9] slices ended; of their commands, [1-9] were killed", printed)
    assert "1 killed moves were left to the services, and had ended after" in printed
    assert document["outcomes"]["recorded"] > 50
    assert "misplaced: 0" in printed
    assert f"again: make soak-shards SECONDS=4 SEED={SEED} ONLY='{FAULTS}'" in printed
