"""A short soak as `make soak` runs a long one: real processes, a few faults, a fixed seed."""

import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from soak.evidence import Attempt, Violation
from soak.report import show
from soak.result import Result, fault_figures
from soak.short_run import LIMIT_SECONDS, run_short

FAULTS = "kill -9 service,kill -9 backend,terminate sessions,cut connections"


@pytest.mark.skipif("OFFERLOG_EXAMPLES" not in os.environ, reason="`make examples` runs it")
@pytest.mark.time_limit(LIMIT_SECONDS)
def test_a_short_soak_is_clean(tmp_path: Path) -> None:
    """Clients of four kinds are answered, faults are injected, and the checker finds nothing.

    It takes a fortieth of the time of all tests. The soak of three servers runs with them.
    """
    # when
    document, printed = run_short("soak", tmp_path, 6, 3, FAULTS)
    # then
    assert document["violations"] == []
    assert sum(one["injected"] for one in document["faults"].values()) >= 1
    assert set(document["ways"]) == {
        "service-1",
        "service-1 widget",
        "service-2",
        "service-2 widget",
        "writer",
        "command",
    }
    assert min(document["ways"].values()) > 0, "every way has been answered"
    assert document["outcomes"]["recorded"] > 50
    assert document["events"] > document["streams"] > 20
    assert f"again: make soak SECONDS=6 SEED=3 ONLY='{FAULTS}'" in printed


def test_the_report_says_what_is_wrong_and_how_to_repeat_it() -> None:
    """A violation stands on a separate line; colours are for terminals."""
    # given
    found = [Violation("versions", "lost", "stream 1 has the versions [1, 3]")]
    result = Result("make soak SEED=9", 10.0, {}, Counter(), Counter(recorded=2), violations=found)
    out = io.StringIO()
    # when
    show(result, out)
    # then
    lines = out.getvalue().splitlines()
    assert "2 outcomes acknowledged: 2 recorded" in lines
    assert "lost: 1, doubled: 0, misplaced: 0, contradicted: 0, other: 0" in lines
    assert lines[-2:] == [
        "VIOLATION (versions; lost): stream 1 has the versions [1, 3]",
        "failed; again: make soak SEED=9",
    ]
    assert json.loads(result.json())["violations_by_kind"] == {"lost": 1}


def test_a_silence_is_counted_for_the_fault_that_it_began_with() -> None:
    """From the last answer before it to the first one behind it, whoever was answered."""
    # given
    entries = [
        {"at": 10.0, "kind": "injected", "fault": "a"},
        {"at": 12.0, "kind": "healed", "fault": "a"},
        {"at": 20.0, "kind": "injected", "fault": "b"},
        {"at": 30.0, "kind": "skipped", "fault": "b", "why": "there is none"},
    ]
    answered = [Attempt("", "", "", 0.0, ended=at, fate="answered") for at in (9.0, 15.5, 16.0, 19.0, 20.5)]
    unknown = Attempt("", "", "", 0.0, ended=13.0, fate="unknown")
    # when
    figures = fault_figures(entries, [*answered, unknown])
    # then
    assert figures["a"].silences == [6.5]
    assert figures["b"].silences == [1.5]
    assert figures["b"].skipped == {"there is none": 1}
