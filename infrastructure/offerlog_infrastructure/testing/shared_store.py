"""One embedded store that the services of many tests share."""

import os
from contextlib import ExitStack
from pathlib import Path

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import check_organization
from offerlog_application.ports.projections import Projector
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.context import Rules
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import OpenStore
from offerlog_infrastructure.forking import ForkedServiceError, guard_against_fork
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.observability.waiting import announced


class SharedStore:
    """An embedded store over which any number of services are opened; for tests, which open one each.

    A service costs one thread and some objects: it shares the connections and the projector of the store.

    Args:
        data: The store's folder. Processes that name the same folder share one server. The keyring is made
            beside the folder.

    Attributes:
        data: That folder.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._opened_in = os.getpid()
        with ExitStack() as held:
            keyring = FileKeyring(data.with_name(f"{data.name}.keyring.json"))
            self._store = held.enter_context(OpenStore(data, keyring=keyring))
            self._projector = _SharedProjector(self._store.projector())
            held.callback(self._projector.stop)
            self._resources = held.pop_all()

    def open(
        self,
        organization: str,
        *,
        clock: Clock | None = None,
        rules: Rules | None = None,
        refusal_policy: RefusalPolicy | None = None,
    ) -> Offerlog:
        """Open a service for one organization; deadlines are recorded when `expire` is called.

        Args:
            organization: The organization of calls that name none.
            clock: The service's clock; the machine's unless given.
            rules: The periods that an operator may set; the usual ones unless given.
            refusal_policy: The retention and quota of the refusal log; the usual policy unless given.

        Raises:
            OrganizationNameError: The organization's name is not valid.
            ForkedServiceError: The store was opened in another process, of which this one is a fork.
        """
        if os.getpid() != self._opened_in:
            raise ForkedServiceError(self._opened_in)
        check_organization(organization)
        clock, policy = clock or SystemClock(), refusal_policy or RefusalPolicy()
        rules = rules or Rules()
        service = Offerlog(
            self._store.ports(clock, policy, rules=rules),
            clock=clock,
            rules=rules,
            organization=organization,
            projector=self._projector,
            announce=announced,
            refusal_policy=policy,
        )
        guard_against_fork(service, _nothing)
        return service

    def close(self) -> None:
        """Release the store; close the services before. In a forked process only its share of the lease."""
        if os.getpid() == self._opened_in:
            self._resources.close()
        else:
            self._store.release_lease()


class _SharedProjector:
    """A projector that continues when a service that uses it is closed."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector

    @property
    def error(self) -> Exception | None:
        """The error that stopped the last page; None if it was applied."""
        return self._projector.error

    def wake(self) -> None:
        """Look for new events in the log now."""
        self._projector.wake()

    def await_move(self, timeout: float) -> None:
        """Wait until a projection has moved, at most `timeout` seconds."""
        self._projector.await_move(timeout)

    def close(self) -> None:
        """Do nothing: other services use it."""

    def stop(self) -> None:
        """Stop after the current page."""
        self._projector.close()


def _nothing() -> None:
    """Release nothing: the service does not have its own lease on a server."""
