"""A service in memory: the application's facade over ports in memory."""

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.organizations import check_organization
from offerlog_application.ports.store import Store
from offerlog_application.ports.store_trouble import TroubleCounts
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.context import Rules
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.forking import guard_against_fork
from offerlog_infrastructure.memory.keys import MemoryKeys
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.projections import MemoryProjections
from offerlog_infrastructure.memory.reads import MemoryReads
from offerlog_infrastructure.memory.refusals import MemoryRefusals


def open_in_memory(
    organization: str = "default",
    *,
    clock: Clock | None = None,
    rules: Rules | None = None,
    refusal_policy: RefusalPolicy | None = None,
) -> Offerlog:
    """Open a service whose log is in memory and goes with it; close it, or use it as a context manager.

    It decides and answers as a service on a store does. Its projections are never behind. It reads no
    environment. It records deadlines when `expire` is called.

    Args:
        organization: The organization of calls that name none.
        clock: The service's clock; the machine's unless given.
        rules: The periods that an operator may set; the usual ones unless given.
        refusal_policy: What the refusal log keeps; the usual policy unless given.

    Raises:
        OrganizationNameError: The organization's name is not valid.
    """
    check_organization(organization)
    clock, policy = clock or SystemClock(), refusal_policy or RefusalPolicy()
    log = MemoryLog(policy)
    reads, refusals, projections = MemoryReads(log), MemoryRefusals(log), MemoryProjections(log)
    store = Store(
        log=log,
        fence=log,
        streams=log,
        reads=reads,
        performance=log.counts,
        refusals=refusals,
        refusal_counts=refusals,
        proofs=projections,
        dead_letters=projections,
        rebuilds=projections,
        kinds=projections,
        keys=MemoryKeys(clock, reads.known.add),
        organizations=reads,
        changes=reads,
        troubles=TroubleCounts(),
    )
    service = Offerlog(
        store, clock=clock, rules=rules or Rules(), organization=organization, refusal_policy=policy
    )
    guard_against_fork(service, _nothing)
    return service


def _nothing() -> None:
    """Nothing is shared with a forked process."""
