"""Of erased visitors nothing is left in the data folder, in a dump or in the replica; of the others, all."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.embedded import EmbeddedServer
from offerlog_infrastructure.embedded.binaries import find_binaries
from support.internals import application_of
from support.ready_stores import put_store
from support.recount import contents, rows, until
from support.secret_marks import Secrets, found_in, record_everything

_FEWEST_BYTES = 16
"""So much of a stored value is searched for; no two values share so much."""

_SELECT_STORED = """
    SELECT 'names', names FROM visitors
    UNION ALL SELECT 'key', wrapped_key FROM visitors
    UNION ALL SELECT 'digest', uuid_send(digest) FROM visitors
    UNION ALL SELECT 'digest of a refusal', uuid_send(visitor_digest) FROM refusals
        WHERE visitor_digest IS NOT NULL
    UNION ALL SELECT 'text of a refusal', sealed_text FROM refusals WHERE sealed_text <> ''
    UNION ALL SELECT 'event ' || topic, right_part FROM (
        SELECT topic, substr(state, octet_length(state) - 40) AS right_part FROM offerlog_events
    ) AS events
    UNION ALL SELECT 'suppression', sealed FROM suppressions
    UNION ALL SELECT 'parked signal', sealed FROM parked_signals
"""
"""Each value of the store that identifies somebody, or could be opened, as it is stored."""

_CROWD = 300
"""So many others are suppressed that the local list takes many pages."""


class Stored:
    """What a store holds of some visitors, as it is stored."""

    def __init__(self, dsn: str) -> None:
        self.values = {(name, bytes(value)[-_FEWEST_BYTES:]) for name, value in rows(dsn, _SELECT_STORED)}

    def encodings(self) -> Iterator[tuple[str, bytes]]:
        """As a dump writes it, and as it stands in files of tables."""
        for name, value in self.values:
            text = value.hex()
            yield name, value
            yield f"{name}, hexadecimal", text.encode()
            if "digest" in name:
                hyphens = "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])
                yield f"{name}, with hyphens", hyphens.encode()


@pytest.fixture
def erased() -> Secrets:
    """What nobody may find afterwards."""
    return Secrets()


def customers(secrets: Secrets) -> Iterator[VisitorKey]:
    """Every visitor of the secrets."""
    for name, text in secrets.texts.items():
        if name.startswith("customer "):
            visitor = name.removeprefix("customer ")
            yield VisitorKey(secrets.texts.get(f"type {visitor}", "cookie"), text)


def dump(folder: Path, target: Path) -> None:
    """Write a dump as text, in a separate folder."""
    target.mkdir()
    with EmbeddedServer.acquire(folder) as server:
        subprocess.run(
            [find_binaries().bindir / "pg_dump", "--dbname=offerlog", "--file", target / "dump.sql"],
            env=server.environment, check=True, timeout=60,
        )  # fmt: skip


def record_crowd(service: Offerlog) -> None:
    """Have a crowd turn an offer down."""
    action_map, signals = str(uuid4()), list[str]()
    for _ in range(_CROWD):
        ids = {name: str(uuid4()) for name in ("actionId", "sessionId", "customerId")}
        signal = {**ids, "actionMapId": action_map}
        signals += [json.dumps({**signal, "actionState": state}) for state in ("offered", "rejected")]
    service.wait(service.record(signals).position)


def hold_for_a_while(service: Offerlog, secrets: Secrets) -> None:
    """Set holds on two visitors with a reason that identifies, have the table analysed, and lift them."""
    held = [secrets.text(f"customer {visitor}") for visitor in ("turned-down", "ignoring")]
    for customer in held:
        service.hold_visitor(customer_id=customer, reason=secrets.text("reason"))
    rows(application_of(service).dsn, "ANALYZE")
    for customer in held:
        service.lift_hold(customer_id=customer)


def insert_visitors_twice(dsn: str) -> None:
    """Fail as a writer does that meets another one: the server's log gets an error with the key."""
    with pytest.raises(psycopg.errors.UniqueViolation, match="DETAIL"):
        rows(dsn, "INSERT INTO visitors SELECT * FROM visitors")


def test_nothing_is_left_of_erased_visitors(cli_folder: Path, erased: Secrets) -> None:
    """Neither in clear, nor sealed, nor as a digest, in any file but the write-ahead log.

    What is kept of the others still opens.
    """
    # given visitors who have done everything, and others like them
    store, others = cli_folder / "store", Secrets()
    put_store(store)
    with open_offerlog(data=store, keep_deadlines=False, replica=store / "replica") as service:
        dsn = application_of(service).dsn
        record_everything(service, erased)
        stored = Stored(dsn)
        record_everything(service, others)
        record_crowd(service)
        service.rebuild()
        hold_for_a_while(service, erased)
        insert_visitors_twice(dsn)
        with open_offerlog(data=store, keep_deadlines=False, replica=store / "replica"):
            pass  # the file of a process that has ended
        suppressed = erased.text("customer turned-down")
        assert service.local_suppressions(suppressed).suppressions
        dump(store, cli_folder / "before")
        assert len({name for name, _ in stored.values}) > 12
        before = found_in(cli_folder / "before", [*stored.encodings()])
        # when they are erased
        counted = performance(dsn)
        for visitor in customers(erased):
            service.erase(customer_id=visitor.id, customer_id_type=visitor.type)
        service.remove_remains(rewrite=True)
        rows(dsn, "ANALYZE")
        until(lambda: not service.local_suppressions(suppressed).suppressions, 10)
        # then everything else is as it was
        assert performance(dsn) == counted
        assert len([*service.parked()]) == 1
        assert service.suppressions(others.text("customer turned-down"))
        assert not service.suppressions(suppressed)
        service.catch_up()
        live = contents(dsn)
        service.rebuild()
        assert contents(dsn) == live
        dump(store, cli_folder / "after")
        rows(dsn, "VACUUM")
    written_ahead = store / "postgres" / "pg_wal"
    assert found_in(written_ahead, [*stored.values]) != []  # docs/privacy.md says so
    shutil.rmtree(written_ahead)
    # and nothing of them is found, however it was stored
    assert len(before) >= len(stored.values) - 1  # a digest may stand in two tables
    assert found_in(cli_folder / "after", [*erased.encodings(), *stored.encodings()]) == []
    assert found_in(store, [*erased.encodings(), *stored.encodings()]) == []
    assert "duplicate key" in (store / "server.log").read_text()


def performance(dsn: str) -> list[object]:
    """Every count."""
    tables = ("performance_counts", "performance_days", "performance_repeats", "form_rejections")
    return [sorted(rows(dsn, f"TABLE {table}"), key=str) for table in tables]
