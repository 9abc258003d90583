"""A process that follows: a local replica, and a reader that tails the log: `python -m soak.follower PLAN`.

When the soak is over, it is asked what the replica answers about every visitor. Question and answer are
files.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from eventsourcing.persistence import PersistenceError

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.read_models import ReplicaStaleError
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication

_LOOK_SECONDS: Final = 0.1
_PAGE: Final = 500
_OLD: Final = timedelta(days=1)
"""The replica may be as old as it likes while it is not asked: how far it is, it says itself."""


class Tail(threading.Thread):
    """A reader that goes on behind the last event it has written down, also in the process after this one."""

    def __init__(self, dsn: str, path: Path, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._path = path
        self._ended = ended

    def run(self) -> None:
        """Read until the end, through whatever happens to the store."""
        last = _last_line(self._path)
        with closing(OfferlogApplication(self._dsn, SCHEMA)) as application, self._path.open("a") as written:
            while not self._ended.is_set():
                try:
                    page = application.log.select_notifications(last, _PAGE, inclusive_of_start=last is None)
                except (PersistenceError, StoreUnavailableError, psycopg.Error):
                    page = []
                for one in page:
                    assert isinstance(one.id, int)
                    last = one.id
                    written.write(f"{one.id} {one.originator_id} {one.originator_version}\n")
                written.flush()
                if not page:
                    time.sleep(_LOOK_SECONDS)


def _last_line(path: Path) -> int | None:
    """Return the last position in the file; cut off a line that was not written to its end."""
    if not path.exists():
        return None
    whole, _, _ = path.read_text().rpartition("\n")
    path.write_text(f"{whole}\n" if whole else "")
    return int(whole.rpartition("\n")[2].split()[0]) if whole else None


def answered(service: Offerlog, asked: Mapping[str, Any]) -> list[list[str]]:
    """Look all visitors up in the replica, once it has come as far as the question says."""
    found: list[list[str]] = []
    for organization, customer_type, customer in asked["visitors"]:
        while True:
            try:
                looked_up = service.local_suppressions(customer, customer_type, organization=organization)
                if looked_up.position >= asked["position"]:
                    break
            except ReplicaStaleError:
                pass
            time.sleep(_LOOK_SECONDS)
        found += [
            [
                *(organization, customer_type, customer),
                *(one.action_map_id, one.state, one.action_id, one.since.isoformat()),
            ]
            for one in looked_up.suppressions
        ]
    return found


def main() -> None:
    """Follow until SIGTERM."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    question = Path(plan["question"])
    with open_offerlog(
        data=plan["data"],
        create=False,
        keep_deadlines=False,
        replica=Path(plan["replica"]),
        replica_max_age=_OLD,
    ) as service:
        tail = Tail(plan["dsn"], Path(plan["tail"]), ended)
        tail.start()
        Path(plan["up"]).touch()
        while not ended.wait(_LOOK_SECONDS):
            asked = json.loads(question.read_text(encoding="utf-8")) if question.exists() else None
            if asked is not None and not (answer := Path(asked["answer"])).exists():
                found_state = answered(service, asked)
                answer.with_suffix(".new").write_text(json.dumps(found_state), encoding="utf-8")
                answer.with_suffix(".new").replace(answer)
        tail.join(30)


if __name__ == "__main__":
    main()
