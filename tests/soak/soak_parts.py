"""What every soak has, whatever system it is of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from offerlog_application.ports.keys import Role
from soak.clients import Progress
from soak.options import Options
from soak.services import environment_of, free_port, rules_of
from soak.system import System

SERVICES: Final = ("service-1", "service-2")
"""The names of the HTTP services."""

S = TypeVar("S", bound=System)


class SoakParts(Generic[S]):
    """The parts of one run.

    Args:
        options: What was asked for.
        folder: The folder of the system; the server's user can pass through it.
        system: The system.
        roles: The roles of the keys that clients have.

    Attributes:
        system: The system.
        rules: The periods that its services have.
        private: A folder for this process alone.
        progress: What clients and faults have done so far.
        keys: Keys by role and organization.
        ports: The port of each HTTP service.
    """

    def __init__(self, options: Options, folder: Path, system: S, roles: Sequence[Role]) -> None:
        self._options = options
        self.system = system
        self.rules = rules_of(options.seconds)
        self.system.environment |= environment_of(self.rules)
        self.private = folder / "private"
        self.private.mkdir(mode=0o700)
        self.progress = Progress()
        self.keys: dict[Role, dict[str, str]] = {role: {} for role in roles}
        self.ports = {name: free_port() for name in SERVICES}
