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
from offerlog_infrastructure.memory.erasures import MemoryErasures
from offerlog_infrastructure.memory.event_source import MemoryEventSource
from offerlog_infrastructure.memory.keys import MemoryKeys, MemoryMasterKeys
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.offers import MemoryOfferReads
from offerlog_infrastructure.memory.organization_visitors import MemoryOrganizationVisitors
from offerlog_infrastructure.memory.projections import MemoryProjections
from offerlog_infrastructure.memory.reads import MemoryReads
from offerlog_infrastructure.memory.recent_visitors import MemoryRecentVisitors
from offerlog_infrastructure.memory.refusals import MemoryRefusals
from offerlog_infrastructure.memory.replays import MemoryReplays
from offerlog_infrastructure.memory.sessions import MemorySessions
from offerlog_infrastructure.memory.store_figures import MemoryStoreFigures
from offerlog_infrastructure.memory.stream_source import MemoryStreamSource
from offerlog_infrastructure.memory.subscriptions import MemorySubscriptions
from offerlog_infrastructure.memory.webhooks import MemoryWebhooks
from offerlog_infrastructure.webhooks.networks import read_networks
from offerlog_infrastructure.webhooks.senders import HttpSenders


def open_in_memory(
    organization: str = "default",
    *,
    clock: Clock | None = None,
    rules: Rules | None = None,
    refusal_policy: RefusalPolicy | None = None,
    webhook_networks: str | None = None,
) -> Offerlog:
    """Open a service with a log in memory, which ends with the service; close it, or use a `with` block.

    It decides and answers as a service on a store does. Its projections are never behind. It reads no
    environment. It records deadlines when `expire` is called.

    Args:
        organization: The organization of calls that name none.
        clock: The service's clock; the machine's unless given.
        rules: The periods that an operator may set; the usual ones unless given.
        refusal_policy: What the refusal log keeps; the usual policy unless given.
        webhook_networks: As in `open_offerlog`.

    Raises:
        ValueError: `webhook_networks` cannot be read.
        OrganizationNameError: The organization's name is not valid.
    """
    check_organization(organization)
    clock, policy = clock or SystemClock(), refusal_policy or RefusalPolicy()
    log = MemoryLog(policy, rules)
    reads, refusals, projections = MemoryReads(log, clock), MemoryRefusals(log), MemoryProjections(log)
    keys = MemoryKeys(clock, reads.known.add)
    subscriptions, webhooks = MemorySubscriptions(log, clock), MemoryWebhooks(log, clock)
    store = Store(
        log=log,
        fence=log,
        service_log=log,
        policies=log,
        short_signals=log.short_signals,
        erasures=MemoryErasures(log),
        streams=log,
        replays=MemoryReplays(log),
        organization_visitors=MemoryOrganizationVisitors(log),
        visitors=log,
        reads=reads,
        performance=log.counts,
        offers=MemoryOfferReads(log),
        recent_visitors=MemoryRecentVisitors(log),
        refusals=refusals,
        refusal_counts=refusals,
        proofs=projections,
        dead_letters=projections,
        rebuilds=projections,
        kinds=projections,
        master_keys=MemoryMasterKeys(),
        keys=keys,
        sessions=MemorySessions(clock, keys.find_id),
        organizations=reads,
        changes=reads,
        event_source=MemoryEventSource(log),
        stream_source=MemoryStreamSource(log),
        subscriptions=subscriptions,
        webhooks=webhooks,
        make_webhook_sender=HttpSenders(read_networks(webhook_networks)),
        figures=MemoryStoreFigures(log, reads, subscriptions, webhooks, clock),
        troubles=TroubleCounts(),
    )
    service = Offerlog(
        store, clock=clock, rules=rules or Rules(), organization=organization, refusal_policy=policy
    )
    guard_against_fork(service, _nothing)
    return service


def _nothing() -> None:
    """Nothing is shared with a forked process."""
