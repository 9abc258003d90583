"""Rebuild all three projections from the log, beside the library's ProjectionRunner with three such views."""

import os
import sys
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
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
"""Events that the library's runner is timed on: more would only take longer."""


_VIEWS = """
    CREATE TABLE stock_current (id uuid PRIMARY KEY, state text NOT NULL, since timestamptz NOT NULL);
    CREATE TABLE stock_suppressed (id uuid PRIMARY KEY, state text NOT NULL, since timestamptz NOT NULL);
    CREATE TABLE stock_counts (slot int, state text, events int NOT NULL, PRIMARY KEY (slot, state));
"""
_ENDED = ("ignored", "engaged", "rejected", "abandoned", "timedout")


class Views(PostgresTrackingRecorder):
    """The three views in their simplest form; rows and position in one transaction."""

    def apply(self, stream: UUID, state: str, at: datetime, tracking: Tracking) -> None:
        """One event."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(
                "INSERT INTO stock_current VALUES (%s, %s, %s)"
                " ON CONFLICT (id) DO UPDATE SET state = excluded.state, since = excluded.since",
                (stream, state, at),
                prepare=True,
            )
            if state in _ENDED:
                cursor.execute(
                    "INSERT INTO stock_suppressed VALUES (%s, %s, %s)", (stream, state, at), prepare=True
                )
            cursor.execute(
                "INSERT INTO stock_counts AS c VALUES (%s, %s, 1)"
                " ON CONFLICT (slot, state) DO UPDATE SET events = c.events + 1",
                (int(at.timestamp()) // 900, state),
                prepare=True,
            )
            self._insert_tracking(cursor, tracking)


class Viewing(Projection[Views]):
    """Feeds the views event by event, as the library does."""

    name = "viewing"
    topics = ()

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Each event is a transaction."""
        state = getattr(domain_event, "state", "offered")
        self.view.apply(domain_event.originator_id, state, domain_event.timestamp, tracking)


def stock_replay(dsn: str) -> float:
    """Events a second of the library's runner, over events of its own kind."""
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
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_VIEWS)
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Application, projection_class=Viewing, view_class=Views, env=environment
    ) as runner:
        runner.wait(last, timeout=300)
        rate = saved / (time.perf_counter() - began)
    app.close()
    return rate


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

            def told(step: Any) -> None:
                nonlocal before, stage
                now = time.perf_counter()
                stages[stage] = stages.get(stage, 0.0) + now - before
                before, stage = now, step.stage

            service.rebuild(told=told)
            seconds = time.perf_counter() - began
            told(type("End", (), {"stage": "end"}))
        figures |= {f"{name}, s": taken for name, taken in stages.items()}
        figures["rebuilt, proved and switched, events/s"] = figures["events"] / seconds
        figures["loading alone, events/s"] = figures["events"] / stages["loading"]
        figures["cores"] = os.cpu_count() or 1
        plain = figures["plain library's runner, events/s"] = stock_replay(dsn)
    whole = figures["rebuilt, proved and switched, events/s"] / plain
    say(
        "replay",
        figures,
        {"vs_stock": whole, "vs_stock, loading": figures["loading alone, events/s"] / plain},
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000)
