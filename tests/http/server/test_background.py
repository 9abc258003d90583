"""The service in the background of a script, which starts its jobs with SIGINT ignored."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.processes import LimitedProcess

OFFERLOG = str(Path(sys.executable).with_name("offerlog"))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_service_in_the_background_ends_when_it_is_told_to(dsn: str, ending: signal.Signals) -> None:
    """With exit code 0, after it has answered what was in flight."""
    # given
    ignoring = ["bash", "-c", 'trap \'\' INT; exec "$0" "$@"', OFFERLOG, "serve", "--port", "0"]
    environment = os.environ | {"OFFERLOG_DATABASE_URL": dsn}
    with LimitedProcess(
        ignoring,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        url = next(line.split()[2] for line in serving.stdout if line.startswith("Serving at "))
        assert httpx.get(f"{url}/healthz").status_code == 200
        # when
        serving.send_signal(ending)
        # then
        assert serving.wait(60) == 0
