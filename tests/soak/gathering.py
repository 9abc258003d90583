"""Gathering the evidence when the soak is over and everything is healed."""

import http.client
import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from soak import fold, shown
from soak.erased import ERASED, SELECT_LEFT, SELECT_TOKENS, ErasedCopy
from soak.evidence import Evidence, Figures, attempts_of
from soak.history import ENDED, VIOLATION, read
from soak.key_copies import SELECT_KEYS, SELECT_SECRETS, KeyCopies, UnopenedError
from soak.listener import Listener, counted
from soak.log_copy import READ, Logged, Pair, decoded
from soak.policies import SOAKED_POLICIES
from soak.shown import CurrentAction, CurrentOffer, Suppressed, Waiting
from soak.system import System
from soak.traffic import ORGANIZATIONS
from soak.visitor_copies import SELECT_VISITORS, VisitorCopies

_ANSWER_SECONDS: Final = 120.0
"""Time limit for the tail; the replica gets a second more for each 1,000 visitors, the streams half of it."""
_ROUNDS: Final = 5
"""Number of rounds of questions, where something was recorded meanwhile."""
_VERIFY_SECONDS: Final = 600.0

_LAST: Final = "SELECT max(notification_id) FROM offerlog_events"
_REFUSALS: Final = "SELECT organization, recorded_at, reason, sealed_text FROM refusals"


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
        keys = KeyCopies(self._system.keyring, self._rows(SELECT_KEYS), self._rows(SELECT_SECRETS))
        events = self._rows(READ)
        visitors = VisitorCopies(self._rows(SELECT_VISITORS), keys)  # read last: it has those of all events
        erased = ErasedCopy(frozenset(token for (token,) in self._rows(SELECT_TOKENS)))
        copy = decoded(events, visitors, erased)
        log, right = copy.log, fold.figures(copy.log)
        entries = list(read(self._system.folder / "history"))
        found = Evidence(attempts_of(entries), log, visitors.unopened + copy.unopened)
        found.visitors, found.policies = list(visitors.visitors.values()), SOAKED_POLICIES
        found.seen = [(one["check"], one["what"]) for one in entries if one["kind"] == VIOLATION]
        found.seen += [
            ("processes", f"{one['process']} ended by itself with code {one['code']}")
            for one in entries
            if one["kind"] == ENDED and not one["expected"]
        ]
        erased.customers = [one["customer"] for one in entries if one["kind"] == ERASED]
        (erased.left,) = self._rows(SELECT_LEFT)
        found.others, found.erased = copy.others, erased
        found.refusals = self._refusals(keys, found.unopened)
        found.current = {CurrentOffer(*row) for row in self._rows(shown.SELECT_OFFERS)}
        found.actions = {CurrentAction(*row) for row in self._rows(shown.SELECT_ACTIONS)}
        found.waiting, found.suppressed = self._sealed_rows(visitors, found.unopened)
        found.replica = self._replica(log)
        found.tailed = self._tailed(len(log) + len(copy.others))
        found.reports = self._reports()
        found.streamed = self._streamed(right)
        run = self._system.command("projections", "verify", "--contents", seconds=_VERIFY_SECONDS)
        found.verified = run.returncode, (run.stdout + run.stderr)[-2_000:]
        return found

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._system.sql(statement, seconds=300)

    def _refusals(self, keys: KeyCopies, unopened: list[str]) -> list[tuple[str, str, str]]:
        """Return organization, reason and text of all refusals."""
        found: list[tuple[str, str, str]] = []
        for organization, at, reason, sealed in self._rows(_REFUSALS):
            try:
                found.append((organization, reason, keys.open_text(organization, at, reason, sealed)))
            except UnopenedError as error:
                unopened.append(f"the text of a refusal ({reason}) of {organization} at {at}: {error}")
        return found

    def _sealed_rows(
        self, visitors: VisitorCopies, unopened: list[str]
    ) -> tuple[set[Waiting], Counter[Suppressed]]:
        """Open the rows of projections that keep sealed parts: parked signals, and suppressions."""
        waiting: set[Waiting] = set()
        suppressed: Counter[Suppressed] = Counter()
        for row in self._rows(shown.SELECT_PARKED):
            try:
                waiting.add(shown.open_waiting(row, visitors))
            except UnopenedError as error:
                unopened.append(f"a parked signal of {row[0]} version {row[1]}: {error}")
        for row in self._rows(shown.SELECT_SUPPRESSIONS):
            try:
                suppressed[shown.open_suppressed(row, visitors)] += 1
            except UnopenedError as error:
                unopened.append(f"a suppression of the visitor {row[0]} and the map {row[2]}: {error}")
        return waiting, suppressed

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

    def _reports(self) -> dict[tuple[str, str, str, str | None], Figures]:
        found: dict[tuple[str, str, str, str | None], Figures] = defaultdict(dict)
        for organization in ORGANIZATIONS:
            for count_by in ("actions", "visitors"):
                for cohort in ("event", "offered"):
                    for by in ("total", "hour"):
                        query = f"view=all&by={by}&count_by={count_by}&cohort={cohort}"
                        report = self._get(organization, f"/v1/reports/action-map-performance?{query}")
                        for row in report["rows"]:
                            hour = row["bucket"] if by == "hour" else None
                            key = organization, count_by, cohort, hour
                            found[key][row["action_map_id"]] = counted(row["metrics"])
        return dict(found)

    def _streamed(self, right: Mapping[tuple[str, str, str, str | None], Figures]) -> dict[str, Figures]:
        """Return what the streams told last; wait a while for them to tell the right figures."""
        deadline = time.monotonic() + _ANSWER_SECONDS / 2
        for organization, listener in self._listeners.items():
            expected = right.get((organization, "actions", "event", None), {})
            while listener.figures() != expected and time.monotonic() < deadline:
                time.sleep(0.2)
        return {organization: listener.figures() for organization, listener in self._listeners.items()}

    def _get(self, organization: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._keys[organization]}"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {text.decode()}")
        return json.loads(text)


def _suppressed(row: list[Any]) -> Suppressed:
    organization, kind, customer, action_map, state, action, since = row
    at = datetime.fromisoformat(since) if isinstance(since, str) else since
    return Suppressed(Pair(organization, kind, customer, action_map), state, action, at)
