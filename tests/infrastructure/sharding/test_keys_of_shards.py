"""Keys of the keyring are rotated on all shards, and retired when none of them needs them any more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from offerlog import KeyringError, Offerlog, Outcome, ShardUnavailableError
from offerlog_application.access import rotation
from offerlog_application.ports.master_keys import KeyInUseError, RotationProgress
from offerlog_application.ports.shards import ShardError
from offerlog_application.reading.service_entries import iterate_entries
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.service_events import KeyRotated
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.postgres.shards import moving, slice_keeping
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from support.installations import Stores, make_stores, move_slice
from support.journeys import an_id, journeys, signal
from support.keyrings import KEYRING
from support.processes import finish
from support.recount import rows, until

_VISITORS: Final = 40

_EVENTS: Final = """
    SELECT md5(string_agg(e::text, '' ORDER BY notification_id)) FROM offerlog_events e
    WHERE notification_id <= %s
"""
_LAST: Final = "SELECT max(notification_id) FROM offerlog_events"
_KEYS_IN_USE: Final = """
    SELECT DISTINCT id FROM key_encryption_keys k WHERE number IN (
        SELECT kek FROM visitors UNION SELECT kek FROM organizations
    )
"""


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a keyring of this test alone: other tests need the keys of theirs."""
    place = tmp_path / "keyring.json"
    monkeypatch.setenv(KEYRING, str(place))
    monkeypatch.setattr(rotation, "GRACE_SECONDS", 0)
    monkeypatch.setattr(slice_keeping, "_PATIENCE_SECONDS", 0)
    return place


@pytest.fixture
def stores(keyring: Path, make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, and shards with 6 to a and b to f, all with that keyring."""
    del keyring
    with make_stores(make_dsn, "6-a", "b-f") as stores:
        yield stores


def _keys_in_use(stores: Stores) -> list[set[str]]:
    return [{one for (one,) in rows(address, _KEYS_IN_USE)} for address in stores.dsns]


def _rotations(service: ShardedOfferlog, shard: int) -> list[tuple[str, str]]:
    entries = iterate_entries(service._router.get(shard).store.service_log, "default")
    events = [entry.event for entry in entries]
    return [(one.old_key_id, one.new_key_id) for one in events if isinstance(one, KeyRotated)]


def _check_readable(service: Offerlog) -> None:
    """Check that the visitors of `journeys` can be read on all shards."""
    for n in range(0, _VISITORS, 7):
        history = service.history(customer_id=f"visitor-{n}", action_map_id=an_id("map", n % 3))
        assert [event.state for event in history.events][:4] == ["offered", "accepted", "started", "engaged"]


def test_a_rotation_under_load_reaches_every_shard_and_the_former_key_can_go(
    stores: Stores, keyring: Path
) -> None:
    """Services use the new key at once; no event is touched; each log has the event of the rotation."""
    stopped = threading.Event()
    outcomes: list[Outcome] = []
    with stores.open() as service, stores.open(project=False) as operator:
        service.wait(service.record(journeys(_VISITORS)).position)
        first = FileKeyring(keyring).kek_id
        ends = [
            rows(address, "SELECT max(notification_id) FROM offerlog_events")[0] for address in stores.dsns
        ]
        before = [rows(address, _EVENTS, *end) for address, end in zip(stores.dsns, ends, strict=True)]
        steps: list[RotationProgress] = []

        def record() -> None:
            while not stopped.is_set():
                outcomes.extend(service.record([signal("offered", visitor=f"new {len(outcomes)}")]).outcomes)

        # when
        recording = threading.Thread(target=record)
        recording.start()
        made = operator.master_keys.rotate(steps.append)
        seen = len(outcomes)
        until(lambda: len(outcomes) > seen + 5)
        stopped.set()
        finish(recording)
        # then
        assert _keys_in_use(stores) == [{made.key_id}] * 3
        assert (made.is_resumed, made.organizations, steps[-1].done) == (False, 3, made.visitors + 3)
        assert made.key_id == FileKeyring(keyring).kek_id != first
        assert [_rotations(service, n) for n in range(3)] == [[(first, made.key_id)]] * 3
        assert before == [
            rows(address, _EVENTS, *end) for address, end in zip(stores.dsns, ends, strict=True)
        ]
        current, former = sorted(operator.master_keys.list(), key=lambda one: not one.is_current)
        assert (current.visitors, former.visitors) == (_VISITORS + len(outcomes), 0)
        assert {one.kind.value for one in outcomes} == {"recorded"}
        # when
        operator.master_keys.retire(first)
        assert [one.id for one in service.master_keys.list()] == [made.key_id]
        _check_readable(service)
    with stores.open() as anew:
        _check_readable(anew)


def test_a_shard_that_goes_down_interrupts_a_rotation_and_keeps_the_former_key(
    stores: Stores, keyring: Path
) -> None:
    """No key is made, and none is removed, as long as a shard cannot be asked; later it is completed."""
    with stores.open() as service:
        service.wait(service.record(journeys(_VISITORS)).position)
        first = FileKeyring(keyring).kek_id
        # when shard 1 goes down as soon as the home has keys under the new one
        gone: list[RotationProgress] = []

        def go_away(step: RotationProgress) -> None:
            if not gone:
                stores.proxy.go_away()
            gone.append(step)

        with pytest.raises(ShardUnavailableError, match="shard 1"):
            service.master_keys.rotate(go_away)
        # then
        old, new = FileKeyring(keyring).made_at()
        assert old == first
        for call in (
            lambda: service.master_keys.retire(first),
            service.master_keys.rotate,
            service.master_keys.list,
        ):
            with pytest.raises(ShardUnavailableError, match="shard 1"):
                call()
        assert list(FileKeyring(keyring).made_at()) == [old, new]
        # when it comes back
        stores.proxy.come_back()
        _until_all_answer(service)
        assert _keys_in_use(stores) == [{new}, {old}, {old}]
        with pytest.raises(KeyInUseError, match=r"on shard 1, it encrypts keys .*keyring rotate"):
            service.master_keys.retire(first)
        _check_readable(service)
        # then the same call completes it, with the same key
        resumed = service.master_keys.rotate()
        assert (resumed.key_id, resumed.is_resumed) == (new, True)
        assert _keys_in_use(stores) == [{new}] * 3
        service.master_keys.retire(first)
        with pytest.raises(KeyringError, match="has no key"):
            service.master_keys.retire(first)
        _check_readable(service)


def _until_all_answer(service: Offerlog) -> None:
    def answer() -> bool:
        with suppress(ShardUnavailableError):
            return len(service.master_keys.list()) > 0
        return False

    until(answer)


def test_no_slice_carries_a_former_key_past_a_rotation(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotations and moves exclude each other, as the copy of a slice is seen by nobody before its end."""
    monkeypatch.setattr(moving, "_LOCK_SECONDS", 0)
    refused: list[BaseException] = []
    copy_all = SliceCopy.copy_all
    with stores.open() as service:
        service.wait(service.record(journeys(_VISITORS)).position)
        (first,) = (one.id for one in service.master_keys.list())

        def copy_and_rotate(*arguments: Any) -> None:
            copy_all(*arguments)
            for call in (service.master_keys.rotate, lambda: service.master_keys.retire(first)):
                with pytest.raises(ShardUnavailableError, match="a slice moves") as error:
                    call()
                refused.append(error.value)

        def move_and_fail(_: RotationProgress) -> None:
            if len(refused) > 2:
                return
            with pytest.raises(ShardError, match="a rotation of keys") as error:
                move_slice(stores, 3, 1)
            refused.append(error.value)

        # when
        with monkeypatch.context() as patch:
            patch.setattr(SliceCopy, "copy_all", copy_and_rotate)
            move_slice(stores, 3, 2)
        made = service.master_keys.rotate(move_and_fail)
        # then
        assert len(refused) == 3
        assert _keys_in_use(stores) == [{made.key_id}] * 3
        service.master_keys.retire(first)
        _check_readable(service)
