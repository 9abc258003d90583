"""What identifies somebody stands nowhere in the data folder: not in tables, nor in WAL, replica or logs."""

import logging
from pathlib import Path

import pytest

from offerlog_infrastructure.composition import open_offerlog
from support.internals import application_of
from support.ready_stores import put_store
from support.recount import rows
from support.secret_marks import Secrets, found_in, record_everything


@pytest.fixture
def secrets() -> Secrets:
    """What nobody may find."""
    return Secrets()


def test_no_file_of_the_data_folder_shows_who_anybody_is(
    cli_folder: Path, secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    """After signals of every kind, a rebuild, statistics and a clean end, with the replica in that folder."""
    # given a store in which everything has happened
    caplog.set_level(logging.DEBUG)
    store = cli_folder / "store"
    put_store(store)
    with open_offerlog(data=store, keep_deadlines=False, replica=store / "replica") as service:
        record_everything(service, secrets)
        service.rebuild()
        customer = secrets.text("customer turned-down")
        assert service.local_suppressions(customer).suppressions
        rows(application_of(service).dsn, "ANALYZE")
    # when every file is searched
    found = found_in(store, list(secrets.encodings()))
    # then nothing is found, nor in what the service has logged
    assert found == []
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert not [name for name, text in secrets.encodings() if text.decode(errors="replace") in logged]


def test_the_search_finds_what_stands_in_clear(cli_folder: Path, secrets: Secrets) -> None:
    """A search that cannot find anything would prove nothing."""
    store = cli_folder / "store"
    put_store(store)
    customer, action = secrets.text("customer"), secrets.id("action")
    with open_offerlog(data=store, keep_deadlines=False) as service:
        dsn = application_of(service).dsn
        rows(dsn, "CREATE TABLE notes (a text, b uuid)")
        rows(dsn, "INSERT INTO notes VALUES (%s, %s)", customer, action)
    names = {one.split(",")[0] for one in found_in(store, list(secrets.encodings()))}
    assert names == {"a text", "an id"}
