"""The HTTP service's state is typed: one module touches the framework's untyped attributes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("infrastructure", "tests", "benchmarks")
STATE_MODULE = ROOT / "infrastructure/offerlog_infrastructure/http/state.py"
HOLDERS = {"app", "request", "connection", "websocket"}
"""Names under which an application, or a request of it, goes."""


def untyped_state(source: str) -> Iterator[int]:
    """The lines that reach into the state of an application or of a request."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "state":
            holder = node.value
            name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
            if name in HOLDERS:
                yield node.lineno


def test_only_one_module_touches_untyped_state() -> None:
    """Given every module, when it reaches into such a state, then it is the module of the state."""
    modules = [module for folder in FOLDERS for module in (ROOT / folder).rglob("*.py")]
    touching = {module for module in modules if list(untyped_state(module.read_text()))}
    assert touching == {STATE_MODULE}


@pytest.mark.parametrize(
    "line", ["request.app.state.service", "app.state.x = 1", "request.state.key", "self.app.state.x"]
)
def test_untyped_state_is_found(line: str) -> None:
    """Given a line that reaches into such a state, when it is looked at, then it is found."""
    assert list(untyped_state(line)) == [1]


def test_other_states_are_not_untyped_state() -> None:
    """Given the state of an event, when it is looked at, then nothing is found."""
    assert not list(untyped_state("event.state.value; outcome.state"))
