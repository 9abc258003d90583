"""The service in a separate process, to be stopped, killed and started again."""

import subprocess
import sys

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.http.app import create_app
from offerlog_infrastructure.http.server.server import listen, run
from offerlog_infrastructure.settings import Settings
from support.preloaded import preloaded
from support.processes import LimitedProcess


class Served:
    """The service over one database, in a separate process."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.port = 0

    def start(self) -> None:
        """Serve on a free port; returns when it does."""
        command = [*preloaded("support.pages.served:main"), self.dsn]
        self.process = LimitedProcess(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        """Let it finish what is under way and end."""
        self.process.terminate()
        self._gone()

    def kill(self) -> None:
        """Give it no chance to finish anything."""
        self.process.kill()
        self._gone()

    def _gone(self) -> None:
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def main() -> None:
    """Serve the database that the command line names until told to stop, and print the port first."""
    with open_offerlog(database_url=sys.argv[1], keep_deadlines=False) as service:
        listening = listen("127.0.0.1", 0)
        app = create_app(service, service.keys, Settings(widget_peer_rate=100, widget_new_maps=10_000))
        run(app, listening, lambda: print(listening.getsockname()[1], flush=True))  # noqa: T201 - whoever started this reads it
