"""Running the installed command `offerlog` as a user would, on a store of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OFFERLOG = Path(sys.executable).with_name("offerlog")
MAP = "7d6d4b0e-5f0f-4a57-8a2b-6a4d1e8e0b02"


@dataclass(frozen=True)
class Shell:
    """A data folder, and files beside it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def offerlog(self) -> Path:
        """The installed command."""
        return OFFERLOG

    def run(
        self, *arguments: str, given: bytes = b"", code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command to its end and hold it to its exit code."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OFFERLOG_", "POSTGRES_"))
        }
        environment |= {"OFFERLOG_DATA": str(self.folder / "a store")} | self.environment | variables
        done = subprocess.run(
            [str(OFFERLOG), *arguments],
            input=given,
            capture_output=True,
            env=environment,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str, **variables: str) -> list[Any]:
        """The JSON lines that a command prints."""
        return [json.loads(line) for line in self.run(*arguments, **variables).stdout.splitlines()]

    def record(
        self, *lines: bytes | dict[str, Any], options: tuple[str, ...] = (), **variables: str
    ) -> list[Any]:
        """Record lines from standard input; returns the outcomes as written."""
        text = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        done = self.run("record", "-", "--outcomes", "-", *options, given=text, **variables)
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def shell() -> Iterator[Shell]:
    """A store in a folder that any user can reach; it goes when done."""
    folder = Path(tempfile.mkdtemp(prefix="offerlog-command-"))
    folder.chmod(0o755)
    try:
        yield Shell(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def signal(state: str, action: str, visitor: str = "v", action_map: str = MAP, **more: Any) -> dict[str, Any]:
    """One signal in the browser's form; the same names make the same ids."""
    return {
        "actionId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{visitor} {action}")),
        "actionState": state,
        "actionMapId": action_map,
        "customerId": visitor,
        "sessionId": str(uuid.uuid5(uuid.NAMESPACE_OID, visitor)),
        **more,
    }
