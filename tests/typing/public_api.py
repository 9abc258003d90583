"""A program that uses offerlog as a caller would, checked by mypy and never run."""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_type

import offerlog
from offerlog import (
    ActionMapPolicy,
    AsyncOfferlog,
    Blocker,
    Eligibility,
    Erasure,
    Expired,
    FeedEvent,
    FeedFilter,
    FeedPage,
    Granularity,
    HeldRow,
    History,
    KeptSignal,
    Key,
    MalformedSignalError,
    OfferBlocked,
    Offerlog,
    OfferlogError,
    OfferMade,
    OfferOutcome,
    Outcome,
    OutcomeKind,
    PerformanceReport,
    PolicyChange,
    Proof,
    Reason,
    Receipt,
    RefusalCounts,
    ReportQuery,
    ReportRow,
    Role,
    Rules,
    SettingsError,
    State,
    StoreTrouble,
    StoreUnavailableError,
    Suppression,
    instant,
    open_offerlog,
    zone,
)
from offerlog.testing import SettableClock, SharedStore, open_in_memory

MAP = "00000000-0000-4000-8000-000000000001"


def opens_what_the_command_opens() -> None:
    """A service, by the environment or by arguments."""
    with open_offerlog() as service:
        assert_type(service, Offerlog)
    with offerlog.open_offerlog(data=Path("store"), organization="acme", rules=Rules()) as service:
        assert_type(service.organization, str)
    try:
        offerlog.open_offerlog(data="store", create=False)
    except SettingsError as error:
        assert_type(error.variable, str)


def records(service: Offerlog) -> None:
    """Receipts and their outcomes."""
    receipt = service.record([b"{}", "{}", {"actionId": "x"}])
    assert_type(receipt, Receipt)
    assert_type(receipt.outcomes, Sequence[Outcome])
    assert_type(receipt.outcomes[0].kind, OutcomeKind)
    assert_type(receipt.outcomes[0].reason, Reason | None)
    assert_type(service.submit([b"{}"], organization="acme"), Future[Receipt])
    service.wait(receipt.position)


def offers(service: Offerlog) -> str:
    """A decision is one of two classes."""
    decision = service.offer(customer_id="visitor-1", action_map_id=MAP, session_id=MAP, timeout_seconds=45)
    assert_type(decision, OfferOutcome)
    if isinstance(decision, OfferMade):
        return decision.action_id
    assert_type(decision, OfferBlocked)
    assert_type(decision.by, Blocker)
    assert_type(decision.by.state, State)
    return decision.by.reason.value


def asks(service: Offerlog) -> None:
    """Look-ups, histories and lists."""
    assert_type(service.eligibility(customer_id="visitor-1", action_map_id=MAP), Blocker | None)
    assert_type(service.check_eligibility(customer_id="visitor-1", action_map_id=MAP), Eligibility)
    history = service.history(customer_id="visitor-1", action_map_id=MAP, version=1)
    assert_type(history, History)
    assert_type(history.events[0].occurred_at, datetime)
    assert_type(service.suppressions("visitor-1"), Sequence[Suppression])
    assert_type(service.suppressed_visitors(MAP), Generator[Suppression])
    assert_type(service.policies.set(MAP, {"ignored": timedelta(days=30)}), int | None)
    assert_type(service.policies.find(MAP), ActionMapPolicy)
    assert_type(service.policies.changes(MAP), Sequence[PolicyChange])
    assert_type(service.refusals(reason=Reason.MALFORMED), Generator[KeptSignal])
    assert_type(service.refusal_counts(), RefusalCounts)
    assert_type(service.expire(), Expired)
    assert_type(service.events(1, types=["offered"]), Generator[FeedEvent])
    assert_type(service.feed.page(1, wanted=FeedFilter.parse(["offered"])), FeedPage)
    assert_type(next(service.feed.follow()).events[0].position, int)


def reports(service: Offerlog) -> None:
    """Queries and their rows."""
    berlin = zone("Europe/Berlin")
    query = ReportQuery(
        "acme", start=instant("2026-01-01", berlin, "from"), zone=berlin, by=Granularity.MONTH
    )
    report = service.report(query)
    assert_type(report, PerformanceReport)
    assert_type(report.rows, Sequence[ReportRow])
    assert_type(report.rows[0].metrics, Mapping[str, int])
    assert_type(report.rows[0].rates["accepted"], float | None)
    assert_type(service.proof(), Proof)


async def awaits(service: Offerlog) -> None:
    """The same answers from the view for asyncio."""
    assert_type(service.aio, AsyncOfferlog)
    assert_type(await service.aio.record([b"{}"], organization="acme"), Receipt)
    assert_type(
        await service.aio.offer(customer_id="visitor-1", action_map_id=MAP, session_id=MAP), OfferOutcome
    )
    assert_type(await service.aio.eligibility(customer_id="visitor-1", action_map_id=MAP), Blocker | None)
    assert_type(await service.aio.suppressions("visitor-1"), Sequence[Suppression])
    assert_type(await service.aio.policies.find(MAP), ActionMapPolicy)
    assert_type(await service.aio.history(customer_id="visitor-1", action_map_id=MAP), History)
    assert_type(await service.aio.report(ReportQuery("acme")), PerformanceReport)
    assert_type(await service.aio.erase(customer_id="visitor-1"), Erasure)
    assert_type(await service.aio.visitor_data(customer_id="visitor-1"), Sequence[HeldRow])
    async for event in service.aio.events():
        assert_type(event, FeedEvent)
    async for suppression in service.aio.suppressed_visitors(MAP):
        assert_type(suppression, Suppression)


def makes_keys(service: Offerlog) -> None:
    """A key and its text."""
    assert_type(service.keys.create("acme", Role.WIDGET, "shop", ["https://shop.example"]), tuple[Key, str])


def catches(service: Offerlog) -> str | None:
    """One root above all errors."""
    try:
        service.record([b"{}"])
    except StoreUnavailableError as error:
        assert_type(error.trouble, StoreTrouble)
        return error.summary
    except MalformedSignalError as error:
        assert_type(error.field, str | None)
        return error.field
    except OfferlogError as error:
        return str(error)
    return None


def tests(store: SharedStore) -> None:
    """Services for tests are the same class, and the clock is one that a service takes."""
    clock = SettableClock()
    assert_type(clock.now(), datetime)
    assert_type(open_in_memory("acme", clock=clock, rules=Rules()), Offerlog)
    assert_type(store.open("acme", clock=clock), Offerlog)
    assert_type(open_offerlog(clock=clock), Offerlog)
