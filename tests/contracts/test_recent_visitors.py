"""The visitors with the newest activity: alike in memory and on PostgreSQL."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from offerlog_application.ports.recent_visitors import RecentVisitor, VisitorsPlace
from offerlog_infrastructure.postgres.reads import recent_visitors
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, journeys, signal


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Offerlog]:
    """A service that looks at few events for a page."""
    monkeypatch.setattr(recent_visitors, "_EVENTS_AT_ONCE", (3, 7, 20))
    with open_either(request.param, make_dsn, SettableClock(DAY + timedelta(days=1))) as opened:
        yield opened


def read_all(service: Offerlog, limit: int, media_type: str | None = None) -> list[RecentVisitor]:
    """Every page of the list."""
    found: list[RecentVisitor] = []
    place: VisitorsPlace | None = None
    while True:
        page = service.analysis.recent_visitors(behind=place, limit=limit, media_type=media_type)
        assert len(page.visitors) <= limit
        found += page.visitors
        place = page.behind
        if place is None:
            return found


def test_each_visitor_stands_once_with_the_newest_event(service: Offerlog) -> None:
    """Newest first, page by page; of one organization, whatever others record; not those who were erased."""
    # given
    lines = journeys(30)
    lines += [line for line in journeys(9) if json.loads(line)["actionState"] == "offered"]
    for visitor in range(0, 30, 4):  # an older visitor comes again
        again = signal("offered", visitor=visitor, action=9, actionMapId=an_id("x"))
        lines.append(json.dumps(again).encode())
    for line in lines:
        service.record([line])
    service.record(journeys(3), organization="other")
    service.erase(customer_id="visitor-7")
    # when
    listed = read_all(service, 4)
    # then
    newest: dict[str, tuple[int, str]] = {}
    for one in service.events(identified=True):
        if one.identity is not None:
            newest[one.identity.id] = one.position, one.name
    waits = [one for one in listed if one.event == "signal-parked"]
    others = [one for one in listed if one.event != "signal-parked"]
    assert {one.customer_id for one in listed} == {f"visitor-{n}" for n in range(30) if n != 7}
    assert len(listed) == 29
    assert [one.position for one in listed] == sorted((one.position for one in listed), reverse=True)
    assert all(newest[one.customer_id] == (one.position, one.event) for one in others)
    assert {one.customer_id for one in waits} == {"visitor-5", "visitor-19", "visitor-26"}
    assert {one.state for one in waits} == {None}
    refused = next(one for one in listed if one.event == "offer-refused")
    assert refused.state is not None
    assert refused.state.value == "ignored"


def test_visitors_are_chosen_by_the_media_types_of_their_offers(service: Offerlog) -> None:
    """Page by page, each once with the newest event, whatever its type; what was withheld is no offer."""
    # given
    content: dict[str, Any] = {"actionMediaType": "contentOffer"}
    service.record(journeys(9))
    for visitor in (2, 6, 30, 31):
        service.record(
            [signal("offered", visitor=visitor, action=5, actionMapId=an_id("content"), **content)]
        )
    service.record([signal("offered", visitor=30, action=6, actionMapId=an_id("chat"))])
    for visitor, state in ((40, "qualified"), (41, "frequencyCapReached")):
        service.record([signal(state, visitor=visitor, **content)])
    service.erase(customer_id="visitor-31")
    service.catch_up()
    # when
    listed = [(one.customer_id, one.event) for one in read_all(service, 1, "contentOffer")]
    # then
    assert listed == [(f"visitor-{one}", "offered") for one in (30, 6, 2)]
    chats = {one.customer_id for one in read_all(service, 4, "webchat")}
    assert "visitor-30" in chats
    assert chats.isdisjoint({"visitor-31", "visitor-40", "visitor-41"})
    assert chats | {"visitor-40", "visitor-41"} < {one.customer_id for one in read_all(service, 4)}
    assert read_all(service, 4, "webMessagingOffer") == []


def test_what_happens_meanwhile_does_not_change_the_list(service: Offerlog) -> None:
    """It is as of its beginning; a new list begins with the newest visitor."""
    service.record(journeys(8))
    first = service.analysis.recent_visitors(limit=3)
    for visitor in ("late", 0):
        service.record([signal("offered", visitor=visitor, action=9, actionMapId=an_id("y"))])
    assert first.behind is not None
    rest = service.analysis.recent_visitors(behind=first.behind, limit=100)
    found = [one.customer_id for one in (*first.visitors, *rest.visitors)]
    assert sorted(found) == sorted(f"visitor-{n}" for n in range(8))
    again = service.analysis.recent_visitors(limit=2)
    assert [one.customer_id for one in again.visitors] == ["visitor-0", "visitor-late"]
