"""What every soak's services are started with, what they know from the begin, and when they are at rest."""

import http.client
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keys import Role
from offerlog_application.ports.read_models import ProjectionsBehindError
from offerlog_infrastructure.composition import open_offerlog
from soak.policies import SOAKED_POLICIES, periods_by_map
from soak.server import Server
from soak.system import System
from soak.traffic import ORGANIZATIONS

LIMIT_SECONDS: Final = 1_800.0
"""How much longer than it sends a soak may take; its processes end then."""
UP_SECONDS: Final = 120.0
"""So long processes may take to start."""
_QUIET_SECONDS: Final = 300.0
_LONG_SECONDS: Final = 60.0
"""From this length on, a soak waits in its end for time-outs and parkings to be over."""
_RULES: Final = {"OPEN_ACTION_TTL": 60, "DEADLINE_GRACE": 20, "PARKING_TIME": 30}
"""Short enough to be over while a long soak runs, in seconds."""
_SHORT_RULES: Final = {"OPEN_ACTION_TTL": 60, "DEADLINE_GRACE": 900, "PARKING_TIME": 900}
"""Long enough not to be over while a short one runs."""
_LIMITS: Final = {"WIDGET_RATE": 10_000, "WIDGET_PEER_RATE": 10_000, "REFUSAL_TEXT_QUOTA": 1 << 40}
"""Far away: a soak is no test of limits."""
_DUE: Final = """
    SELECT 1 FROM current_offers WHERE withdrawn_at < now() + interval '5 minutes' - %s * interval '1 second'
    UNION ALL
    SELECT 1 FROM parked_signals WHERE parked_at < now() + interval '5 minutes' - %s * interval '1 second'
"""


def rules_of(seconds: float) -> Mapping[str, int]:
    """Return the periods of a soak of some length, in seconds, by the name of the setting."""
    return _RULES if seconds >= _LONG_SECONDS else _SHORT_RULES


def environment_of(rules: Mapping[str, int]) -> dict[str, str]:
    """Return the environment variables of all processes of a soak with these periods."""
    found = {f"OFFERLOG_{name}": str(value) for name, value in {**rules, **_LIMITS}.items()}
    return found | {"OFFERLOG_ORGANIZATION": ORGANIZATIONS[0], "OFFERLOG_LOG_LEVEL": "warning"}


def register(service: Offerlog, keys: Mapping[Role, dict[str, str]]) -> None:
    """Register the organizations with a key of each of these roles, and the policies."""
    for role, texts in keys.items():
        for organization in ORGANIZATIONS:
            texts[organization] = service.keys.create(organization, role, "soak", ())[1]
    for (organization, action_map), periods in periods_by_map(SOAKED_POLICIES).items():
        service.policies.set(action_map, periods, set_by="soak", organization=organization)


def answers(port: int) -> Callable[[], bool]:
    """Return a function that says whether the service at a port works."""

    def is_up() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return is_up


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(1)
        return int(listening.getsockname()[1])


def await_quiet(system: System, servers: Sequence[Server], dsn: str, rules: Mapping[str, int]) -> None:
    """Wait until all processes work, nothing will be due soon, and the projections show the whole log.

    Args:
        system: The system.
        servers: All its servers.
        dsn: What opens the service over them.
        rules: The periods of the soak.

    Raises:
        TimeoutError: They do not.
    """
    deadline = time.monotonic() + _QUIET_SECONDS
    system.fleet.await_up(_QUIET_SECONDS)
    while True:
        try:
            with open_offerlog(
                database_url=dsn, keyring=system.keyring, keep_deadlines=False, project=False
            ) as service:
                service.catch_up()
            due = (rules["DEADLINE_GRACE"], rules["PARKING_TIME"])
            if not any(server.sql(_DUE, *due) for server in servers):
                return
            what = "time-outs are due"
        except (ProjectionsBehindError, StoreUnavailableError) as error:
            what = str(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the system does not come to rest: {what}")
        time.sleep(1.0)
