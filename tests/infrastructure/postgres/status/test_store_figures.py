"""Figures that only a store has: checkpoints, keys, the last backup, connections; at a bounded cost."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pytest

from offerlog_application.ports.store_figures import LastBackup, LastCheckpoint
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.postgres.status import last_backup, store_figures
from support.journeys import journeys, signal
from support.recount import rows

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
ADD_CHECKPOINT = "INSERT INTO checkpoints (origin, size, signed_at, note) VALUES (%s, %s, %s, %s)"


def note(*names: str) -> str:
    """A signed note, as far as its signatures have names."""
    return "body\n\n" + "".join(f"\u2014 {name} AAAA\n" for name in names)


def test_the_newest_checkpoint_and_the_newest_cosigned_one_are_found(dsn: str) -> None:
    """Among those of several names, by the time of signing."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        assert (service.operations.figures().checkpoint, service.operations.figures().cosigned) == (
            None,
            None,
        )
        for origin, size, minutes, names in (
            ("b", 5, 1, ("b", "witness")),
            ("b", 9, 3, ("b", "witness")),
            ("b", 10, 4, ("b",)),
            ("a", 90, 2, ("a",)),
        ):
            rows(dsn, ADD_CHECKPOINT, origin, size, NOW + timedelta(minutes=minutes), note(*names))
        figures = service.operations.figures()
    assert figures.checkpoint == LastCheckpoint("b", 10, NOW + timedelta(minutes=4))
    assert figures.cosigned == LastCheckpoint("b", 9, NOW + timedelta(minutes=3))
    assert [one.cosigners for one in figures.signed] == [{*()}, {"witness"}, {*()}, {"witness"}]


def test_a_store_tells_of_its_keys_its_size_and_who_is_connected(dsn: str) -> None:
    """A service by the name that it states, which a name in its address overrules."""
    name = "offerlog serve http://127.0.0.1:8000"
    with open_offerlog(database_url=dsn, keep_deadlines=False, application_name=name) as service:
        service.record(journeys(3))
        service.suppressions("a visitor")
        figures = service.operations.figures()
        pools = {one.name: one for one in service.operations.pools()}
    assert list(figures.keys.values()) == [1]
    assert figures.database_bytes > 1_000_000
    assert figures.server.split(".")[0].isdecimal()
    assert [one.name for one in figures.clients] == [name]
    assert figures.clients[0].connections >= 1
    assert figures.tree is not None
    assert {name: one.most is not None for name, one in pools.items()} == {
        "writing": True,
        "reading": True,
        "look-ups": False,
    }
    assert all(0 <= one.idle <= one.open <= (one.most or 1) for one in pools.values())
    assert pools["look-ups"].idle == 1
    own = psycopg.conninfo.make_conninfo(dsn, application_name="shop")
    with open_offerlog(database_url=own, keep_deadlines=False, application_name=name) as service:
        assert {one.name for one in service.operations.figures().clients} == {"shop"}


def test_the_last_backup_stays_the_last(dsn: str) -> None:
    """Whatever order two backups end in."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False) as service:
        assert service.operations.figures().backup is None
        for hours in (2, 3, 1):
            last_backup.record_backup(dsn, SCHEMA, NOW + timedelta(hours=hours), 7, 100 * hours)
        assert service.operations.figures().backup == LastBackup(NOW + timedelta(hours=3), 7, 300)


def test_a_large_backlog_is_counted_up_to_a_bound(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no statement reads a table to its end: beyond the bound the figure stands still."""
    monkeypatch.setattr(store_figures, "MAX_COUNTED", 3)
    numbers = count(1)
    parked = [signal("started", visitor=next(numbers)) for _ in range(5)]
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        service.record([json.dumps(one) for one in parked])
        service.catch_up()
        waiting = service.operations.figures().parked
    assert (waiting.count, waiting.is_more) == (3, True)
    assert waiting.oldest is not None
