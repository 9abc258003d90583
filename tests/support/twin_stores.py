"""Two stores with the same history. A part of the second one's log lies in an archive; both answer alike."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.conninfo import conninfo_to_dict

from offerlog import Offerlog, open_offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.archive import ArchivedPart
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import only_position
from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from support.databases import Databases
from support.internals import application_of
from support.journeys import DAY, an_id, blocked_event, journeys, signal

LATER = DAY + timedelta(days=100)
"""The time of the second half of the history."""

MAPS = [an_id("map", n) for n in range(3)]


class Twins(NamedTuple):
    """Two services with one clock.

    Attributes:
        plain: Has no archive.
        archived: Has one.
        part: The part of the log that lies in it.
        clock: Their clock.
        folder: The folder of the archive.
        dsns: Their databases, in this order.
    """

    plain: Offerlog
    archived: Offerlog
    part: ArchivedPart
    clock: SettableClock
    folder: Path
    dsns: tuple[str, str]


def dated(at: datetime, state: str, **more: Any) -> dict[str, object]:
    """A signal of a time."""
    return signal(state, createdDate=at.isoformat(), **more)


def record_first_half(service: Offerlog) -> None:
    """Record what will be old: every kind of journey, blocked offers, repeats, a policy, and more."""
    service.policies.set(MAPS[1], {"rejected": timedelta(days=10)})
    service.record(journeys(70))
    service.record(
        [json.dumps(blocked_event(n, n % 9, MAPS[n % 3], "frequencyCap")).encode() for n in range(20)]
    )
    content = {"actionMediaType": "contentOffer", "actionMapId": MAPS[2]}
    service.record([dated(DAY, state, visitor=200, **content) for state in ("offered", "accepted")])
    for action in (1, 2, 3):  # the same map offers again after an error
        service.record(
            [
                dated(DAY + timedelta(minutes=action), state, visitor=201, action=action, actionMapId=MAPS[0])
                for state in ("offered", "errored")
            ]
        )
    service.record([dated(DAY, "offered", visitor=202, actionMapId=MAPS[0], timeoutSeconds=30)])
    service.record([dated(DAY, "rejected", visitor=203, actionMapId=MAPS[0], errorCode="00045")])
    service.offer(customer_id="visitor-0", action_map_id=MAPS[0], session_id=an_id("s"), action_id=an_id("a"))
    service.erase(customer_id="visitor-14")
    service.hold_visitor(customer_id="visitor-1", reason="a dispute")


def record_second_half(service: Offerlog) -> None:
    """Record what stays young, of new visitors and of old ones."""
    service.expire()
    service.record([dated(LATER, "offered", visitor=n, actionMapId=MAPS[n % 3]) for n in range(300, 320)])
    service.record([dated(LATER, "offered", visitor=1, action=9, actionMapId=MAPS[2])])
    service.erase(customer_id="visitor-21")
    for position in (0, 3, 60, 120):
        service.subscriptions.acknowledge(f"reader-{position}", position)
    service.webhooks.create("https://example.com/hook")
    service.issued_reports.issue(ReportQuery(service.organization), "a test")


@contextmanager
def open_twins(databases: Databases, folder: Path, *, is_moved: bool = True) -> Iterator[Twins]:
    """Make both, and move the first half of the second one's log unless that is left to the test."""
    with ExitStack() as held:
        clock = SettableClock(DAY + timedelta(hours=1))
        made: list[str] = []
        held.callback(lambda: databases.drop(made))
        made.append(databases.make())
        make_audit_key(folder / "key", "example.com/twins", SignatureType.ED25519, None)
        with open_offerlog(
            database_url=made[0], clock=clock, keep_deadlines=False, audit_key=folder / "key"
        ) as service:
            record_first_half(service)
            clock.set(LATER)
            record_second_half(service)
            service.catch_up()
            assert service.evidence is not None
            service.evidence.catch_up()
        made.append(databases.make(str(conninfo_to_dict(made[0])["dbname"])))
        plain, archived = (
            held.enter_context(
                open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False, audit_key=folder / "key")
            )
            for dsn in made
        )
        part = ArchivedPart(0)
        if is_moved:
            part = move(archived, folder / "archive", DAY + timedelta(days=50))
        yield Twins(plain, archived, part, clock, folder / "archive", (made[0], made[1]))


def move(service: Offerlog, folder: Path, until: datetime) -> ArchivedPart:
    """Move the cold streams of a service that are older than a time."""
    application = application_of(service)
    position = only_position(service.issued_reports._replays.position_at(until))
    return PostgresArchiver(application, SystemClock()).move_up_to(position, str(folder), lambda _: None)
