"""The installed command, as the tests run it; and signals to give it."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support.keyrings import keyring_variable
from support.preloaded import preloaded
from support.processes import LimitedProcess

COMMAND = str(Path(sys.executable).with_name("offerlog"))
COMMAND_ENTRY = "offerlog_infrastructure.cli.main:main"
_PROGRESS = re.compile(
    r"^offerlog: (?:[a-z ]+: [\d,]+ of [\d,]+ [a-z]+|still waiting for .*)\n", re.MULTILINE
)
"""Lines that a command prints while it works or waits for seconds, as any may on a busy machine."""


@dataclass(frozen=True)
class Answer:
    """What one run of the command gave."""

    raw: bytes
    errors: str

    @property
    def text(self) -> str:
        """Standard output."""
        return self.raw.decode()

    @property
    def json(self) -> Any:
        """Standard output, one JSON value."""
        return json.loads(self.text)

    @property
    def lines(self) -> list[Any]:
        """Standard output, JSON lines."""
        return [json.loads(line) for line in self.text.splitlines()]


@dataclass(frozen=True)
class CommandLine:
    """The installed command over one embedded store, for one organization."""

    data: Path
    organization: str
    settings: tuple[tuple[str, str], ...] = ()

    def __call__(self, *words: str, given: bytes = b"", code: int = 0) -> Answer:
        """Run it, and expect that exit code."""
        run = subprocess.run(
            [*preloaded(COMMAND_ENTRY), *words],
            input=given,
            capture_output=True,
            env=self.environment,
            timeout=60,
            check=False,
        )
        answer = Answer(run.stdout, run.stderr.decode())
        assert run.returncode == code, (words, run)
        assert "Traceback" not in answer.errors
        return answer

    def on_a_terminal(
        self, *words: str, columns: int = 80, typed: bytes = b"", code: int = 0, seconds: float = 60
    ) -> str:
        """Run it on a pseudo-terminal, expect that exit code; returns what a person would see."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        run = LimitedProcess(
            [*preloaded(COMMAND_ENTRY), *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**self.environment, "TERM": "xterm"},
            seconds=seconds,
        )
        os.close(theirs)
        seen, deadline = b"", time.monotonic() + seconds
        try:
            os.write(ours, typed)
            while select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
                try:
                    part = os.read(ours, 1 << 16)
                except OSError:  # how Linux says that the other end is closed
                    break
                if not part:
                    break
                seen += part
            assert run.wait(max(0.1, deadline - time.monotonic())) == code, seen
        finally:
            run.kill()
            run.wait(10)
            os.close(ours)
        return seen.decode()

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("OFFERLOG_")}
        ours = {"OFFERLOG_DATA": str(self.data), "OFFERLOG_ORGANIZATION": self.organization}
        ours |= keyring_variable()
        return {**plain, **ours, **dict(self.settings)}

    def with_settings(self, **settings: str) -> "CommandLine":
        """The same with further environment variables."""
        return replace(self, settings=(*self.settings, *settings.items()))

    def judged(self, *signals: dict[str, Any], options: Sequence[str] = ()) -> list[Any]:
        """Record signals; returns the line that tells of each."""
        return self("record", "-", "--outcomes", "-", *options, given=ndjson(*signals)).lines

    def fails(self, *words: str, code: int = 2) -> str:
        """Run it, and expect that exit code and one line on standard error; returns that."""
        answer = self(*words, code=code)
        assert answer.raw == b""
        errors = _PROGRESS.sub("", answer.errors)
        assert errors.startswith("offerlog: ")
        assert errors.count("\n") == 1, answer.errors
        return errors.strip()


def ndjson(*signals: dict[str, Any]) -> bytes:
    """Signals as a file holds them."""
    return "".join(json.dumps(signal) + "\n" for signal in signals).encode()


def an_id() -> str:
    """A UUID nobody has used."""
    return str(uuid.uuid4())


def signal_of(state: str, action: str, action_map: str, at: str | None = None, **more: Any) -> dict[str, Any]:
    """A signal in the browser's form, of visitor `v1` unless said."""
    signal: dict[str, Any] = {
        "actionId": action,
        "actionState": state,
        "actionMapId": action_map,
        "customerId": "v1",
        "sessionId": "11111111-1111-4111-8111-111111111111",
    }
    return {**signal, **({"createdDate": at} if at else {}), **more}
