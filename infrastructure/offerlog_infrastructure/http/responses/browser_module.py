"""The browser module as it is served: without comments, and at an address that is for its content alone."""

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256, sha384
from importlib.metadata import version
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parents[2] / "web" / "static"
"""The folder of the dashboard's scripts and styles, and of the browser module."""

MODULE_NAME: Final = "offerlog.js"

IMMUTABLE: Final = re.compile(r"offerlog-[0-9][\w.]*-[0-9a-f]{12}\.js")
"""File names of the browser module with version and digest: this version's, and those of earlier releases."""

_COMMENT: Final = re.compile(r"^ *(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
"""Comments that fill whole lines; no others are removed. A text over several lines must not have
such a line."""


@dataclass(frozen=True, slots=True)
class BrowserModule:
    """The browser module of this version.

    Attributes:
        content: The text without comments, as UTF-8.
        file_name: The name that is for this content alone.
        integrity: The value of the attribute `integrity` (Subresource Integrity).
    """

    content: bytes
    file_name: str
    integrity: str


@cache
def read_module() -> BrowserModule:
    """Read the browser module of this version."""
    number = version("offerlog")
    source = (STATIC / MODULE_NAME).read_text(encoding="utf-8")
    notice = f"/*! offerlog {number}, in the browser */\n"
    content = (notice + _COMMENT.sub("", source)).encode()
    digest = sha256(content).hexdigest()[:12]
    integrity = f"sha384-{b64encode(sha384(content).digest()).decode()}"
    return BrowserModule(content, f"offerlog-{number}-{digest}.js", integrity)
