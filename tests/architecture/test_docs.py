"""The documentation says what is the case: pages are current, links lead somewhere, what is shown works."""

import functools
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psycopg
import pytest

import offerlog as front_door
import offerlog_domain
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import ClosedError, StoreUnavailableError
from offerlog_domain.outcomes import OutcomeKind, Reason
from offerlog_infrastructure import composition
from offerlog_infrastructure.cli.commands import command_tree
from offerlog_infrastructure.settings import Settings
from offerlog_infrastructure.settings_file import settings_file

ROOT: Final = Path(offerlog_domain.__file__).parents[2]
PAGES: Final = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("clients/*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
OTEL: Final = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_SDK_DISABLED",
}
"""Of the standard variables, those that the settings read themselves."""
READ_ELSEWHERE: Final = {"OFFERLOG_DEBUG", "OFFERLOG_BENCH_SECONDS", "OFFERLOG_CONFIG"}
"""Variables of the project that are no settings of the service."""

RUNNABLE: Final = ["README.md", "docs/quickstart.md", "docs/in-process.md", "docs/events-feed.md"]
"""Every Python block of these pages runs, from top to bottom, as one program."""


def name_of(page: Path) -> str:
    """A page as people call it."""
    return str(page.relative_to(ROOT))


def text(page: Path | str) -> str:
    """What a page says."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path | str, language: str = "") -> list[str]:
    """The code blocks of a page in one language; without one, what stands on a terminal."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
    return [code for tongue, code in fenced if tongue == language]


def generator() -> ModuleType:
    """docs/generate.py, which is no part of any package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_pages_are_current() -> None:
    """`make docs` would change nothing."""
    for name, page in generator().PAGES.items():
        assert text(f"docs/{name}") == page(), name


def test_only_ways_in_know_the_composition() -> None:
    """The picture shows that the wiring is at the outside: no store, server or replica needs it."""
    layers = generator().rooms.rooms()
    knows = {
        room for members in layers.values() for room, targets in members.items() if "composition" in targets
    }
    assert knows == {"cli", "front door", "testing"}


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    """But a way between two rooms stays where there was one, and a cycle is shown."""
    # given a direct arrow beside a longer way, and two rooms that import each other
    arrows = {"cli": {"http", "ports"}, "http": {"ports"}, "ports": {"domain"}, "domain": set[str]()}
    cycle = {"reading": {"ports"}, "ports": {"reading", "domain"}, "domain": set[str]()}
    # when
    drawn = {room: generator().rooms._direct(arrows, room) for room in arrows}
    shown = {room: generator().rooms._direct(cycle, room) for room in cycle}
    # then
    assert drawn == arrows | {"cli": {"http"}}
    assert shown == cycle


def test_the_walk_of_a_signal_names_what_is_there() -> None:
    """Every name in a step is written in a file that the step links to."""
    walk = text("docs/architecture.md").split("## The walk of a signal")[1].split("\n## ")[0]
    steps = re.split(r"^\d+\. ", walk, flags=re.MULTILINE)[1:]
    assert len(steps) > 10
    for step in steps:
        linked = "".join(text(f"docs/{target}") for target in re.findall(r"\]\((\.\./[^)]*\.py)\)", step))
        for name in re.findall(r"`([\w.]+)`", step):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", linked), name


def test_the_store_has_the_tables_that_are_told_of(dsn: str) -> None:
    """No more and no less."""
    names = set(re.findall(r"`(\w+)`", text("docs/architecture.md").split("## What is in the store")[1]))
    tables = """
        SELECT relname::text FROM pg_class
        WHERE relnamespace = 'offerlog'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    """
    with psycopg.connect(dsn) as connection:
        assert names == {name for (name,) in connection.execute(tables)} - {"migrations"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file, and a heading in it if it says so."""
    for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", text(page)):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not heading or heading in anchors(file), f"{target}#{heading}"


def test_the_index_lists_every_page() -> None:
    """No page that nobody finds."""
    for page in ROOT.glob("docs/**/*.md"):
        path = str(page.relative_to(ROOT / "docs"))
        assert path == "index.md" or f"({path})" in text("docs/index.md"), path


@pytest.mark.parametrize("page", RUNNABLE)
def test_code_runs(
    page: str, dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a comment says is printed is printed, also on a log in use; what is opened is closed."""
    opened: list[Offerlog] = []

    @functools.wraps(composition.open_offerlog)
    def on_this_log(**asked: Any) -> Offerlog:
        opened.append(real(**asked | {"data": None, "database_url": dsn}))
        return opened[-1]

    real = composition.open_offerlog
    monkeypatch.setattr(front_door, "open_offerlog", on_this_log)
    code = "\n".join(blocks(page, "python"))
    for _ in range(2):
        exec(compile(code, page, "exec"), {"__name__": page})  # noqa: S102 - the documentation is ours
        assert capsys.readouterr().out.splitlines() == promised(code)
    assert opened
    for offerlog in opened:
        with pytest.raises((ClosedError, StoreUnavailableError)):
            offerlog.record([])


def promised(code: str) -> list[str]:
    """What the comments say is printed: behind a print, or on the lines below it."""
    beside = r"^ *print\(.*\)  # (.+)$|^# (.+)$"
    return [one or other for one, other in re.findall(beside, code, re.MULTILINE)]


def test_the_quickstarts_file_is_judged_as_it_says(offerlog: Offerlog) -> None:
    """Line by line; and what was parked is released by the second file."""
    visit, late = blocks("docs/quickstart.md", "ndjson")
    (judged,) = blocks("docs/quickstart.md", "json")
    outcomes = offerlog.record(visit.splitlines()).outcomes
    kinds = [(f'"outcome":"{o.kind}"', f'"reason":"{o.reason}"' if o.reason else "") for o in outcomes]
    for line, (outcome, reason) in zip(judged.splitlines(), kinds, strict=True):
        assert outcome in line
        assert reason in line
    assert {o.kind for o in outcomes} == set(OutcomeKind)
    offerlog.wait(offerlog.record(late.splitlines()).position)
    assert not list(offerlog.parked())


def shown() -> Iterator[tuple[str, list[str]]]:
    """The page and the words of every `offerlog ...` in a terminal's block, pipes taken apart."""
    for page in PAGES:
        for line in "".join(blocks(page)).splitlines():
            for command in line.split("|"):
                words = shlex.split(command, comments=True) if command.strip().startswith("offerlog ") else []
                if words:
                    yield name_of(page), words[1:]


def mentioned() -> Iterator[tuple[str, list[str]]]:
    """The same of every `offerlog ...` in running text."""
    for page in PAGES:
        for command in re.findall(r"`offerlog ([^`]+)`", text(page)):
            yield name_of(page), command.split()


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that some words name, and its arguments."""
    command: Any = command_tree()
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


def options(command: Any) -> set[str]:
    """The options that a command knows, but for `--help`."""
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize(
    ("page", "words"), list(shown()), ids=lambda one: one if isinstance(one, str) else ""
)
def test_commands_shown_are_taken(page: str, words: list[str]) -> None:
    """The program itself parses them: the command, every option, every value, all that is required."""
    command, rest = resolved(words)
    assert not hasattr(command, "commands"), f"{page}: {words}"
    with settings_file(None):  # else one that is shown stays chosen, for all tests that come
        command.make_context(words[0], rest)


@pytest.mark.parametrize(
    ("page", "words"), list(mentioned()), ids=lambda one: one if isinstance(one, str) else ""
)
def test_commands_mentioned_exist(page: str, words: list[str]) -> None:
    """The command, and every option beside it."""
    command, rest = resolved([word for word in words if word != "COMMAND"])
    assert {word for word in rest if word.startswith("--")} <= options(command) | {"--help"}, page
    assert not hasattr(command, "commands") or all(word.startswith("-") for word in rest), f"{page}: {words}"


def test_every_command_and_option_is_told() -> None:
    """In its own section of the command-line page, or, for what all share, at the top."""
    page = text("docs/command-line.md")
    top, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    by_heading = {section.partition("\n")[0]: section for section in sections}
    for name, command in command_tree().commands.items():
        section = by_heading[f"offerlog {name}"]
        for one in getattr(command, "commands", {"": command}).values():
            visible = {p.opts[0] for p in one.params if p.opts[0].startswith("--") and not p.hidden}
            for option in visible - {"--help"}:
                assert f"`{option}" in section or f"`{option}" in top, f"{name} {option}"


def test_every_variable_is_told() -> None:
    """And no page names one that nothing reads."""
    own = [name for name, field in Settings.model_fields.items() if field.validation_alias is None]
    read = {f"OFFERLOG_{name.upper()}" for name in own} | {"OFFERLOG_TRUSTED_PROXIES"}
    table = text("docs/command-line.md")
    assert all(f"`{name}`" in table for name in read | OTEL)
    for page in PAGES:
        assert set(re.findall(r"OFFERLOG_[A-Z_]+", text(page))) <= read | READ_ELSEWHERE, name_of(page)


@pytest.mark.parametrize("code", [*OutcomeKind, *Reason])
def test_every_outcome_and_reason_is_told(code: str) -> None:
    """The glossary has a row for each."""
    assert re.search(rf"^\| `?{code}`? \|", text("docs/glossary.md"), re.MULTILINE)
