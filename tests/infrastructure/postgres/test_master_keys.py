"""Keys of the keyring are rotated while services run, and retired when nothing needs them."""

import re
import shutil
import signal as signals
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from offerlog import KeyringError, Offerlog, Outcome, OutcomeKind, open_offerlog
from offerlog_application.access import rotation
from offerlog_application.ports.master_keys import KeyInUseError, RotationProgress, RotationRunningError
from offerlog_domain.service_events import KeyRotated
from offerlog_domain.stream_ids import make_organization_stream_id
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.keyring.file_keyring import FileKeyring, KeyMissingError
from offerlog_infrastructure.postgres import master_keys
from offerlog_infrastructure.postgres.log.service_log import PostgresServiceLog
from support.internals import application_of
from support.journeys import an_id, journeys, signal
from support.preloaded import preloaded_code
from support.processes import LimitedProcess, finish
from support.recount import rows, until

EVENTS: Final = (
    "SELECT md5(string_agg(e::text, '' ORDER BY notification_id)) FROM offerlog_events e"
    " WHERE notification_id <= %s"
)


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """The place of a keyring."""
    return tmp_path / "keyring.json"


@pytest.fixture
def open_service(dsn: str, keyring: Path) -> Callable[..., Offerlog]:
    """Opens a service with that keyring, as a separate process would."""

    def open_one(**options: Any) -> Offerlog:
        return open_offerlog(
            database_url=dsn, keyring=keyring, organization="default", keep_deadlines=False, **options
        )

    return open_one


def rotations_of(service: Offerlog, organization: str) -> list[tuple[str, str]]:
    """The old and the new key of each rotation that the log of an organization holds."""
    log = PostgresServiceLog(application_of(service))
    entries = log.read_entries(make_organization_stream_id(organization))
    events = [entry.event for entry in entries]
    return [(one.old_key_id, one.new_key_id) for one in events if isinstance(one, KeyRotated)]


def test_a_rotation_under_load_loses_nothing_and_touches_no_event(
    dsn: str,
    keyring: Path,
    open_service: Callable[..., Offerlog],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service that runs uses the new key at once; a local copy and refused texts stay readable."""
    # given a service with a local copy of the list, and many visitors
    monkeypatch.setattr(master_keys, "_PAGE", 20)
    stopped = threading.Event()
    outcomes: list[Outcome] = []
    with open_service(replica=tmp_path / "replica") as service, open_service() as operator:
        service.record([*journeys(70), b"no signal"])
        service.record(journeys(3), organization="other")
        service.catch_up()
        last = rows(dsn, "SELECT max(notification_id) FROM offerlog_events")[0][0]
        before, first = rows(dsn, EVENTS, last), FileKeyring(keyring).kek_id
        steps: list[RotationProgress] = []

        def record() -> None:
            while not stopped.is_set():
                outcomes.extend(service.record([signal("offered", visitor=f"new {len(outcomes)}")]).outcomes)

        # when one process rotates while the other records new visitors
        recording = threading.Thread(target=record)
        recording.start()
        made = operator.master_keys.rotate(steps.append)
        while len(outcomes) < 5:
            until(lambda: len(outcomes) >= 5)
        stopped.set()
        finish(recording)
        operator.master_keys.retire(first)
        # then
        (key,) = operator.master_keys.list()
        assert key.id == made.key_id == FileKeyring(keyring).kek_id != first
        assert (key.visitors, key.organizations) == (rows(dsn, "SELECT count(*) FROM visitors")[0][0], 2)
        assert steps[-1].done == made.visitors + made.organizations >= 73
        assert len(steps) > 3
        assert {one.kind for one in outcomes} == {OutcomeKind.RECORDED}
        assert rows(dsn, EVENTS, last) == before
        service.record([signal("accepted", visitor="new 0")])
        history = service.history(customer_id="visitor-new 0", action_map_id=an_id("map"))
        assert [event.state for event in history.events] == ["offered", "accepted"]
        until(lambda: len(service.local_suppressions("visitor-0").suppressions) == 1)
        assert b"no signal" in {one.raw for one in service.refusals()}
        for organization in ("default", "other"):
            assert rotations_of(service, organization) == [(first, made.key_id)]
    with open_service() as anew:
        assert len(anew.suppressions("visitor-0")) == 1


ROTATE: Final = """
import os, signal, sys
from offerlog import open_offerlog
from offerlog_infrastructure.postgres import master_keys
master_keys._PAGE = 5
with open_offerlog(database_url=sys.argv[1], keyring=sys.argv[2], organization="default", project=False,
    keep_deadlines=False) as service:
    service.master_keys.rotate(lambda step: step.done >= 10 and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_rotation_that_was_killed_is_completed_with_the_same_key(
    dsn: str, keyring: Path, open_service: Callable[..., Offerlog]
) -> None:
    """The next call makes no further key, and encrypts what is left; the one after it makes one."""
    # given
    with open_service() as service:
        service.record(journeys(40))
        first = FileKeyring(keyring).kek_id
        # when
        with LimitedProcess(
            [*preloaded_code(ROTATE), dsn, str(keyring)], stderr=subprocess.DEVNULL
        ) as killed:
            assert killed.wait(60) == -signals.SIGKILL
        # then it is half done, and everything can be read
        old, new = service.master_keys.list()
        assert (old.id, old.is_current, new.is_current) == (first, False, True)
        assert old.visitors > 0
        assert new.visitors >= 10
        assert len(service.history(customer_id="visitor-0", action_map_id=an_id("map", 0)).events) == 4
        # when
        resumed = service.master_keys.rotate()
        # then
        assert (resumed.key_id, resumed.is_resumed, resumed.visitors) == (new.id, True, old.visitors)
        assert rotations_of(service, "default") == [(first, new.id)]
        another = service.master_keys.rotate()
        assert another.key_id not in {first, new.id}
        assert not another.is_resumed
        assert list(FileKeyring(keyring).made_at()) == [first, new.id, another.key_id]


def test_a_key_that_is_needed_is_not_retired(
    dsn: str,
    keyring: Path,
    open_service: Callable[..., Offerlog],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor the current one; a keyring without the new key does not open the store any more."""
    # given
    with open_service() as service:
        service.record(journeys(3))
        first = FileKeyring(keyring).kek_id
        shutil.copy(keyring, tmp_path / "copy.json")
        with pytest.raises(KeyInUseError, match="it is the current key"):
            service.master_keys.retire(first)
        # when a key is added, and nothing is encrypted with it yet
        added = FileKeyring(keyring).add_key()
        # then
        with pytest.raises(KeyInUseError, match="of 3 visitors and 1 organization; run `offerlog keyring"):
            service.master_keys.retire(first)
        with pytest.raises(KeyringError, match="the keyring has no key 'abc'"):
            service.master_keys.retire("abc")
        assert service.master_keys.rotate().is_resumed
        monkeypatch.setattr(rotation, "GRACE_SECONDS", 0)
        service.master_keys.retire(first)
        assert list(FileKeyring(keyring).made_at()) == [added]
    with pytest.raises(KeyMissingError, match=f"does not hold the key {added} of this store"):
        open_offerlog(database_url=dsn, keyring=tmp_path / "copy.json", organization="default")


def test_one_process_at_a_time_changes_keys(dsn: str, open_service: Callable[..., Offerlog]) -> None:
    """The other one gets an error, and changes nothing."""
    with (
        open_service() as service,
        psycopg.connect(dsn, autocommit=True, options=f"-c search_path={SCHEMA}") as other,
    ):
        service.record(journeys(1))
        keys = service.master_keys.list()
        other.execute("SELECT pg_advisory_lock(%s)", (master_keys._LOCK_KEY,))
        with pytest.raises(RotationRunningError):
            service.master_keys.rotate()
        with pytest.raises(RotationRunningError):
            service.master_keys.retire(keys[0].id)
        assert service.master_keys.list() == keys


def test_the_documented_keyring_of_a_kms_is_rotated(dsn: str) -> None:
    """Its keys are encrypted elsewhere: offerlog neither makes nor removes them."""
    # given the class of the page, over keys that a service has encrypted
    page = (Path(__file__).parents[3] / "docs" / "in-process.md").read_text()
    (code,) = [
        one for one in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "Kms" in one
    ]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    encrypted = {"k1": bytes(range(32))}
    asked: list[bytes] = []

    def decrypt(key: bytes) -> bytes:
        asked.append(key)
        return key[::-1]

    keys = names["KmsKeyring"](lambda: dict(encrypted), decrypt)
    with open_offerlog(
        database_url=dsn, keyring=keys, organization="default", keep_deadlines=False
    ) as service:
        service.record(journeys(7))
        # when
        encrypted["k2"] = bytes(range(32, 64))
        made = service.master_keys.rotate()
        # then
        assert (made.key_id, made.visitors, made.organizations) == ("k2", 7, 1)
        assert [(one.id, one.visitors) for one in service.master_keys.list()] == [("k2", 7), ("k1", 0)]
        assert len(service.history(customer_id="visitor-0", action_map_id=an_id("map", 0)).events) == 4
        assert len(asked) == 2
        with pytest.raises(KeyringError, match="remove the key where it is held"):
            service.master_keys.retire("k1")
