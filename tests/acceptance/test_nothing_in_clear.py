"""What identifies somebody stands nowhere in the data folder: not in tables, nor in WAL, replica or logs."""

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.composition import open_offerlog
from support.internals import application_of
from support.ready_stores import put_store
from support.recount import rows

_PARTS = 8
"""Bytes of an id that are enough to recognize it: a part of it may stand alone in an index or a hash."""


class Secrets:
    """Ids and texts of some visitors, each of them found nowhere else on this machine."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.ids: dict[str, UUID] = {}

    def text(self, name: str) -> str:
        """Return a text under a name, always the same."""
        return self.texts.setdefault(name, f"{name}-é-{uuid4().hex}")

    def id(self, name: str) -> str:
        """Return an id under a name, always the same."""
        return str(self.ids.setdefault(name, uuid4()))

    def encodings(self) -> Iterator[tuple[str, bytes]]:
        """Yield each secret with its name, in every encoding in which it might stand in a file."""
        for name, text in self.texts.items():
            mark = text[-24:]  # the chance alone: the rest is a word
            yield from _of_text(name, mark)
        for name, value in self.ids.items():
            yield from _of_text(name, str(value))
            yield from _of_text(name, value.hex)
            yield f"{name}, bytes", value.bytes[:_PARTS]
            yield f"{name}, bytes", value.bytes[-_PARTS:]
            yield f"{name}, bytes backwards", value.bytes_le[:_PARTS]
            for shift in range(3):  # base64 in each position within four characters
                encoded = base64.b64encode(b"\0" * shift + value.bytes)
                yield f"{name}, base64", encoded[4:-4]
                yield f"{name}, base64 of URLs", base64.urlsafe_b64encode(b"\0" * shift + value.bytes)[4:-4]


def _of_text(name: str, text: str) -> Iterator[tuple[str, bytes]]:
    yield f"{name}, text", text.encode()
    yield f"{name}, capitals", text.upper().encode()
    yield f"{name}, UTF-16", text.encode("utf-16-le")
    yield f"{name}, hexadecimal", text.encode().hex().encode()
    yield f"{name}, reversed", text[::-1].encode()
    for shift in range(3):
        yield f"{name}, base64", base64.b64encode(b"\0" * shift + text.encode())[4:-4]
    if quote(text) != text:
        yield f"{name}, URL", quote(text).encode()


def record_everything(service: Offerlog, secrets: Secrets) -> None:
    """Record signals of every kind, valid all of them; some are parked, refused by the state, or time out."""
    action_map = str(uuid4())

    def signal(visitor: str, action: str, state: str, **more: object) -> Mapping[str, object]:
        return {
            "actionId": secrets.id(f"action {visitor} {action}"),
            "actionState": state,
            "actionMapId": action_map,
            "customerId": secrets.text(f"customer {visitor}"),
            "customerIdType": secrets.text(f"type {visitor}") if visitor == "typed" else "cookie",
            "sessionId": secrets.id(f"session {visitor}"),
            "eventId": secrets.id(f"event {visitor} {action} {state}"),
            "unknownField": secrets.text(f"text of a signal {visitor}"),
            **more,
        }

    lives = {
        "typed": ["offered", "accepted", "started", "engaged"],
        "turned-down": ["offered", "rejected"],
        "early": ["started"],
        "released": ["accepted", "offered", "started", "abandoned"],
        "ignoring": ["offered", "ignored"],
    }
    texts = [signal(visitor, "1", state) for visitor, states in lives.items() for state in states]
    texts += [
        signal("failing", "1", "offered", timeoutSeconds=30),
        signal(
            "failing", "1", "errored", errorCode=secrets.text("code"), errorMessage=secrets.text("message")
        ),
        signal("turned-down", "2", "offered"),  # refused by the state, and remembered
        signal("twice", "1", "offered"),
        signal("twice", "2", "offered"),
        signal("late", "1", "offered"),
        signal("late", "1", "timedout"),
        signal("late", "1", "accepted"),  # illegal by now
    ]
    kinds = {outcome.kind.value for outcome in service.record([json.dumps(one) for one in texts]).outcomes}
    assert kinds >= {"recorded", "parked", "refused"}
    service.offer(
        customer_id=secrets.text("customer offered"),
        action_map_id=action_map,
        session_id=secrets.id("session offered"),
        action_id=secrets.id("action offered"),
    )
    service.wait(service.record([signal("last", "1", "offered")]).position)
    known = secrets.text("customer turned-down")
    assert service.suppressions(known)
    assert service.history(customer_id=known, action_map_id=action_map).events
    assert [*service.suppressed_visitors(action_map)]
    assert len([*service.parked()]) == 1


def found_in(folder: Path, wanted: list[tuple[str, bytes]]) -> list[str]:
    """Return what stands in which file."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        content = file.read_bytes()
        found += [f"{name}: {file.relative_to(folder)}" for name, text in wanted if text in content]
    return found


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
    assert names == {"customer", "action"}
