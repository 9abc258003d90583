"""The Python client for threads, made from the client of asyncio: the same methods without `async`."""

import re
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "clients" / "python" / "offerlog_client" / "async_client.py"

_DOCSTRING: Final = '''"""The client: one method for each thing that a program asks of the service.

Made from async_client.py by docs/generate.py (`make docs`); do not edit.
"""
'''
_LOOP: Final = re.compile(r"for (\w+) in (.+):\n\s+yield \1\n")
_REPLACED: Final = (
    (
        "import asyncio\nfrom collections.abc import AsyncIterator, Iterable,",
        "import time\nfrom collections.abc import Iterable, Iterator,",
    ),
    ("[one async for one in client.record(signals)]", "list(client.record(signals))"),
    ("for one key, in one event loop.", "for one key; thread-safe."),
    ("asyncio.sleep", "time.sleep"),
    ("AsyncOfferlogClient", "OfferlogClient"),
    ("AsyncBaseTransport", "BaseTransport"),
    ("AsyncClient", "Client"),
    ("AsyncIterator", "Iterator"),
    ("async def", "def"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
)


def threaded_client() -> str:
    """The module of the client for threads."""
    _, _, code = SOURCE.read_text(encoding="utf-8").partition('"""\n\n')
    for asynchronous, threaded in _REPLACED:
        assert asynchronous in code, asynchronous  # noqa: S101 - a replacement without a place is a mistake
        code = code.replace(asynchronous, threaded)
    code = re.sub(r"\(await ([\w.]+\(.+\))\)\[", r"\1[", code).replace("await ", "")
    return f"{_DOCSTRING}\n" + _LOOP.sub(r"yield from \2\n", code)
