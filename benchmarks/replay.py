"""Rebuild all three projections from the log, beside the library's ProjectionRunner on a sample."""

import os
import sys
import time
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


class Counts(PostgresTrackingRecorder):
    """A view of the library's own kind: one count, and the position with it, in one transaction."""

    def count(self, tracking: Tracking) -> None:
        """One more."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("UPDATE stock_counts SET events = events + 1")
            self._insert_tracking(cursor, tracking)


class Counting(Projection[Counts]):
    """Counts events one by one, as the library feeds them."""

    name = "counting"
    topics = ()

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Each event is a transaction."""
        del domain_event
        self.view.count(tracking)


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
        connection.execute("CREATE TABLE stock_counts AS SELECT 0 AS events")
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Application, projection_class=Counting, view_class=Counts, env=environment
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
