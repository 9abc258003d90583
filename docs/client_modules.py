"""The Python client for threads, made from the client of asyncio: the same methods without `async`."""

import re
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1] / "clients" / "python" / "offerlog_client"

_NOTICE: Final = """
Made from {source} by docs/generate.py (`make docs`); do not edit.
\"\"\"
"""
_LOOP: Final = re.compile(r"for (\w+) in (.+):\n\s+yield \1\n")
_REPLACED: Final = (
    (
        "import asyncio\nfrom collections.abc import AsyncIterator, Iterable,",
        "import time\nfrom collections.abc import Iterable, Iterator,",
    ),
    (
        "from collections.abc import AsyncIterator, Iterable,",
        "from collections.abc import Iterable, Iterator,",
    ),
    ("[one async for one in client.record(signals)]", "list(client.record(signals))"),
    ("for one key, in one event loop.", "for one key; thread-safe."),
    ("asyncio.sleep", "time.sleep"),
    ("AsyncOfferlogClient", "OfferlogClient"),
    ("async_organization", "organization"),
    ("AsyncOrganization", "Organization"),
    ("async_reports", "reports"),
    ("AsyncReports", "Reports"),
    ("AsyncBaseTransport", "BaseTransport"),
    ("AsyncClient", "Client"),
    ("AsyncIterator", "Iterator"),
    ("async def", "def"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
)


def threaded(source: str) -> str:
    """The module for threads that is made from a module for asyncio, by the name of that one's file."""
    head, _, code = (_PACKAGE / source).read_text(encoding="utf-8").partition('"""\n\n')
    for asynchronous, threads in _REPLACED:
        code = code.replace(asynchronous, threads)
    assert "async" not in code, source  # noqa: S101 - a form that no replacement covers
    code = re.sub(r"\(await ([\w.]+\(.+\))\)\[", r"\1[", code).replace("await ", "")
    first = head.partition("\n")[0].replace(" of asyncio", "").replace(", for asyncio", "")
    return f"{first}\n{_NOTICE.format(source=source)}\n" + _LOOP.sub(r"yield from \2\n", code)
