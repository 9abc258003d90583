"""A shop's web site: pages of another origin than the service, that report to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from support.pages.listening import listening

FOLDER = Path(__file__).parent


@dataclass
class Site:
    """The pages beside this file, with `{{name}}` filled in.

    Attributes:
        values: What is filled in.
        pages: Further pages, by name.
        asked: What was asked for, and when, in seconds since 1970.
    """

    values: dict[str, str]
    pages: dict[str, str] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    port: int = 0

    def url(self, page: str) -> str:
        """Where a browser finds a page."""
        return f"http://127.0.0.1:{self.port}/{page}"

    def page(self, name: str) -> str | None:
        """What it is, None where there is none."""
        text = self.pages.get(name)
        if text is None and (FOLDER / name).is_file():
            text = (FOLDER / name).read_text(encoding="utf-8")
        for known, value in self.values.items():
            text = text and text.replace(f"{{{{{known}}}}}", value)
        return text

    @contextmanager
    def running(self) -> Iterator["Site"]:
        """Listen on a free port while the block runs."""

        class Handler(_Handler):
            site = self

        with listening(Handler) as self.port:
            yield self


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        name = self.path.lstrip("/").partition("?")[0]
        self.site.asked[name] = time.time()
        text = self.site.page(name)
        body = (text or "").encode()
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
        """Say nothing."""
