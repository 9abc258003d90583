"""An organization is deleted on all shards, and its former secret is used on none of them afterwards."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import pytest

from offerlog import Offerlog, OfferlogError, ReportQuery, Role, ShardUnavailableError, StoreUnavailableError
from offerlog_application.erasure.organizations import DeletionProgress
from offerlog_application.ports.shards import ShardError
from offerlog_application.reading.service_entries import iterate_entries
from offerlog_application.recording.writer_errors import OrganizationDeletedError
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.service_events import ErasureReceipt, OrganizationDeleted
from offerlog_infrastructure.postgres.projections.projector import LOCK_SPACE
from offerlog_infrastructure.postgres.projections.rebuild import builder
from offerlog_infrastructure.postgres.shards import moving, slice_keeping
from support.installations import Stores, move_slice, shard_of
from support.internals import application_of
from support.journeys import an_id, journeys, signal
from support.recount import rows

_VISITORS: Final = 30
_LINES: Final = [*journeys(_VISITORS), b"no signal", b"nor this"]
_OF_ORGANIZATION: Final = "SELECT count(*) FROM {} WHERE organization = 'default'"


def _counts(stores: Stores, table: str) -> list[int]:
    return [rows(address, _OF_ORGANIZATION.format(table))[0][0] for address in stores.dsns]


def _visitor_of(service: ShardedOfferlog, shard: int) -> int:
    return next(n for n in range(1_000) if shard_of(service, n) == shard)


def test_all_that_identifies_its_visitors_goes_on_all_shards_and_the_counts_stay(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is one server; a legal hold on any shard keeps the secret on all of them."""
    sharded, single = services
    deleted: list[Any] = []
    for one in services:
        one.wait(one.record(_LINES).position)
        one.policies.set(an_id("map"), {})
        one.subscriptions.acknowledge("warehouse", 0)
        one.keys.create("default", Role.ADMIN, "a key")
        one.hold_visitor(customer_id="visitor-3", reason="a trial")
        # when
        held = one.organization_deletion.delete("default")
        assert (held.held, held.receipt, held.keys) == (1, None, 1)
        one.lift_hold(customer_id="visitor-3")
        if isinstance(one, ShardedOfferlog):
            _let_each_shard_wait_for_the_others(one, monkeypatch)
        deleted.append(one.organization_deletion.delete("default"))
    # then
    for alike in ("visitors", "events", "refusals", "held", "webhooks", "subscriptions"):
        assert getattr(deleted[0], alike) == getattr(deleted[1], alike), alike
    for table in ("visitors", "refusals", "organizations", "counted_blocks", "feed_subscriptions"):
        assert _counts(stores, table) == [0, 0, 0], table
    assert sharded.report(ReportQuery("default")) == single.report(ReportQuery("default"))
    # and each log has the receipts of its visitors, and that of the home the receipt of the organization
    entries = [
        [entry.event for entry in iterate_entries(sharded._router.get(n).store.service_log, "default")]
        for n in range(3)
    ]
    receipts = [sum(isinstance(one, ErasureReceipt) for one in own) for own in entries]
    assert sum(receipts) == _VISITORS
    assert all(receipts)
    assert [sum(isinstance(one, OrganizationDeleted) for one in own) for own in entries] == [
        1,
        0,
        0,
    ]
    # and it begins anew, under one secret
    sharded.wait(sharded.record(_LINES).position)
    keys = [sharded._router.get(n).store.log.key("default") for n in range(3)]
    assert all(one.has_secret_of(keys[0]) for one in keys)
    assert sharded.check_eligibility(customer_id="visitor-1", action_map_id=an_id("map", 1)).known


def _let_each_shard_wait_for_the_others(service: ShardedOfferlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each shard look for its visitors for the first time only once all shards do."""
    together = threading.Barrier(3, timeout=60)
    for number in range(3):
        visitors = service._router.get(number).store.organization_visitors
        firsts, look = [together.wait], visitors.digests

        def look_together(*given: Any, firsts: list[Any] = firsts, look: Callable[..., Any] = look) -> Any:
            while firsts:
                firsts.pop()()
            return look(*given)

        monkeypatch.setattr(visitors, "digests", look_together)


def _check_one_secret(stores: Stores, service: ShardedOfferlog) -> None:
    """Check that whoever is stored has the digest under the secret of the home."""
    key = application_of(service._router.home.service).keys.key("default")
    for number, address in enumerate(stores.dsns):
        application = application_of(service._router.get(number).service)
        stored = rows(address, "SELECT token, kek, wrapped_key, names, digest FROM visitors")
        for *sealed, digest in stored:
            assert key.digest(application.visitor_keys.open_names(*sealed)) == digest


def test_a_process_with_the_former_secret_stores_nothing_under_it(stores: Stores) -> None:
    """Whatever shard its visitors are on; its next signals begin the organization anew."""
    with stores.open() as service, stores.open(project=False) as other:
        service.wait(service.record(_LINES).position)
        other.record([signal("offered", visitor=n) for n in range(_VISITORS)])
        for shard in (1, 2, 0):
            visitor = _visitor_of(other, shard)
            assert service.organization_deletion.delete("default").receipt is not None
            # when
            with pytest.raises(OrganizationDeletedError):
                other.record([signal("offered", visitor=visitor)])
            assert other.record([signal("offered", visitor=n) for n in range(_VISITORS)]).position
            # then
            assert sum(_counts(stores, "visitors")) == _VISITORS
            _check_one_secret(stores, other)


def test_no_shard_copies_the_secret_again_while_it_is_being_destroyed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copies and the secret itself, another process comes to a shard that has lost its copy."""
    with stores.open() as service, stores.open(project=False) as other:
        service.wait(service.record(_LINES).position)
        other.record([signal("offered", visitor=n) for n in range(_VISITORS)])
        visitor = _visitor_of(other, 1)

        def record() -> None:
            with suppress(OrganizationDeletedError):
                other.record([signal("offered", visitor=visitor)])

        recording = threading.Thread(target=record)
        last = service._router.get(2).store.organization_visitors
        destroy = last.destroy_secret

        def destroy_and_let_another_come(organization: str, since: datetime) -> bool:
            destroyed = destroy(organization, since)
            recording.start()
            recording.join(0.5)  # it waits: without the wait it ends, and has copied the secret
            return destroyed

        monkeypatch.setattr(last, "destroy_secret", destroy_and_let_another_come)
        # when
        assert service.organization_deletion.delete("default").receipt is not None
        recording.join(60)
        # then
        assert not recording.is_alive()
        assert _counts(stores, "organizations") == [0, 0, 0]
        other.record([signal("offered", visitor=n) for n in range(_VISITORS)])
        _check_one_secret(stores, other)


def test_a_shard_that_is_down_is_named_and_nothing_is_changed(stores: Stores) -> None:
    """The same call deletes it later."""
    with stores.open() as service:
        service.wait(service.record(_LINES).position)
        service.keys.create("default", Role.ADMIN, "a key")
        stores.proxy.go_away()
        with pytest.raises(ShardUnavailableError, match="shard 1"):
            service.organization_deletion.delete("default")
        assert [one.revoked_at for one in service.keys.all("default")] == [None]
        stores.proxy.come_back()
        assert sum(_counts(stores, "visitors")) == _VISITORS
        _again(lambda: service.organization_deletion.delete("default"))
        assert _counts(stores, "visitors") == [0, 0, 0]


def _again(call: Callable[[], object]) -> None:
    """Call until the shards answer, as a user would."""
    for _ in range(30):
        with suppress(ShardUnavailableError):
            call()
            return
        threading.Event().wait(0.2)
    call()


def test_an_interrupted_deletion_goes_on(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the erasures, or between the copies of the secret."""
    with stores.open() as service:
        service.wait(service.record(_LINES).position)

        def interrupt(_: DeletionProgress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            service.organization_deletion.delete("default", interrupt)
        assert _counts(stores, "organizations") == [1, 1, 1]
        # when it breaks off once more, with one copy gone
        last = service._router.get(2).store.organization_visitors
        with monkeypatch.context() as patch:
            patch.setattr(last, "destroy_secret", _fail)
            with pytest.raises(ShardUnavailableError, match="shard 2"):
                service.organization_deletion.delete("default")
        assert _counts(stores, "organizations") == [1, 0, 1]
        # then who comes meanwhile is recorded under the secret that the home has still
        service.record([signal("offered", visitor=_visitor_of(service, 1))])
        _check_one_secret(stores, service)
        # and the next call erases these, too, and the one behind it gives the receipt if it is killed
        with monkeypatch.context() as patch:
            patch.setattr(service.organization_deletion, "_append_receipt", _fail)
            with pytest.raises(StoreUnavailableError):
                service.organization_deletion.delete("default")
        assert service.organization_deletion.delete("default").receipt is not None
        assert service.organization_deletion.delete("default").receipt is None
        assert (_counts(stores, "organizations"), _counts(stores, "visitors")) == ([0, 0, 0], [0, 0, 0])


def _fail(*_: object) -> bool:
    raise StoreUnavailableError


def test_no_slice_moves_meanwhile(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or visitors could come to a shard that was looked through."""
    monkeypatch.setattr(moving, "_LOCK_SECONDS", 0)
    monkeypatch.setattr(slice_keeping, "_PATIENCE_SECONDS", 0)
    refused: list[OfferlogError] = []
    with stores.open() as service:
        service.wait(service.record(_LINES).position)

        def move(_: DeletionProgress) -> None:
            with pytest.raises(ShardError) as error:
                move_slice(stores, 12, 1)
            refused.append(error.value)

        with service._router.keeping_slices(), pytest.raises(ShardUnavailableError, match="a slice moves"):
            service.organization_deletion.delete("default")
        service.organization_deletion.delete("default", move)
    assert "the deletion of an organization" in str(refused[0])


_END_KEEPERS: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def test_a_lock_that_was_lost_meanwhile_keeps_the_secret(stores: Stores) -> None:
    """A slice may have passed by unseen, with visitors whom nobody could find afterwards."""
    with stores.open() as service:
        service.wait(service.record(_LINES).position)

        lost: list[Any] = []

        def lose(_: DeletionProgress) -> None:
            lost.extend(rows(stores.dsns[1], _END_KEEPERS, LOCK_SPACE, builder._LOCK_NUMBER))

        # when
        with pytest.raises(ShardUnavailableError, match="shard 1"):
            service.organization_deletion.delete("default", lose)
        assert lost == [(True,)]
        # then
        assert _counts(stores, "organizations") == [1, 1, 1]
        # and the same call goes on
        _again(lambda: service.organization_deletion.delete("default"))
        assert _counts(stores, "organizations") == [0, 0, 0]
