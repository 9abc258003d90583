"""The front door holds names alone, all of them lead somewhere, and callers are typed."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import pytest

import offerlog
from offerlog.places import HOMES
from offerlog_domain.errors import OfferlogError

PLAIN = (ast.Import, ast.ImportFrom, ast.If, ast.Assign, ast.AnnAssign, ast.Expr)
"""Statements without logic; the `if` is the one for type checkers."""

PAGES = ("README.md", "docs/in-process.md", "docs/quickstart.md", "docs/operations.md", "docs/testing.md")
"""Pages with programs to copy."""


def test_every_public_name_leads_to_the_thing_of_that_name() -> None:
    """Both the table for the program and the imports for type checkers name the same."""
    # given the imports that type checkers see
    tree = ast.parse(Path(offerlog.__file__).with_name("typed_names.py").read_text())
    typed = {
        (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    # then they are what is loaded, and all of it
    assert {name for _, name in typed} == set(offerlog.__all__)
    for module, name in typed:
        assert getattr(offerlog, name) is getattr(importlib.import_module(module or ""), name)
    assert set(offerlog.__all__) <= set(dir(offerlog))
    assert not hasattr(offerlog, "no_such_name")


def test_a_name_is_taken_from_where_it_is_defined_and_looked_up_once() -> None:
    """A module that only imports a class may stop to do so."""
    for name, module in HOMES.items():
        found = getattr(offerlog, name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__module__ == module, name
        assert vars(offerlog)[name] is found
    assert len(dir(offerlog)) == len(set(dir(offerlog)))


def classes_in(annotation: Any) -> Iterator[type]:
    """The classes of offerlog that an annotation names, at any depth."""
    inner = get_args(annotation)
    if not inner and inspect.isclass(annotation) and annotation.__module__.startswith("offerlog"):
        yield annotation
    for one in annotation if isinstance(annotation, list) else inner:
        yield from classes_in(one)


def annotated() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public functions, classes and methods; what builds a service is not called from outside."""
    for name in offerlog.__all__:
        found = getattr(offerlog, name)
        if inspect.isfunction(found) or (inspect.isclass(found) and found.__module__.startswith("offerlog")):
            yield name, found
        for method in dir(found) if inspect.isclass(found) else ():
            static = inspect.getattr_static(found, method)
            unwrapped = getattr(static, "__func__", None) or getattr(static, "fget", None) or static
            own = inspect.isfunction(unwrapped) and unwrapped.__module__.startswith("offerlog")
            if own and not method.startswith("_"):
                yield f"{name}.{method}", unwrapped


def test_every_class_that_a_public_annotation_names_is_public() -> None:
    """A caller can annotate what it is given, and build what it gives, without an import from inside."""
    # given names that some modules import for type checkers alone
    arrow = SimpleNamespace(Table=object)
    names = {"Path": Path, "pa": arrow, **{name: getattr(offerlog, name) for name in offerlog.__all__}}
    public = {one for one in names.values() if inspect.isclass(one)}
    # when
    walked = {
        name: {
            found
            for argument, annotation in get_type_hints(one, localns=names).items()
            if not argument.startswith("_")
            for found in classes_in(annotation)
        }
        for name, one in annotated()
    }
    # then
    assert offerlog.Trace in walked["open_offerlog"]
    assert offerlog.VisitorKey in walked["HistoryEvent"]
    missing = {name: found - public for name, found in walked.items() if found - public}
    assert missing == {}


def test_the_front_door_holds_no_logic() -> None:
    """Imports, tables, and the two functions by which Python finds a name."""
    folder = Path(offerlog.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            named = isinstance(node, ast.FunctionDef) and node.name in {"__getattr__", "__dir__"}
            plain = isinstance(node, PLAIN)
            assert named or plain, f"{file.name}:{node.lineno}"


def test_importing_the_front_door_loads_no_library() -> None:
    """Whoever only needs an error class, or builds a command line, waits for no database driver."""
    script = (
        "import sys, offerlog\n"
        "print(*[m for m in sys.modules if m.startswith(('offerlog_', 'pydantic', 'psycopg'))])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.split() == []


def test_every_error_of_the_inner_layers_that_callers_meet_is_public() -> None:
    """What `OfferlogError` names in its docstring may be caught without an import from inside."""
    internal = {
        "ValueError",
        "UntrackedEventError",
        "VersionConflictError",
        "RefusalsLockedError",
        "StaleEpochError",
        "HeldByOthersError",
        "OtherSlicesError",
        "RefusalsWaitError",
        "WitnessError",  # the witness is a separate program
        "WitnessFolderError",
        "LogChangedError",  # commands alone write bundles
        "BundlePlaceError",
        "ExportPlaceError",
        "ArchiveWriteError",  # commands alone move events into an archive
        "ArchiveElsewhereError",
        "ArchiveRunningError",
        "ArchiveCopyError",
        "BackupFileError",  # commands alone make and restore backups
        "BackupProgramError",
        "NoErasuresError",
        "NotTheSignedLogError",
    }
    named = {word.strip("`,.:;()") for word in (OfferlogError.__doc__ or "").split()}
    errors = {word for word in named if word.endswith("Error")} - internal
    assert len(errors) > 10
    assert errors <= {*offerlog.__all__}


def test_a_caller_is_typed(root: Path) -> None:
    """Mypy checks a program that uses the public surface, as it would be checked where it is written."""
    program = root / "tests" / "typing" / "public_api.py"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=pyproject.toml", str(program)],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_documentation_imports_nothing_else(root: Path, page: str) -> None:
    """Whatever a user copies from there stays right when modules move inside."""
    for code in re.findall(r"^```python\n(.*?)^```$", (root / page).read_text(), re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(code)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert not module.startswith("offerlog") or module in {"offerlog", "offerlog.testing"}
