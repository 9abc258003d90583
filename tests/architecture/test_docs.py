"""The documentation says what is the case: generated pages are current, links lead somewhere, code runs."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import offerlog_domain

ROOT = Path(offerlog_domain.__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def generator() -> ModuleType:
    """docs/generate.py, which is no part of any package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    """`make docs` would change nothing."""
    for name, page in generator().PAGES.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file or folder."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_code_runs(page: str, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block, on an empty log."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        code = block.replace("open_offerlog()", f"open_offerlog(database_url={dsn!r})")
        assert code != block
        exec(compile(code, page, "exec"), {})  # noqa: S102 - the documentation is ours
    assert capsys.readouterr().out


def test_commands_shown_exist() -> None:
    """Every `offerlog ...` line names a command and options that its help knows."""
    command = Path(sys.executable).with_name("offerlog")
    helps: dict[str, str] = {}
    shown = 0
    for page in PAGES:
        for line in re.findall(r"^offerlog (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            words = shlex.split(line)
            name = words[0]
            if not name.isalpha() or "--" not in line:
                continue  # a sentence that begins with the name
            if name not in helps:
                asked = subprocess.run(
                    [str(command), name, "--help"], capture_output=True, text=True, check=True, timeout=60
                )
                helps[name] = asked.stdout
            for option in (word for word in words if word.startswith("--")):
                assert option in helps[name], line
            shown += 1
    assert shown > 5
