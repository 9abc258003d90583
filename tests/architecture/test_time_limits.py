"""Every wait in a test, a bench or a docs script has a time limit."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("tests", "benchmarks", "docs")
WAITS = {"wait", "communicate", "join", "result", "exception", "get", "acquire"}
"""Methods that wait for ever when they are called without arguments."""
RUNS = {"run", "call", "check_call", "check_output"}
POSITIONS = {"create_connection": 1, "urlopen": 2, "HTTPConnection": 2, "HTTPSConnection": 2}
"""Functions that wait for ever without a timeout, and the place of that argument."""
MAY_START = ("support/processes.py", "benchmarks/children.py", "docs/screenshots.py")
"""Only these files start processes that others read from while they run; a timer there ends them."""


def endless(source: str) -> Iterator[tuple[int, str]]:
    """Find the lines that may wait for ever, each with the call in question."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_endless(node):
            yield node.lineno, ast.unparse(node.func)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _sockets_without_limit(node)


def _is_endless(call: ast.Call) -> bool:
    words = {word.arg for word in call.keywords}
    if any(
        word.arg == "timeout" and isinstance(word.value, ast.Constant) and word.value.value is None
        for word in call.keywords
    ):
        return True
    match call.func:
        case ast.Attribute(value=ast.Name(id="subprocess"), attr=name) if name in RUNS:
            return "timeout" not in words
        case ast.Attribute(value=ast.Name(id="subprocess"), attr="Popen"):
            return True
        case ast.Attribute(attr=name) if name in WAITS:
            return not call.args and not call.keywords
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in POSITIONS:
            return "timeout" not in words and len(call.args) <= POSITIONS[name]
    return False


def _sockets_without_limit(scope: ast.AST) -> Iterator[tuple[int, str]]:
    """Find sockets made in a function or class that sets no limit on any."""
    calls = [node for node in ast.walk(scope) if isinstance(node, ast.Call)]
    names = [call.func.attr if isinstance(call.func, ast.Attribute) else "" for call in calls]
    if not {"settimeout", "setblocking"} & set(names):
        yield from (
            (call.lineno, ast.unparse(call.func))
            for call in calls
            if ast.unparse(call.func) in {"socket.socket", "socket.create_server", "socket.socketpair"}
        )


def test_every_wait_has_a_time_limit(root: Path) -> None:
    """No test, bench or script can hang for ever."""
    found = {
        f"{file.relative_to(root)}:{line}: {call}"
        for folder in FOLDERS
        for file in sorted((root / folder).rglob("*.py"))
        if not file.as_posix().endswith(MAY_START)
        for line, call in endless(file.read_text())
    }
    assert not found, "give each of them a timeout"


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("subprocess.run(words)", True),
        ("subprocess.run(words, timeout=60)", False),
        ("subprocess.run(words, timeout=None)", True),
        ("subprocess.check_output(words)", True),
        ("subprocess.Popen(words)", True),
        ("LimitedProcess(words)", False),
        ("process.wait()", True),
        ("process.wait(30)", False),
        ("process.communicate()", True),
        ("process.communicate(b'x', timeout=60)", False),
        ("thread.join()", True),
        ("', '.join(words)", False),
        ("future.result()", True),
        ("future.result(timeout=10)", False),
        ("queue.get()", True),
        ("socket.create_connection(address)", True),
        ("socket.create_connection(address, 5)", False),
        ("urllib.request.urlopen(url)", True),
        ("httpx.get(url, timeout=None)", True),
        ("HTTPConnection(host, port)", True),
        ("HTTPConnection(host, port, timeout=5)", False),
        ("def f():\n    with socket.socket() as s:\n        s.recv(1)", True),
        ("def f():\n    with socket.socket() as s:\n        s.settimeout(1)\n        s.recv(1)", False),
    ],
)
def test_an_endless_wait_is_recognised(source: str, is_found: bool) -> None:  # noqa: FBT001 - pytest's way
    """In every way of writing it."""
    assert bool(list(endless(source))) is is_found
