"""Rebuild all three projections from the log, beside the library's ProjectionRunner with three such views."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any, ClassVar, LiteralString
from uuid import UUID

import psycopg
from children import limited
from eventsourcing.application import Application
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from ground import database, say, server, settle
from ingest_bulk import record
from peers import StockOffer, stock_environment
from traffic import LIFECYCLES, day

from offerlog_infrastructure.composition import open_offerlog

SAMPLE = 2_000
"""Events that the library's runners are timed on: more would only take longer."""


_VIEWS: LiteralString = """
    DROP TABLE IF EXISTS stock_current, stock_suppressed, stock_counts;
    CREATE TABLE stock_current (id uuid PRIMARY KEY, state text NOT NULL, since timestamptz NOT NULL);
    CREATE TABLE stock_suppressed (id uuid PRIMARY KEY, state text NOT NULL, since timestamptz NOT NULL);
    CREATE TABLE stock_counts (slot int, state text, events int NOT NULL, PRIMARY KEY (slot, state));
"""
_ENDED = ("ignored", "engaged", "rejected", "abandoned", "timedout")


def current(cursor: Any, stream: UUID, state: str, at: datetime) -> None:
    """Where each visitor-offer stands."""
    cursor.execute(
        "INSERT INTO stock_current VALUES (%s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, since = excluded.since",
        (stream, state, at),
        prepare=True,
    )


def suppressed(cursor: Any, stream: UUID, state: str, at: datetime) -> None:
    """Which have come to an end."""
    if state in _ENDED:
        cursor.execute("INSERT INTO stock_suppressed VALUES (%s, %s, %s)", (stream, state, at), prepare=True)


def counted(cursor: Any, _: UUID, state: str, at: datetime) -> None:
    """How many there are of each state and quarter-hour."""
    cursor.execute(
        "INSERT INTO stock_counts AS c VALUES (%s, %s, 1)"
        " ON CONFLICT (slot, state) DO UPDATE SET events = c.events + 1",
        (int(at.timestamp()) // 900, state),
        prepare=True,
    )


class Views(PostgresTrackingRecorder):
    """Views in their simplest form; rows and position in one transaction."""

    def apply(self, writes: Sequence[Any], event: Any, tracking: Tracking) -> None:
        """One event."""
        state = getattr(event, "state", "offered")
        with self.datastore.transaction(commit=True) as cursor:
            for write in writes:
                write(cursor, event.originator_id, state, event.timestamp)
            self._insert_tracking(cursor, tracking)


class Viewing(Projection[Views]):
    """Feeds views event by event, as the library does."""

    topics = ()
    writes: ClassVar[Sequence[Any]]

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Each event is a transaction."""
        self.view.apply(self.writes, domain_event, tracking)


class Current(Viewing):
    """The first projection."""

    name = "current"
    writes = (current,)


class Suppressed(Viewing):
    """The second."""

    name = "suppressed"
    writes = (suppressed,)


class Counted(Viewing):
    """The third."""

    name = "counted"
    writes = (counted,)


class Together(Viewing):
    """All three as one projection, which cannot be rebuilt one by one."""

    name = "together"
    writes = (current, suppressed, counted)


def stock_replay(dsn: str) -> tuple[float, float]:
    """Events a second of the library, over events of its own kind.

    First with a runner for each projection, side by side, then with one runner for all three as one.
    """
    environment = stock_environment(dsn)
    app: Application[UUID] = Application(environment)
    saved = 0
    while saved < SAMPLE:
        for states in LIFECYCLES:
            offer = StockOffer("customer", "map", "action", "session")
            for state in states[1:]:
                offer.move(state, "session", "event")
            app.save(offer)
            saved += len(states)
    last = app.recorder.max_notification_id()
    app.close()
    rates = []
    for projections in ((Current, Suppressed, Counted), (Together,)):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(_VIEWS)
        began = time.perf_counter()
        with ExitStack() as running:
            runners = [
                running.enter_context(
                    ProjectionRunner(
                        application_class=Application,
                        projection_class=projection,
                        view_class=Views,
                        env=environment,
                    )
                )
                for projection in projections
            ]
            for runner in runners:
                runner.wait(last, timeout=300)
            rates.append(saved / (time.perf_counter() - began))
    return rates[0], rates[1]


def main(visitors: int) -> None:
    """Measure and print."""
    lines = day(visitors)
    settle()
    figures: dict[str, float] = {}
    with server() as dsn:
        ours = database(dsn)
        with open_offerlog(database_url=ours, keep_deadlines=False) as service:
            record(service, lines, 3)
            service.catch_up()
            figures["events"] = service.proof().events
            stages: dict[str, float] = {}
            began = before = time.perf_counter()
            stage = "loading"

            def note(step: Any) -> None:
                nonlocal before, stage
                now = time.perf_counter()
                stages[stage] = stages.get(stage, 0.0) + now - before
                before, stage = now, step.stage

            service.rebuild(on_progress=note)
            seconds = time.perf_counter() - began
            note(type("End", (), {"stage": "end"}))
        figures |= {f"{name}, s": taken for name, taken in stages.items()}
        figures["rebuilt, proved and switched, events/s"] = figures["events"] / seconds
        figures["loading alone, events/s"] = figures["events"] / stages["loading"]
        figures["cores"] = os.cpu_count() or 1
        plain, together = stock_replay(dsn)
        figures["plain library, a runner a projection, events/s"] = plain
        figures["plain library, one runner for all, events/s"] = together
    whole = figures["rebuilt, proved and switched, events/s"]
    loading = figures["loading alone, events/s"]
    ratios = {"vs_stock": whole / plain, "vs_stock, loading": loading / plain}
    ratios |= {"vs_stock, one runner": whole / together, "vs_stock, one runner, loading": loading / together}
    say("replay", figures, ratios)


if __name__ == "__main__":
    with limited():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000)
