"""What an erasure promises, of a service in memory and of one on PostgreSQL alike."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import LegalHoldError, NoSuchVisitorError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.errors import ArgumentError
from offerlog_domain.metrics import CountBy, MetricSet
from offerlog_domain.outcomes import Reason
from offerlog_infrastructure.memory.service import open_in_memory
from support.journeys import DAY, an_id, journeys, signal

REJECTED, WAITING, REFUSED = "visitor-8", "visitor-5", "visitor-1000"
MAP_OF_REJECTED, MAP_OF_WAITING = an_id("map", 2), an_id("map", 2)


@pytest.fixture(params=["in memory", "on postgresql"])
def service(request: pytest.FixtureRequest) -> Iterator[Offerlog]:
    """A service in which some visitors have done everything."""
    if request.param == "in memory":
        with open_in_memory() as service:
            fill(service)
            yield service
        return
    service = request.getfixturevalue("offerlog")
    fill(service)
    yield service


def fill(service: Offerlog) -> None:
    """One journey of each kind for some visitors, and a visitor all of whose signals are refused."""
    late = DAY + timedelta(days=1)
    illegal = signal("accepted", visitor=8, actionMapId=MAP_OF_REJECTED, createdDate=late.isoformat())
    malformed = signal("offered", visitor=1000, sessionId="no id")
    service.record(journeys(14))
    service.record([json.dumps(one) for one in (illegal, malformed)])
    service.catch_up()
    assert service.suppressions(REJECTED)
    assert [*service.parked()]


def counted(service: Offerlog) -> list[Mapping[str, Any]]:
    """Every count, of actions and of distinct visitors."""
    return [
        dict(row.metrics)
        for count_by in CountBy
        for row in service.report(
            ReportQuery(service.organization, view=MetricSet.FULL, count_by=count_by)
        ).rows
    ]


def places(service: Offerlog, customer: str) -> set[str]:
    """The tables that hold something of a visitor."""
    return {row.place for row in service.visitor_data(customer_id=customer)}


def test_an_erased_visitor_is_unknown_and_every_count_stays(service: Offerlog) -> None:
    """No history, no suppression, no parked signal, no text of a refusal."""
    # given
    before = counted(service)
    refusals = service.refusal_counts().counts
    assert places(service, REJECTED) >= {"visitors", "offerlog_events", "suppressions", "refusals"}
    assert places(service, WAITING) >= {"visitors", "offerlog_events", "parked_signals"}
    # when
    erasures = [service.erase(customer_id=one) for one in (REJECTED, WAITING)]
    # then
    for customer, action_map in ((REJECTED, MAP_OF_REJECTED), (WAITING, MAP_OF_WAITING)):
        assert not service.history(customer_id=customer, action_map_id=action_map).events
        assert not service.suppressions(customer)
        assert not [*service.refusals(customer_id=customer)]
        with pytest.raises(NoSuchVisitorError, match="nothing is held of this visitor"):
            service.visitor_data(customer_id=customer)
        with pytest.raises(NoSuchVisitorError):
            service.erase(customer_id=customer)
    assert REJECTED not in {one.customer_id for one in service.suppressed_visitors(MAP_OF_REJECTED)}
    assert counted(service) == before
    assert service.refusal_counts().counts == refusals
    assert [(one.events, one.refusals) for one in erasures] == [(2, 1), (1, 0)]
    assert all(one.receipt_position > (one.position or 0) > 0 for one in erasures)
    assert {kind.error for kind in service.stored_kinds()} == {None}
    assert not [one for one in service.verify() if one.differences]


def test_late_signals_begin_a_new_life(service: Offerlog) -> None:
    """The same signals are recorded anew, as nothing is known of the former life; they can be erased too."""
    # given
    service.erase(customer_id=REJECTED)
    lines = [one for one in journeys(14) if json.loads(one)["customerId"] == REJECTED]
    # when
    receipt = service.record(lines)
    service.wait(receipt.position)
    # then
    assert [outcome.kind.value for outcome in receipt.outcomes] == ["recorded", "recorded"]
    assert len(service.suppressions(REJECTED)) == 1
    assert len(service.history(customer_id=REJECTED, action_map_id=MAP_OF_REJECTED).events) == 2
    assert service.erase(customer_id=REJECTED).events == 2
    assert not service.suppressions(REJECTED)


def test_a_visitor_of_whom_only_refusals_are_held_loses_their_texts(service: Offerlog) -> None:
    """Nothing is in the log of such a visitor, so no event says that it is erased; the receipt does."""
    assert places(service, REFUSED) == {"refusals"}
    erasure = service.erase(customer_id=REFUSED)
    assert (erasure.position, erasure.events, erasure.refusals) == (None, 0, 1)
    assert b"no id" not in b"".join(one.raw for one in service.refusals())
    assert service.refusal_counts().counts[Reason.MALFORMED] == 1


def test_refused_texts_alone_cannot_be_held(service: Offerlog) -> None:
    """The error does not claim that nothing is held."""
    with pytest.raises(NoSuchVisitorError, match="a legal hold needs an event, and none is known"):
        service.hold_visitor(customer_id=REFUSED, reason="lawsuit")
    assert places(service, REFUSED) == {"refusals"}


def test_an_unknown_visitor_is_a_clear_answer(service: Offerlog) -> None:
    """Also one whose id is known with another type."""
    for customer, kind in (("nobody", "cookie"), (REJECTED, "account")):
        with pytest.raises(NoSuchVisitorError) as raised:
            service.erase(customer_id=customer, customer_id_type=kind)
        assert str(raised.value).startswith("nothing is held of this visitor in the organization 'default';")


def test_a_legal_hold_forbids_an_erasure_until_it_is_lifted(service: Offerlog) -> None:
    """The error says why; nothing is changed."""
    # given
    service.hold_visitor(customer_id=REJECTED, reason="first")
    service.hold_visitor(customer_id=REJECTED, reason=" lawsuit 12/2026 ")
    # when
    with pytest.raises(LegalHoldError, match="lawsuit 12/2026; lift it first"):
        service.erase(customer_id=REJECTED)
    # then
    ((visitor, _, reason),) = service.legal_holds()
    assert (visitor.id, reason) == (REJECTED, "lawsuit 12/2026")
    assert service.suppressions(REJECTED)
    assert "legal_holds" in places(service, REJECTED)
    assert service.lift_hold(customer_id=REJECTED)
    assert not service.lift_hold(customer_id=REJECTED)
    assert not service.legal_holds()
    assert service.erase(customer_id=REJECTED).events == 2


def test_a_hold_needs_a_reason_and_a_known_visitor(service: Offerlog) -> None:
    """Or it would protect nothing."""
    for reason in ("", "  ", "x" * 1_001, "a\0b"):
        with pytest.raises(ArgumentError, match=r"a reason of at most 1,000 characters"):
            service.hold_visitor(customer_id=REJECTED, reason=reason)
    with pytest.raises(NoSuchVisitorError):
        service.hold_visitor(customer_id="nobody", reason="why not")
    assert not service.legal_holds()


def test_all_that_is_held_is_shown_opened(service: Offerlog) -> None:
    """Each event with its private fields, and the text of the refusal."""
    # when
    held = service.visitor_data(customer_id=REJECTED)
    # then
    events = [row.fields for row in held if row.place == "offerlog_events"]
    assert [one["stored_as"] for one in events] == ["offered.3", "rejected.3"]
    assert {str(one["action_id"]) for one in events} == {an_id("action", 8, 1)}
    assert {str(one["session_id"]) for one in events} == {an_id("session", 8)}
    (visitor,) = [row.fields for row in held if row.place == "visitors"]
    assert (visitor["customer_id"], visitor["customer_id_type"]) == (REJECTED, "cookie")
    (refusal,) = [row.fields for row in held if row.place == "refusals"]
    assert json.loads(refusal["raw"])["actionState"] == "accepted"
