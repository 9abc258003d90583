"""Run a command beside a plain PostgreSQL of any version: made for it, and gone with it.

`python tests/support/own_server.py BIN COMMAND...` makes a cluster with the programs in the folder BIN, as
an operator would have made it, and sets `OFFERLOG_TEST_SUPERUSER_URL` for the command. `tests/conftest.py`
takes its databases from that server then.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from offerlog_infrastructure.embedded.server_user import ServerUser

URL = "OFFERLOG_TEST_SUPERUSER_URL"
"""The environment variable with the address of a throw-away server, as its superuser."""

_SECONDS = 120
_SETTINGS = """
fsync = off                # it lives as long as the tests, and none of them kills this server
max_connections = 600
shared_buffers = 128MB
log_min_messages = warning
"""


def superuser_url() -> str | None:
    """The address of the throw-away server that the tests were given, or None."""
    return os.environ.get(URL)


@contextmanager
def running(bindir: Path) -> Iterator[str]:
    """A server with the defaults of its version, on a port of this machine; yields the superuser's address.

    Raises:
        subprocess.CalledProcessError: Its programs failed; what they said is on standard error.
    """
    folder = Path(tempfile.mkdtemp(prefix="offerlog-postgres-"))
    user = ServerUser.of(folder / "cluster")
    user.own(folder)
    cluster, log, words = folder / "cluster", folder / "log", folder / "password"
    password = secrets.token_hex(16)
    words.write_text(password)
    words.chmod(0o600)
    user.own(words)

    def run(*command: str | Path) -> None:
        uid, gid, groups = user.switch()
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=_SECONDS,
            user=uid, group=gid, extra_groups=groups,
        )  # fmt: skip

    try:
        options = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={words}", "--encoding=UTF8")
        run(bindir / "initdb", "-D", cluster, *options, "--locale=C.UTF-8")
        with (cluster / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        port = str(_free_port())
        run(bindir / "pg_ctl", "-D", cluster, "-l", log, "-w", "-o", f"-p {port} -k {folder}", "start")
        try:
            yield make_conninfo(
                host="127.0.0.1", port=port, user="postgres", password=password, dbname="postgres"
            )
        finally:
            run(bindir / "pg_ctl", "-D", cluster, "-w", "-m", "fast", "stop")
    except subprocess.CalledProcessError:
        if log.exists():
            sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as looking:
        looking.settimeout(_SECONDS)
        return int(looking.getsockname()[1])


def main(bindir: str, *command: str) -> int:
    """Run the command beside such a server; its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends with us
    programs = Path(bindir).absolute()
    version = subprocess.run(
        [programs / "postgres", "--version"], check=True, capture_output=True, text=True, timeout=_SECONDS
    )
    sys.stdout.write(version.stdout)
    sys.stdout.flush()
    with running(programs) as url:
        environment = {**os.environ, URL: url}
        return subprocess.run(command, env=environment, check=False, timeout=3600).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
