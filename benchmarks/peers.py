"""What offerlog is measured against, on the same PostgreSQL in the same run."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict


class StockOffer(Aggregate):
    """A visitor-offer as the library's own way would have it."""

    @event("Offered")
    def __init__(self, customer_id: str, action_map_id: str, action_id: str, session_id: str) -> None:
        self.customer_id = customer_id
        self.action_map_id = action_map_id
        self.action_id = action_id
        self.session_id = session_id
        self.state = "offered"

    @event("Moved")
    def move(self, state: str, session_id: str, event_id: str) -> None:  # noqa: ARG002 - stored in the event
        """The next state."""
        self.state = state


def stock_environment(dsn: str) -> dict[str, str]:
    """The library's settings: its tables lie in a separate schema."""
    parts = conninfo_to_dict(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS stock")
    os.environ.pop("POSTGRES_ENABLE_DB_FUNCTIONS", None)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts.get("port", 5432)),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": str(parts.get("password", "")),
        "POSTGRES_SCHEMA": "stock",
        "POSTGRES_POOL_SIZE": "10",
    }


def stock_rate(dsn: str, lifecycles: list[tuple[str, ...]], threads: int, seconds: float) -> float:
    """Events a second that the plain library records, each in one durable transaction."""
    app: Application[UUID] = Application(stock_environment(dsn))
    done = 0
    lock = threading.Lock()
    deadline = time.perf_counter() + seconds

    def work(worker: int) -> None:
        nonlocal done
        n = worker
        while time.perf_counter() < deadline:
            states = lifecycles[n % len(lifecycles)]
            n += threads
            offer = StockOffer(str(uuid4()), str(uuid4()), str(uuid4()), str(uuid4()))
            app.save(offer)
            for state in states[1:]:
                again: StockOffer = app.repository.get(offer.id)
                again.move(state, str(uuid4()), str(uuid4()))
                app.save(again)
            with lock:
                done += len(states)

    started = time.perf_counter()
    with closing(app), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
        return done / (time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an events table, as they are stored."""

    rows: list[tuple[int, UUID, str, bytes]]


def stored_rows(dsn: str) -> Rows:
    """Every event of a log, in order."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT originator_version, originator_id, topic, state FROM offerlog_events"
            " ORDER BY notification_id"
        ).fetchall()
    return Rows([(version, stream, topic, bytes(state)) for version, stream, topic, state in found])


def copy_rate(dsn: str, rows: Rows, batch: int) -> float:
    """Rows a second that binary COPY stores in an empty table of the same shape, a transaction a batch."""
    with psycopg.connect(dsn) as connection:
        started = time.perf_counter()
        for start in range(0, len(rows.rows), batch):
            with connection.cursor().copy(
                "COPY offerlog_events (originator_version, originator_id, topic, state)"
                " FROM STDIN (FORMAT BINARY)"
            ) as copy:
                copy.set_types(["int4", "uuid", "text", "bytea"])
                for row in rows.rows[start : start + batch]:
                    copy.write_row(row)
            connection.commit()
        return len(rows.rows) / (time.perf_counter() - started)
