"""All that is held of a visitor, asked for while the visitor is erased: everything, or nothing."""

import threading
from collections import Counter

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import NoSuchVisitorError
from support.journeys import journey, signal
from support.processes import finish

_VISITORS = range(1, 43, 7)
"""Visitors of the kind whose invitation was rejected."""


def test_access_beside_an_erasure_shows_the_visitor_as_a_whole_or_nothing(offerlog: Offerlog) -> None:
    """It reads one snapshot: never a part of the tables, nor events that are blanked already."""
    # given
    for visitor in _VISITORS:
        refused = signal("offered", visitor=visitor, sessionId="no id")
        offerlog.wait(offerlog.record([*journey(visitor), refused]).position)
    whole = {
        visitor: Counter(row.place for row in offerlog.visitor_data(customer_id=f"visitor-{visitor}"))
        for visitor in _VISITORS
    }
    assert all(found["offerlog_events"] == 2 and found["refusals"] == 1 for found in whole.values())
    for visitor in _VISITORS:
        seen: list[Counter[str]] = []
        unreadable: list[object] = []
        erased = threading.Event()

        def ask(
            customer: str = f"visitor-{visitor}",
            seen: list[Counter[str]] = seen,
            unreadable: list[object] = unreadable,
            erased: threading.Event = erased,
        ) -> None:
            while not erased.is_set():
                try:
                    held = offerlog.visitor_data(customer_id=customer)
                except NoSuchVisitorError:
                    seen.append(Counter())
                    continue
                seen.append(Counter(row.place for row in held))
                unreadable.extend(row for row in held if "unreadable" in row.fields)

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        # when
        offerlog.erase(customer_id=f"visitor-{visitor}")
        erased.set()
        finish(*asking)
        # then
        assert seen
        assert not unreadable
        assert all(found in ({}, whole[visitor]) for found in seen)
