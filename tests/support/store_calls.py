"""Every kind of call that reaches the store, each made once."""

import json
import uuid
from collections.abc import Callable

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.keys import Role
from offerlog_application.ports.performance_counts import ReportQuery

MAP = str(uuid.uuid4())


def a_signal(customer: str = "v1", state: str = "offered") -> bytes:
    """A signal of a new action."""
    ids = {"actionId": str(uuid.uuid4()), "actionMapId": MAP, "sessionId": str(uuid.uuid4())}
    return json.dumps({**ids, "customerId": customer, "actionState": state}).encode()


def calls(service: Offerlog, key: str) -> dict[str, Callable[[], object]]:
    """One call of every kind that reaches the store."""
    customer = f"v-{uuid.uuid4()}"
    return {
        "suppressions": lambda: service.suppressions("v1"),
        "freshness": service.freshness,
        "report": lambda: service.report(ReportQuery("default")),
        "history": lambda: service.history(customer_id="v1", action_map_id=MAP),
        "eligibility": lambda: service.eligibility(customer_id=customer, action_map_id=MAP),
        "refusals": lambda: list(service.refusals()),
        "timeline": lambda: list(service.timeline(customer_id="v1")),
        "suppressed visitors": lambda: list(service.suppressed_visitors(MAP)),
        "status": service.projections,
        "proof": service.proof,
        "verify": service.verify,
        "dead letters": service.dead_letters,
        "stored kinds": service.stored_kinds,
        "find a key": lambda: service.keys.find(key),
        "list keys": lambda: service.keys.all("default"),
        "make a key": lambda: service.keys.create("default", Role.REPORTER, "another"),
        "secret of a new organization": lambda: service.record(
            [a_signal()], organization=f"o-{uuid.uuid4()}"
        ),
        "record": lambda: service.record([a_signal(f"v-{uuid.uuid4()}")]),
        "offer": lambda: service.offer(customer_id=customer, action_map_id=MAP, session_id=str(uuid.uuid4())),
        "catch up": service.catch_up,
        "expire": service.expire,
    }
