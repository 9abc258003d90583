"""Embedded stores for tests that do not look at how one is made: copies, as making one takes a second."""

import fcntl
import os
import subprocess
from pathlib import Path

from offerlog_infrastructure.embedded import EmbeddedServer


def put_store(place: Path) -> None:
    """Put a store there in which nothing has been recorded. Its server does not run."""
    assert not place.exists()
    run = Path(os.environ["OFFERLOG_TEST_FOLDER"])
    run.chmod(0o755)
    made = run / "made-store"
    with (run / "made-store.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            EmbeddedServer.acquire(made).close()
    subprocess.run(["cp", "-pR", made, place], check=True, timeout=60)
