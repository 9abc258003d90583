"""A service with workers, as the command starts it, and clients that know which answers they have had."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from support.command_line import COMMAND_ENTRY, CommandLine, an_id, signal_of
from support.preloaded import preloaded
from support.processes import LimitedProcess, finish

SECONDS = 60.0
"""Time limit of everything that is waited for."""


@dataclass
class WorkerService:
    """A running service.

    Attributes:
        process: Its supervisor.
        url: Its address.
        log: The lines of its log so far.
        key: The admin key of its organization.
    """

    process: LimitedProcess
    url: str
    log: list[dict[str, Any]]
    key: str

    @property
    def background(self) -> int:
        """The process of the background, as of the start."""
        return int(self._started["background"])

    @property
    def workers(self) -> list[int]:
        """The processes that answered HTTP at the start."""
        return list(self._started["processes"])

    @property
    def _started(self) -> dict[str, Any]:
        return next(line for line in self.log if line["event"] == "started")

    @property
    def supervisor(self) -> int:
        """The process that started the others."""
        found = subprocess.run(
            ["ps", "-o", "ppid=", "-p", str(self.background)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        return int(found.stdout)

    def await_line(self, words: str) -> None:
        """Wait for a line of the log with these words."""
        until(lambda: any(words in line["event"] for line in self.log))

    @contextmanager
    def clients(self, key: str | None = None, count: int = 16) -> Iterator[list[httpx.Client]]:
        """Clients with a connection each: all meet one worker as rarely as 16 coins fall alike."""
        headers = {} if key == "" else {"Authorization": f"Bearer {key or self.key}"}
        made = [httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS) for _ in range(count)]
        try:
            for one in made:
                one.get("/healthz")
            yield made
        finally:
            for one in made:
                one.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the service and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def until(holds: Any, seconds: float = SECONDS) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: It does not hold after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Return whether a process is there and has not ended."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, timeout=SECONDS, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


@contextmanager
def serving_workers(
    offerlog: CommandLine, key_file: Path, *words: str, key: str | None = None
) -> Iterator[WorkerService]:
    """Start a service with two workers; it is killed at the end if it still runs.

    Args:
        offerlog: The store and the organization.
        key_file: A new file for the first key of the organization.
        words: Further words for the command.
        key: The key of an organization that has one.
    """
    command = offerlog.with_settings(
        OFFERLOG_ADMIN_KEY_FILE=str(key_file),
        OFFERLOG_LOG_FORMAT="json",
        TMPDIR=os.environ["OFFERLOG_TEST_FOLDER"],
    )
    with LimitedProcess(
        [*preloaded(COMMAND_ENTRY), "serve", "--port", "0", "--workers", "2", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=command.environment,
        text=True,
    ) as process:
        log: list[dict[str, Any]] = []
        reading = threading.Thread(target=_read, args=(process, log))
        reading.start()
        try:
            until(lambda: process.poll() is not None or any(line["event"] == "started" for line in log))
            assert process.poll() is None, log
            address = next(line["address"] for line in log if line["event"] == "started")
            text = key_file.read_text().strip() if key is None else key
            yield WorkerService(process, address, log, text)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(SECONDS)
                finally:
                    process.kill()
            finish(reading)


def _read(process: LimitedProcess, log: list[dict[str, Any]]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        try:
            log.append(json.loads(line))
        except ValueError:
            log.append({"event": line})


@dataclass
class Posting:
    """Threads that post offers of new visitors one by one, until each of them is acknowledged.

    Attributes:
        url: The service.
        key: A key.
        action_map: The map of all offers.
        acknowledged: The actions of which an answer said that they are in the log.
        outcomes: All outcomes that were answered.
        broken: The number of requests without an answer; they were sent again.
    """

    url: str
    key: str
    action_map: str = field(default_factory=an_id)
    acknowledged: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    broken: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, threads: int = 8) -> None:
        """Begin."""
        for _ in range(threads):
            thread = threading.Thread(target=self._post)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End once each offer that was sent is acknowledged."""
        self._stopping.set()
        finish(*self._threads)

    def give_up(self) -> None:
        """End at once: the service is gone, and what was not acknowledged stays so."""
        self._is_over.set()
        self.stop()

    def _post(self) -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=SECONDS) as client:
            while not self._stopping.is_set():
                action = an_id()
                offer = signal_of("offered", action, self.action_map, customerId=action)
                until(lambda offer=offer: self._is_over.is_set() or self._is_acknowledged(client, offer))

    def _is_acknowledged(self, client: httpx.Client, offer: dict[str, Any]) -> bool:
        try:
            answer = client.post(f"{self.url}/v1/signals", json=offer)
        except httpx.TransportError:
            self.broken += 1
            return False
        if answer.status_code != 200:
            return False
        self.outcomes.append(answer.json()["outcomes"][0]["outcome"])
        self.acknowledged.append(offer["actionId"])
        return True


def kill(pid: int) -> None:
    """Kill a process as `kill -9` does."""
    os.kill(pid, signal.SIGKILL)
