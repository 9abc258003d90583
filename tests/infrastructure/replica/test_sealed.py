"""The local suppression list says of nobody who they are, and forgets whom the store has forgotten."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.replica.records import unpack
from offerlog_infrastructure.sealing import UnsealError
from support.internals import application_of, replica_store_of
from support.positions import number_of
from support.recount import rows, until

MAPS = [str(uuid.uuid4()) for _ in range(2)]
NAME = "a name that is easy to find"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where replicas lie."""
    with tempfile.TemporaryDirectory(prefix="replica-sealed-") as name:
        yield Path(name)


@pytest.fixture
def local(dsn: str, folder: Path) -> Iterator[Offerlog]:
    """A service with a replica."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as service:
        yield service


def turn_down(service: Offerlog, customer: str, action_map: str = MAPS[0]) -> dict[str, str]:
    """Have a customer turn an offer down, and wait until the list shows it; returns the ids."""
    names = ("actionId", "sessionId", "eventId")
    ids = {name: str(uuid.uuid4()) for name in names} | {"customerId": customer}
    offered = {**ids, "actionMapId": action_map, "actionState": "offered", "eventId": str(uuid.uuid4())}
    rejected = {**ids, "actionMapId": action_map, "actionState": "rejected"}
    lines = [json.dumps(one).encode() for one in (offered, rejected)]
    position = number_of(service.record(lines).position)
    until(lambda: service.local_suppressions(customer).position >= position)
    service.wait(position)
    return ids


def digest_of(service: Offerlog, customer: str) -> uuid.UUID:
    """The digest under which store and list know a customer."""
    return service._log.key("default").digest(VisitorKey("cookie", customer))


def forget(service: Offerlog, customer: str) -> None:
    """Remove the customer from the store, as an erasure will: no key is left, and the epoch is another."""
    dsn = application_of(service).dsn
    rows(dsn, "DELETE FROM visitors WHERE digest = %s", digest_of(service, customer))
    rows(dsn, "UPDATE log_epoch SET epoch = epoch + 1")


def suppressed_maps(service: Offerlog, customer: str) -> list[str]:
    """The action maps that the list names for a customer."""
    return [one.action_map_id for one in service.local_suppressions(customer).suppressions]


@pytest.mark.parametrize("copied", [True, False], ids=["copied", "followed"])
def test_nothing_in_the_file_identifies_anybody(
    local: Offerlog,
    dsn: str,
    folder: Path,
    copied: bool,  # noqa: FBT001 - a case of the table
) -> None:
    """Neither customer nor session, action or event, as text or as bytes; the answer has the action."""
    # given
    ids = turn_down(local, NAME)
    if copied:
        local.close()
        (folder / "suppressions-0" / "data.mdb").unlink()
        with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as again:
            (found,) = again.local_suppressions(NAME).suppressions
    else:
        (found,) = local.local_suppressions(NAME).suppressions
        local.close()
    # when
    stored = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    # then
    assert (found.action_id, found.customer_id, found.state) == (ids["actionId"], NAME, "rejected")
    assert uuid.UUID(MAPS[0]).bytes in stored
    for name, value in ids.items():
        forms = [value.encode()] if name == "customerId" else _forms(value)
        assert not [form for form in forms if form in stored], name


def _forms(value: str) -> list[bytes]:
    return [value.encode(), value.replace("-", "").encode(), uuid.UUID(value).bytes]


def test_who_is_forgotten_by_the_store_is_forgotten_by_the_list(
    local: Offerlog, dsn: str, folder: Path
) -> None:
    """Within seconds, by files too, also by that of a process that has ended.

    The others stay, and so does what is recorded of somebody of that name later.
    """
    # given
    for customer in ("first", "second"):
        turn_down(local, customer)
    with open_offerlog(database_url=dsn, keep_deadlines=False, replica=folder) as ended:
        assert suppressed_maps(ended, "first") == [MAPS[0]]
    digest = digest_of(local, "first").bytes
    assert len(files_with(digest, folder)) == 2
    # when
    forget(local, "first")
    # then
    until(lambda: not suppressed_maps(local, "first"))
    assert suppressed_maps(local, "second") == [MAPS[0]]
    assert replica_store_of(local).look_up(digest_of(local, "first")) is None
    until(lambda: not files_with(digest, folder))
    turn_down(local, "first", MAPS[1])
    assert suppressed_maps(local, "first") == [MAPS[1]]


def files_with(value: bytes, folder: Path) -> list[Path]:
    """The files in which a value stands."""
    return [file for file in folder.rglob("*") if file.is_file() and value in file.read_bytes()]


def test_a_new_life_of_a_visitor_has_nothing_of_the_old_one(
    local: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its first suppression comes before the look at the epoch."""
    # given a list that does not look at the epoch any more
    turn_down(local, "visitor")
    monkeypatch.setattr(replica_store_of(local), "epoch", lambda: epoch_of(local))
    # when the visitor is forgotten, and comes again
    forget(local, "visitor")
    turn_down(local, "visitor", MAPS[1])
    # then
    assert suppressed_maps(local, "visitor") == [MAPS[1]]


def epoch_of(service: Offerlog) -> int:
    """The epoch of the log."""
    ((epoch,),) = rows(application_of(service).dsn, "SELECT epoch FROM log_epoch")
    return int(epoch)


def test_the_suppressions_of_who_is_forgotten_are_not_copied(local: Offerlog, dsn: str, folder: Path) -> None:
    """Neither from the projection nor from the log."""
    # given a forgotten visitor, whose suppression still is in log and projection
    for customer in ("first", "second"):
        turn_down(local, customer)
    local.close()
    forget_closed = digest_of(local, "first")
    rows(dsn, "DELETE FROM visitors WHERE digest = %s", forget_closed)
    # when a list is made anew, by a copy or page by page
    for position in (None, 0):
        if position is not None:
            rows(
                dsn, "UPDATE offerlog_tracking SET notification_id = 0 WHERE application_name = 'suppression'"
            )
            rows(dsn, "DELETE FROM suppressions")
        (folder / "suppressions-0" / "data.mdb").unlink()
        with open_offerlog(database_url=dsn, keep_deadlines=False, project=False, replica=folder) as again:
            until(lambda: suppressed_maps(again, "second"))
            # then
            assert suppressed_maps(again, "first") == []


def test_a_key_that_was_wrapped_again_is_taken_over(local: Offerlog) -> None:
    """As when the key that encrypts those of visitors is replaced: records stay, and are opened with it."""
    # given
    ids = turn_down(local, "visitor")
    application, digest = application_of(local), digest_of(local, "visitor")
    select = "SELECT kek, wrapped_key FROM visitors WHERE digest = %s"
    ((kek, wrapped),) = rows(application.dsn, select, digest)
    # when it is encrypted again, with another number
    application.keys._ids[77] = application.keys._ids[kek]
    rows(application.dsn, "UPDATE visitors SET kek = 77 WHERE digest = %s", digest)
    rows(application.dsn, "UPDATE log_epoch SET epoch = epoch + 1")
    # then
    until(lambda: _kept(local, digest) == (77, wrapped))
    (found,) = local.local_suppressions("visitor").suppressions
    assert found.action_id == ids["actionId"]


def _kept(service: Offerlog, digest: uuid.UUID) -> tuple[int, bytes]:
    value = replica_store_of(service).look_up(digest)
    assert value is not None
    return unpack(value)[:2]


def test_a_changed_file_is_an_error_and_no_answer(local: Offerlog) -> None:
    """A record of one map under the name of another cannot be opened."""
    # given a visitor with two records, of which the sealed parts were exchanged
    for action_map in MAPS:
        turn_down(local, "visitor", action_map)
    store, digest = replica_store_of(local), digest_of(local, "visitor")
    value = store.look_up(digest)
    assert value is not None
    first, second = (record.sealed for record in unpack(value).records)
    with store._env.begin(write=True) as transaction:
        changed = value.replace(first, b"?" * len(first)).replace(second, first)
        transaction.put(digest.bytes, changed.replace(b"?" * len(first), second))
    # when, then
    with pytest.raises(UnsealError):
        local.local_suppressions("visitor")
