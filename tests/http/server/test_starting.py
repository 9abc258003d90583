"""The start of a server: what its first request would wait for is loaded before it answers."""

import subprocess
import sys

_PROGRAM = """
import asyncio
import sys

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offerlog_infrastructure.http.server.server import listen
from offerlog_infrastructure.http.server.starting import build_server, start


async def main() -> None:
    server = build_server(None, HttpToolsProtocol, 1)
    serving = await start(server, listen("127.0.0.1", 0))
    print("anyio._backends._asyncio" in sys.modules)
    server.should_exit = True
    await serving


asyncio.run(main())
"""


def test_the_backend_of_threads_is_loaded_at_the_start() -> None:
    """A first request would wait for the import, and all others with it."""
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.returncode) == ("True\n", 0), run.stderr
