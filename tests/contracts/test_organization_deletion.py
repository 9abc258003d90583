"""All visitors of an organization are erased, in memory and on PostgreSQL; other organizations stay."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from offerlog import Offerlog, ReportQuery, Role, open_offerlog
from offerlog.testing import open_in_memory
from offerlog_application.erasure import organizations
from offerlog_application.erasure.last_deliveries import await_deliveries
from offerlog_application.erasure.organizations import DeletionProgress, OrganizationDeletion
from offerlog_application.recording.signal_text import SignalInput
from offerlog_infrastructure.postgres.erasure.erasures import PostgresErasures
from support.journeys import an_id, journeys, signal
from support.positions import number_of
from support.receiver import receiving
from support.recount import rows


class _KilledError(Exception):
    """The process dies here."""


def test_an_interrupted_deletion_is_continued(
    make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same call completes the erasures that have begun, as nothing else finds their visitors."""

    def die(*_: object) -> None:
        raise _KilledError

    dsn = make_dsn()
    with open_offerlog(database_url=dsn, organization="acme", keep_deadlines=False) as service:
        # given
        service.wait(service.record(journeys(3)).position)
        with monkeypatch.context() as patched:
            patched.setattr(PostgresErasures, "delete_late_rows", die)
            with pytest.raises(_KilledError):
                service.organization_deletion.delete("acme")
        assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(3,)]
        ((events,),) = rows(dsn, "SELECT count(*) FROM offerlog_events")
        # when
        deleted = service.organization_deletion.delete("acme")
        # then
        assert (deleted.visitors, deleted.events) == (3, events)
        assert deleted.last_receipt is not None
        assert rows(dsn, "SELECT count(*) FROM erasing_visitors") == [(0,)]
        # and when the process dies between the secret and the receipt
        service.record(journeys(1))
        with monkeypatch.context() as patched:
            patched.setattr(OrganizationDeletion, "_append_receipt", die)
            with pytest.raises(_KilledError):
                service.organization_deletion.delete("acme")
        # then the same call gives the receipt, once
        receipt = service.organization_deletion.delete("acme").receipt
        assert (deleted.receipt or 0) < (receipt or 0)
        assert service.organization_deletion.delete("acme").receipt is None


@pytest.fixture(params=["in memory", "on PostgreSQL"])
def service(request: pytest.FixtureRequest, make_dsn: Callable[[], str]) -> Iterator[Offerlog]:
    """An empty service of either kind."""
    if request.param == "in memory":
        opened = open_in_memory("default", webhook_networks="127.0.0.1/32")
    else:
        opened = open_offerlog(
            database_url=make_dsn(),
            organization="default",
            keep_deadlines=False,
            webhook_networks="127.0.0.1/32",
        )
    with opened as one:
        yield one


def test_a_deletion_ends_the_policies(service: Offerlog) -> None:
    """No setting of the tenant stays, and the log says when each ended. Others keep theirs."""
    # given
    for organization in ("default", "other"):
        service.policies.set(an_id("map"), {"ignored": timedelta(days=30)}, organization=organization)
    service.record(journeys(1))
    # when
    service.organization_deletion.delete("default")
    # then
    assert service.policies.all() == {}
    assert len(service.policies.all(organization="other")) == 1
    changes = service.policies.changes(an_id("map"))
    assert [one.set_by for one in changes] == ["", "the deletion of the organization"]
    assert service.policies.find(an_id("map")).to_seconds() == {}
    service.organization_deletion.delete("default")
    assert len(service.policies.changes(an_id("map"))) == 2


def test_receivers_get_the_erasures_before_their_webhooks_are_deleted(service: Offerlog) -> None:
    """Secrets, deliveries and subscriptions go too; all of it stays while a visitor is held."""
    with receiving() as receiver:
        # given
        made = {}
        for organization in ("default", "acme"):
            lines = [signal("offered", visitor=n) for n in range(3)]
            service.wait(service.record(lines, organization=organization).position)
            made[organization] = service.webhooks.create(receiver.url, organization=organization)
            service.subscriptions.acknowledge("bi", organization=organization)
        disabled = service.webhooks.create(receiver.url, organization="acme").endpoint
        service.webhooks.disable(disabled.id, organization="acme")
        service.hold_visitor(customer_id="visitor-2", reason="a lawsuit", organization="acme")
        service.webhooks.keep_delivering()
        # when
        held = service.organization_deletion.delete("acme")
        # then
        assert (held.held, held.webhooks, held.webhooks_behind, held.subscriptions) == (1, 0, 0, 0)
        # and when
        service.lift_hold(customer_id="visitor-2", organization="acme")
        deleted = service.organization_deletion.delete("acme")
        # then
        assert (deleted.webhooks, deleted.webhooks_behind, deleted.subscriptions) == (2, 1, 1)
        signed = [one for one in receiver.got if b"acme" in one.body.encode()]
        types = [one.verify(made["acme"].secret)["type"] for one in signed]
    assert types.count("io.offerlog.visitor-erased.v1") == 3
    for organization, left in (("acme", 0), ("default", 1)):
        assert len(service.webhooks.all(organization=organization)) == left
        assert len(service.subscriptions.all(organization=organization)) == left
        secrets = service.webhooks._store.secrets(made[organization].endpoint.id, datetime.now(UTC))
        assert len(secrets) == left


def stop() -> None:
    """The time of the request is over."""
    raise _KilledError


def test_nobody_waits_long_for_webhooks_that_nobody_delivers() -> None:
    """Those that have not got all of it are counted."""
    with open_in_memory("default", webhook_networks="127.0.0.1/32") as service:
        last = number_of(service.record([signal("offered", visitor=1)]).position)
        service.webhooks.create("http://127.0.0.1:9/", after=0)
        service.webhooks.create("http://127.0.0.1:9/")
        assert await_deliveries(service.webhooks._store, "default", last, patience=0.2) == 1
        # nor if whoever asked stops it
        with pytest.raises(_KilledError):
            await_deliveries(service.webhooks._store, "default", last, stop)


def test_an_organization_is_deleted_and_the_others_stay(
    service: Offerlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts stay; refused texts go, also of visitors of whom nothing was recorded."""
    # given two organizations with the same visitors, in pages of any size
    monkeypatch.setattr(organizations, "_PAGE", 3)
    for organization in ("default", "acme"):
        lines: list[SignalInput] = [
            *journeys(14),
            b"no signal",
            signal("completed", visitor="never recorded"),
        ]
        service.wait(service.record(lines, organization=organization).position)
        service.keys.create(organization, Role.REPORTER, "a key")
    service.hold_visitor(customer_id="visitor-3", reason="a lawsuit", organization="acme")
    query = ReportQuery("acme")
    before = service.report(query).rows
    steps: list[DeletionProgress] = []
    # when
    deleted = service.organization_deletion.delete("acme", steps.append)
    # then
    assert (deleted.visitors, deleted.held, deleted.keys) == (13, 1, 1)
    assert deleted.refusals == len(list(service.refusals(organization="default")))
    assert steps[-1] == DeletionProgress(13, 14)
    assert list(service.refusals(organization="acme")) == []
    assert service.report(query).rows == before
    assert service.keys.all("acme")[0].revoked_at is not None
    maps = [an_id("map", n % 3) for n in range(14)]
    for organization, known in (("acme", {3}), ("default", set(range(14)))):
        histories = [
            service.history(customer_id=f"visitor-{n}", action_map_id=one, organization=organization)
            for n, one in enumerate(maps)
        ]
        recorded = {n for n, found in enumerate(histories) if found.known}
        assert recorded == {n for n in known if n % 7 != 5}  # the sixth journey is parked alone
        assert list(service.timeline(customer_id="visitor-0", organization=organization)) == [] or known != {
            3
        }
    # when the hold is lifted, and somebody records again
    service.lift_hold(customer_id="visitor-3", organization="acme")
    service.wait(service.record([signal("offered", visitor=0)], organization="acme").position)
    again = service.organization_deletion.delete("acme")
    # then
    assert (again.visitors, again.held, again.keys) == (2, 0, 0)
    assert (again.first_receipt or 0) < (again.last_receipt or 0)
    third = service.organization_deletion.delete("acme")
    assert (third.visitors, third.refusals, third.first_receipt) == (0, 0, None)
    contents = {one.name: (one.visitors, one.refusals) for one in service.organizations.contents()}
    assert contents == {"acme": (0, 0), "default": (14, deleted.refusals)}
