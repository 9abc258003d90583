"""Gathering the evidence when the soak is over and everything is healed."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from soak import fold
from soak.erased import ERASED
from soak.evidence import Evidence, Figures, attempts_of
from soak.history import ENDED, VIOLATION, Entry, read
from soak.listener import Listener
from soak.log_copy import Logged, Pair
from soak.policies import SOAKED_POLICIES
from soak.reported import reports_of
from soak.shown import Suppressed
from soak.store_copy import copy_store
from soak.system import System

_ANSWER_SECONDS: Final = 120.0
"""Time limit for the tail; the replica gets a second more for each 1,000 visitors, the streams half of it."""
_ROUNDS: Final = 5
"""Number of rounds of questions, where something was recorded meanwhile."""
VERIFY_SECONDS: Final = 600.0

_LAST: Final = "SELECT max(notification_id) FROM offerlog_events"


class Gathering:
    """Everything that is asked once the clients have ended and the projections show the whole log.

    Args:
        system: The system, healed.
        port: Of a service.
        keys: A key of each organization that may read reports.
        listeners: By organization.
        files: What the follower was given: `tail`, `question`, `answer`.
    """

    def __init__(
        self,
        system: System,
        port: int,
        keys: Mapping[str, str],
        listeners: Mapping[str, Listener],
        files: Mapping[str, str],
    ) -> None:
        self._system = system
        self._port = port
        self._keys = keys
        self._listeners = listeners
        self._files = files
        self._questions = 0

    def evidence(self) -> Evidence:
        """Ask for everything; again, if something was recorded meanwhile."""
        for _ in range(_ROUNDS):
            ((before,),) = self._system.sql(_LAST)
            found = self._once()
            ((after,),) = self._system.sql(_LAST)
            if before == after:
                return found
            self._system.history.write("recorded meanwhile", behind=before, up_to=after)
        raise TimeoutError(f"events are still being recorded: position {before:,}, then {after:,}")

    def _once(self) -> Evidence:
        copy = copy_store(self._rows, self._system.keyring)
        log, right = copy.log.log, fold.figures(copy.log.log)
        entries = list(read(self._system.folder / "history"))
        found = Evidence(attempts_of(entries), log, copy.unopened, seen=seen_in(entries))
        found.visitors, found.policies = list(copy.visitors.visitors.values()), SOAKED_POLICIES
        copy.erased.customers = [one["customer"] for one in entries if one["kind"] == ERASED]
        found.others, found.erased = copy.log.others, copy.erased
        found.refusals, found.current, found.actions = copy.refusals, copy.current, copy.actions
        found.waiting, found.suppressed = copy.waiting, copy.suppressed
        found.replica = self._replica(log)
        found.tailed = self._tailed(len(log) + len(copy.log.others))
        found.reports = reports_of(self._port, self._keys)
        found.streamed = self._streamed(right)
        run = self._system.command("projections", "verify", "--contents", seconds=VERIFY_SECONDS)
        found.verified = run.returncode, (run.stdout + run.stderr)[-2_000:]
        return found

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._system.sql(statement, seconds=300)

    def _replica(self, log: list[Logged]) -> Counter[Suppressed]:
        visitors = sorted({(one.pair.organization, one.pair.customer_type, one.pair.customer) for one in log})
        self._questions += 1
        question, answer = Path(self._files["question"]), Path(f"{self._files['answer']}-{self._questions}")
        position = log[-1].position if log else 0
        asked = {"visitors": visitors, "position": position, "answer": str(answer)}
        question.with_suffix(".new").write_text(json.dumps(asked), encoding="utf-8")
        question.with_suffix(".new").replace(question)
        deadline = time.monotonic() + _ANSWER_SECONDS + len(visitors) / 1_000
        while not answer.exists():
            if time.monotonic() > deadline:
                return Counter()  # every suppression counts as not shown
            time.sleep(0.1)
        return Counter(_suppressed(row) for row in json.loads(answer.read_text(encoding="utf-8")))

    def _tailed(self, events: int) -> list[tuple[int, str, int]]:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            lines = Path(self._files["tail"]).read_text(encoding="utf-8").splitlines()
            if len(lines) >= events or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        rows = [line.split() for line in lines]
        return [(int(position), stream, int(version)) for position, stream, version in rows]

    def _streamed(self, right: Mapping[tuple[str, str, str, str | None], Figures]) -> dict[str, Figures]:
        """Return what the streams told last; wait a while for them to tell the right figures."""
        deadline = time.monotonic() + _ANSWER_SECONDS / 2
        for organization, listener in self._listeners.items():
            expected = right.get((organization, "actions", "event", None), {})
            while listener.figures() != expected and time.monotonic() < deadline:
                time.sleep(0.2)
        return {organization: listener.figures() for organization, listener in self._listeners.items()}


def seen_in(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """Return what was seen to be wrong while a soak ran: check and words."""
    found: list[tuple[str, str]] = []
    for one in entries:
        if one["kind"] == VIOLATION:
            found.append((one["check"], one["what"]))
        elif one["kind"] == ENDED and not one["expected"]:
            found.append(("processes", f"{one['process']} ended by itself with code {one['code']}"))
    return found


def _suppressed(row: list[Any]) -> Suppressed:
    organization, kind, customer, action_map, state, action, since = row
    at = datetime.fromisoformat(since) if isinstance(since, str) else since
    return Suppressed(Pair(organization, kind, customer, action_map), state, action, at)
