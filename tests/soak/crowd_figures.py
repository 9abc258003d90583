"""Figures of a service in a crowd: `python -m soak.crowd_figures --silent 1000 --kept 1500 [--files 300]`.

Starts `offerlog serve` on a separate store and asks it two things over and over from another address:
alone, while the crowd comes, beside it, and alone again. Prints a row for each.
"""

import argparse
import http.client
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from offerlog_application.ports.keys import Role
from offerlog_infrastructure.composition import open_offerlog
from soak.crowd import KEYS, KINDS
from support.journeys import signal
from support.processes import LimitedProcess

_LIMIT_SECONDS: Final = 300.0
_ORGANIZATIONS: Final = 6
_KEYS_EACH: Final = 5


class Prober:
    """Records one signal and looks up one visitor, each on a new connection, and keeps the times."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._number = 0

    def probe(self, seconds: float) -> tuple[list[float], list[str]]:
        """Ask for so long; the times of what succeeded, in seconds, and what else was answered."""
        times, failed = list[float](), list[str]()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._number += 1
            body = json.dumps([signal("offered", visitor=f"probe-{self._number}")])
            asked = (("POST", "/v1/signals", body), ("GET", "/v1/suppressions?customer_id=x", None))
            for method, path, sent in asked:
                began = time.monotonic()
                try:
                    status = self._ask(method, path, sent)
                except (OSError, http.client.HTTPException) as error:
                    failed.append(repr(error))
                else:
                    if status == 200:
                        times.append(time.monotonic() - began)
                    else:
                        failed.append(str(status))
            time.sleep(0.02)
        return times, failed

    def _ask(self, method: str, path: str, body: str | None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


def held_by(pid: int) -> tuple[int, int]:
    """The resident memory of a process in MB, and its open files."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    kilobytes = re.search(r"VmRSS:\s+(\d+)", status)
    assert kilobytes is not None
    return int(kilobytes[1]) // 1024, len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone


def processor_seconds(pid: int) -> float:
    """The processor time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def row(name: str, prober: Prober, seconds: float, pid: int) -> None:
    """Probe for so long, and print a row."""
    began, used = time.monotonic(), processor_seconds(pid)
    times, failed = prober.probe(seconds)
    share = (processor_seconds(pid) - used) / (time.monotonic() - began)
    ordered = sorted(times) or [float("nan")]
    median, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    memory, files = held_by(pid)
    sys.stdout.write(
        f"{name:22} answered {len(times):5}  not {len(failed):3}  median {median * 1000:6.1f} ms"
        f"  99 % {late * 1000:7.1f} ms  longest {ordered[-1]:5.2f} s"
        f"  CPU {share:4.0%}  RSS {memory} MB  files {files}\n"
    )
    if failed:
        sys.stdout.write(f"{'':22} {sorted(set(failed))[:5]}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="soak.crowd_figures")
    parser.add_argument("--files", type=int, default=None, help="the service's limit of open files")
    parser.add_argument("--seconds", type=float, default=30.0)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="offerlog-crowd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with open_offerlog(
            data=folder / "store", keyring=folder / "keyring.json", keep_deadlines=False, project=False
        ) as service:
            keys = [
                service.keys.create(f"crowd-{n % _ORGANIZATIONS}", Role.ADMIN, "crowd", ())[1]
                for n in range(_ORGANIZATIONS * _KEYS_EACH)
            ]
            probing = service.keys.create("default", Role.ADMIN, "probe", ())[1]
            _measure(asked, folder, keys, probing)


def _measure(asked: argparse.Namespace, folder: Path, keys: Sequence[str], probing: str) -> None:
    limit = asked.files

    def limit_files() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    command = [str(Path(sys.executable).with_name("offerlog")), "serve", "--port", "0"]
    places = {"OFFERLOG_DATA": str(folder / "store"), "OFFERLOG_KEYRING": str(folder / "keyring.json")}
    environment = {**os.environ, **places, "NO_COLOR": "1"}
    log = folder / "service.log"
    with (
        log.open("wb") as written,
        LimitedProcess(
            command,
            env=environment,
            stdout=written,
            stderr=written,
            preexec_fn=limit_files,
            seconds=_LIMIT_SECONDS,
        ) as serving,
    ):
        try:
            port = _port(log)
            prober = Prober(port, probing)
            prober.probe(2.0)
            row("alone", prober, asked.seconds / 2, serving.pid)
            numbers = [word for kind in KINDS for word in (f"--{kind}", str(getattr(asked, kind)))]
            crowd = LimitedProcess(
                [sys.executable, "-m", "soak.crowd", str(port), str(asked.seconds + 10), *numbers],
                env={**os.environ, KEYS: " ".join(keys), "PYTHONPATH": str(Path(__file__).parents[1])},
                stdout=subprocess.PIPE,
                text=True,
                seconds=_LIMIT_SECONDS,
            )
            row("while it comes", prober, 10.0, serving.pid)
            row("beside it", prober, asked.seconds, serving.pid)
            output = crowd.communicate(timeout=120)[0].splitlines()
            sys.stdout.write(f"{'the crowd at the end':22} {output[-1] if output else 'said nothing'}\n")
            prober.probe(3.0)
            row("alone again", prober, asked.seconds / 2, serving.pid)
        finally:
            serving.terminate()
            serving.wait(60)
            text = log.read_text(errors="replace")
            troubles = [line for line in text.splitlines() if '"error"' in line or "Traceback" in line]
            sys.stdout.write(f"{'errors in its log':22} {len(troubles)} {troubles[:2]}\n")


def _port(log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.search(r"http://[\w.]+:(\d+)", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.1)
    raise TimeoutError(log.read_text(errors="replace"))


if __name__ == "__main__":
    main(sys.argv[1:])
