"""Every order of events, in each model; and every fault of a model is found."""

import re
from pathlib import Path

import pytest

from models.checks import LARGE, SMALL, Check
from models.search import missing_program, search

_FAULT = re.compile(r"^ \*   ([A-Z_]+)  ", re.MULTILINE)


@pytest.fixture(autouse=True, scope="module")
def programs() -> None:
    """Leave the tests out without spin; `make test` installs it where it can."""
    if (missing := missing_program()) is not None:
        pytest.skip(f"{missing} is not installed: apt-get install spin build-essential")


@pytest.mark.parametrize("check", SMALL, ids=str)
def test_a_model_is_right_and_each_fault_of_it_is_found(check: Check) -> None:
    """Without the wait of the fence, for instance, an event appears too late."""
    # when
    found = search(check, seconds=120)
    # then
    if check.fault is None:
        assert found.violation is None, found.steps
        assert found.states > 1_000, "the search has seen something"
    else:
        assert found.violation is not None, f"{check.fault} must be found"
        assert found.violation.startswith("assertion violated"), "and not by a model that cannot go on"


def test_each_fault_that_a_model_names_is_searched_for() -> None:
    """The head of a model lists its faults."""
    for file in Path(__file__).parent.glob("*.pml"):
        text = file.read_text()
        named = set(_FAULT.findall(text))
        assert named == {check.fault for check in SMALL if check.model == file.stem} - {None}
        assert all(re.search(rf"^#.*\b{fault}\b", text, re.MULTILINE) for fault in named)
        assert any(check.model == file.stem for check in LARGE)
