"""One word for one thing: names that the glossary of the code rules out are not used again.

The words of the field stand in `docs/glossary.md`, those of the code here. A name is looked at as a
whole, without the underscores around it: `_told` is found, `told_apart` is not.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

INSTEAD: Final[Mapping[str, str]] = {
    **dict.fromkeys(["fact", "facts"], "event"),
    **dict.fromkeys(["report_input", "input"], "signal"),
    **dict.fromkeys(["case", "cases"], "command"),
    **dict.fromkeys(["judge", "judged", "judgement", "judgements", "judgment"], "decide, decision"),
    "circumstances": "context (DecisionContext)",
    **dict.fromkeys(["view", "views"], "projection, or metric set"),
    **dict.fromkeys(["codec", "codecs", "layout"], "mapper, encoding"),
    **dict.fromkeys(["bury", "buried", "die"], "dead letter"),
    **dict.fromkeys(["workshop", "move_in"], "stage, swap"),
    **dict.fromkeys(["told", "heard", "said", "parted", "came", "tell"], "a noun, or a verb with an object"),
}
"""The words that are ruled out, each with the one to use."""

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "application/offerlog_application/ports/performance_counts.py": frozenset({"view"}),
    "infrastructure/offerlog_infrastructure/cli/exports.py": frozenset({"view"}),
    "infrastructure/offerlog_infrastructure/export/formats.py": frozenset({"tell"}),
    "infrastructure/offerlog_infrastructure/cli/report_options.py": frozenset({"view"}),
    "infrastructure/offerlog_infrastructure/http/routes/reports.py": frozenset({"view"}),
}
"""What is still there, by file; a name that is gone leaves this list with it.

`view` stays where it is the name of the option, of the parameter on the wire and of the query made of them.
A file has the method `tell`.
"""


def names_given(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find every name that a module gives to something, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)):
                yield node.lineno, name


def ruled_out(source: str) -> Iterator[tuple[int, str]]:
    """Find the names of a module that are ruled out, with their lines."""
    for line, name in names_given(ast.parse(source)):
        if name.strip("_").lower() in INSTEAD:
            yield line, name


QUESTIONS: Final = re.compile(r'^ *"""(?:What|How|Where|Whether|Which|Who)\b', re.MULTILINE)
"""The beginning of a docstring that asks, where it should define."""


@pytest.mark.parametrize("layer", ["domain", "application", "infrastructure"])
def test_a_docstring_begins_with_what_the_thing_is(root: Path, layer: str) -> None:
    """A noun phrase or a verb in the imperative: whoever reads it knows the thing, not a question."""
    asking = [str(file) for file in (root / layer).rglob("*.py") if QUESTIONS.search(file.read_text())]
    assert not asking


DOCUMENTS: Final = ("/presentation/answers/", "/http/requests/")
"""Models that bear the public names of schemas; they are used with their module's name."""


def test_a_class_has_its_name_for_itself(root: Path) -> None:
    """Whoever reads a name in one room knows it in every other."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for layer in ("domain", "application", "infrastructure"):
        for file in sorted((root / layer).rglob("*.py")):
            if any(place in str(file) for place in DOCUMENTS):
                continue
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(file.relative_to(root)))
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_names_are_the_words_of_the_glossary(root: Path) -> None:
    """And no exception outlives its name."""
    found: dict[str, set[str]] = {}
    new = []
    for layer in ("domain", "application", "infrastructure"):
        for file in sorted((root / layer).rglob("*.py")):
            where = file.relative_to(root).as_posix()
            for line, name in ruled_out(file.read_text()):
                found.setdefault(where, set()).add(name)
                if name not in ALLOWED.get(where, ()):
                    new.append(f"{where}:{line}: {name}; use: {INSTEAD[name.strip('_').lower()]}")
    assert not new
    gone = {where: names - found.get(where, set()) for where, names in ALLOWED.items()}
    assert not {where: names for where, names in gone.items() if names}, "take these off ALLOWED"


BARE_PARTICIPLES: Final = frozenset({"told", "said", "heard", "parted", "came", "tell"})
"""The names that tests and benches do not give either: they do not say what the thing is."""

NOT_YET: Final = frozenset({"tests/infrastructure/postgres/log/test_lost_commit.py"})
"""Files that still give such names. A file that is free of them leaves this list; none is added."""


def test_tests_and_benches_name_things_by_nouns(root: Path) -> None:
    """And no file stays on the list of those to come once it is free of such names."""
    found: dict[str, set[str]] = {}
    for folder in ("tests", "benchmarks", "docs"):
        for file in sorted((root / folder).rglob("*.py")):
            names = {name for _, name in names_given(ast.parse(file.read_text()))}
            bare = {name for name in names if name.strip("_").lower() in BARE_PARTICIPLES}
            if bare:
                found[file.relative_to(root).as_posix()] = bare
    assert not {where: names for where, names in found.items() if where not in NOT_YET}
    assert {*found} == NOT_YET


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def told(): ...", {"told"}),
        ("async def _bury(): ...", {"_bury"}),
        ("class Fact: ...", {"Fact"}),
        ("def record(*, case=None, **said): ...", {"case", "said"}),
        ("apply = lambda views: views", {"views"}),
        ("for told, (heard, *said) in lines: ...", {"told", "heard", "said"}),
        ("self._said = told.view", {"_said"}),
        ("with opened() as told: ...", {"told"}),
        ("if (said := read()): ...", {"said"}),
        ("import codecs as codec", {"codec"}),
        ("try: ...\nexcept OSError as said: ...", {"said"}),
        ("match line:\n    case [told, *said]: ...", {"told", "said"}),
        ("told_apart = facts_of(query.view)", set()),
        ("report(view=chosen)", set()),
        ("'what was told'  # said", set()),
    ],
)
def test_a_name_is_recognised(source: str, names: set[str]) -> None:
    """Wherever a name is given; using one that somebody else gave is no fault."""
    assert {name for _, name in ruled_out(source)} == names
