"""Run the shop and an offerlog service for it: `make example`.

Without OFFERLOG_DATA and OFFERLOG_DATABASE_URL the store is a new folder, which is deleted at the end.
"""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvicorn
from server import ShopSettings, create_shop

import offerlog
from offerlog import Role

ORGANIZATION: Final = "example-shop"
PORT: Final = 8010
COMMAND: Sequence[str] = [f"{sysconfig.get_path('scripts')}/offerlog"]
"""The command of this environment."""

_SECONDS_TO_STOP: Final = 30


def main() -> None:
    """Run both until Ctrl-C."""
    parser = ArgumentParser(description="Run the example shop and an offerlog service for it.")
    parser.add_argument("--port", type=int, help=f"port of the shop; {PORT}, or any free one, by default")
    chosen: int | None = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with ExitStack() as held:
        listening = held.enter_context(_listen(chosen))
        _choose_store(held)
        port = listening.getsockname()[1]
        widget_key, page_key, reporter_key = _make_keys(port)
        service = held.enter_context(_serve_offerlog())
        app = create_shop(ShopSettings(service, widget_key, page_key))
        print(f"The shop:      http://127.0.0.1:{port}/  (Ctrl-C stops it)")
        print(f"The dashboard: {service}/  Log in with {reporter_key}", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        with suppress(KeyboardInterrupt):  # raised again once the server has stopped
            server.run(sockets=[listening])
    print("Stopped.")


def _listen(chosen: int | None) -> socket.socket:
    """Listen on the port that was chosen, or on the usual one, or on any."""
    for port in [chosen] if chosen is not None else [PORT, 0]:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen()  # the address is printed before the server runs
        except OSError:
            listening.close()
        else:
            return listening
    sys.exit(f"port {chosen} is taken")


def _choose_store(held: ExitStack) -> None:
    """Set the variables that the library and the command read, unless somebody has set them."""
    if "OFFERLOG_DATA" in os.environ or "OFFERLOG_DATABASE_URL" in os.environ:
        return
    folder = Path(held.enter_context(TemporaryDirectory(prefix="offerlog-shop-")))
    folder.chmod(0o711)  # for root, PostgreSQL runs as another user, who must reach its data
    os.environ["OFFERLOG_DATA"] = str(folder / "data")
    os.environ["OFFERLOG_KEYRING"] = str(folder / "keyring.json")


def _make_keys(port: int) -> list[str]:
    """Make the keys of the shop, as `offerlog keys create` does; the store is made if there is none."""
    print("opening the store ...", flush=True)
    origins = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost")]
    with offerlog.open_offerlog(organization=ORGANIZATION) as service:
        return [
            service.keys.create(ORGANIZATION, role, "example shop", origins)[1]
            for role in (Role.WIDGET, Role.PAGE, Role.REPORTER)
        ]


@contextmanager
def _serve_offerlog() -> Iterator[str]:
    """Run `offerlog serve` on any free port; gives its address."""
    command = [*COMMAND, "serve", "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - the command of this environment
        [*command, "--organization", ORGANIZATION],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serving:
        assert serving.stdout is not None  # noqa: S101 - it is a pipe
        try:
            for line in serving.stdout:
                if line.startswith("Serving at "):
                    yield line.split()[2]
                    break
            else:
                sys.exit("offerlog serve has ended; run it by itself to see why")
        finally:
            serving.terminate()
            serving.communicate(timeout=_SECONDS_TO_STOP)


if __name__ == "__main__":
    main()
