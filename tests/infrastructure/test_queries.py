"""The lists of the read side over several pages, and what becomes of them when the service goes."""

import json
import uuid

import pytest

from contracts.recount import rows
from offerlog_application.ports import Closed
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.postgres import queries
from offerlog_infrastructure.service import Offerlog

MAP = str(uuid.uuid4())


def signal(state: str, customer: str, action: str | None = None) -> bytes:
    """A signal of a new action unless one is named."""
    told = {"actionId": action or str(uuid.uuid4()), "actionState": state, "actionMapId": MAP}
    return json.dumps({**told, "customerId": customer, "sessionId": str(uuid.uuid4())}).encode()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_PAGE", 3)


@pytest.mark.parametrize("count", [0, 2, 3, 7])
def test_a_list_of_any_length_is_whole(offerlog: Offerlog, count: int) -> None:
    """No row is left out or told twice where one page ends and the next begins."""
    customers = [f"visitor {n}" for n in range(count)]
    turned_down = []
    for customer in customers:
        action = str(uuid.uuid4())
        turned_down += [signal("offered", customer, action), signal("rejected", customer, action)]
    parked = [signal("accepted", customer) for customer in customers]
    broken = [f"no signal {n}".encode() for n in range(count)]
    offerlog.wait(offerlog.record(turned_down).position)
    offerlog.wait(offerlog.record([*parked, *broken]).position)
    assert [one.customer_id for one in offerlog.suppressed_visitors(MAP)] == customers
    refused = [one.raw for one in offerlog.refusals()]
    kept = [one.raw for one in offerlog.parked()]
    assert sorted([*refused, *kept]) == sorted([*parked, *broken])
    assert [raw for raw in refused if raw in broken] == broken


def test_a_slow_reader_holds_nothing(offerlog: Offerlog, dsn: str) -> None:
    """Between two rows there is neither a transaction for the server to end nor a connection in use."""
    offerlog.record([b"no signal"] * 10)
    refusals = offerlog.refusals()
    next(refusals)
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%%'"
    )
    assert rows(dsn, busy) == [(0,)]
    assert len(list(refusals)) == 9


def test_a_closed_service_says_so(dsn: str) -> None:
    """Whether or not it has ever worked for that organization."""
    with open_offerlog(database_url=dsn) as offerlog:
        offerlog.record([b"no signal"])
    for call in (
        lambda: offerlog.record([b"no signal"]),
        lambda: offerlog.record([b"no signal"], organization="unseen"),
        lambda: offerlog.suppressions("visitor"),
        lambda: offerlog.eligibility(customer_id="visitor", action_map_id=MAP),
    ):
        with pytest.raises(Closed, match="closed"):
            call()
