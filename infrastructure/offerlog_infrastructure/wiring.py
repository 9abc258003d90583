"""The making of services over open stores: one that is the only one, or the shards of an installation."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

from offerlog_application.evidence.evidence import CosigningWitness
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.read_side import Replica
from offerlog_application.ports.shards import HOME
from offerlog_application.ports.slices import OnlySliceSource
from offerlog_application.ports.store import Store
from offerlog_application.ports.tracing import Trace
from offerlog_application.ports.webhooks import WebhookStore
from offerlog_application.projections.awaiting import PositionWaits
from offerlog_application.recording.writer import GroupCommitWriter
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.sharding.router import Shard
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_application.sharding.short_signal_release import ReleasedElsewhere
from offerlog_application.sharding.webhooks_of_shards import SentByAllTogether
from offerlog_domain.context import Rules
from offerlog_infrastructure.evidence.erasure_file import ErasureFile
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.opened_shards import OpenedShards
from offerlog_infrastructure.opened_store import OpenStore
from offerlog_infrastructure.shard_places import place_of_shard
from offerlog_infrastructure.webhooks.networks import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """The options of a service, whatever stores it works over.

    Attributes:
        clock: The service's clock.
        rules: The periods that an operator may set.
        organization: The organization of calls that name none.
        keyring: Encrypts the keys of the stores.
        library_settings: Settings of the eventsourcing library.
        application_name: Name of this process among the connections of a store.
        trace: Follows commits and pages.
        project: True if this process runs projectors.
        policy: What the refusal log keeps.
        webhook_networks: Networks to which webhooks may be sent although they are not public.
        webhook_retention: How long dead letters of webhooks are kept.
        audit_key: The file with the key that signs checkpoints.
        checkpoints: The folder for signed checkpoints outside of the store; None for none.
        checkpoint_period: Seconds between two checkpoints.
        witnesses: Cosign checkpoints.
    """

    clock: Clock
    rules: Rules
    organization: str
    keyring: Keyring
    library_settings: dict[str, str] | None
    application_name: str | None
    trace: Trace
    project: bool
    policy: RefusalPolicy
    webhook_networks: tuple[Network, ...]
    webhook_retention: timedelta
    audit_key: Path
    checkpoints: Path | None
    checkpoint_period: timedelta
    witnesses: tuple[CosigningWitness, ...]


def make_service(
    store: OpenStore, options: ServiceOptions, resources: ExitStack, replica: Replica | None = None
) -> Offerlog:
    """Make the service over the only store of an installation.

    Args:
        store: The store.
        options: The options.
        resources: Left at the end of the service's `close`.
        replica: The local copy of the suppression list, if there is one.
    """
    return make_shard(store, options, resources, replica=replica).service


def make_shard(
    store: OpenStore,
    options: ServiceOptions,
    resources: ExitStack,
    *,
    number: int = 0,
    replica: Replica | None = None,
    is_shared: bool = False,
) -> Shard:
    """Make the service over one store, with all that others of the same installation use of it.

    Each log has its own key for checkpoints and its own folder of them: two logs never share an origin.

    Args:
        store: The store.
        options: The options.
        resources: Left at the end of the service's `close`.
        number: The number of the shard; the home, and a store that is the only one, have 0.
        replica: The local copy of the suppression list, if there is one.
        is_shared: True for a shard of several. The service over all of them releases its short signals, and
            sends its events to webhooks.
    """
    ports = store.ports(options.clock, options.policy, options.webhook_networks, options.rules)
    projector = store.projector(options.trace) if options.project else None
    writer = GroupCommitWriter(ports.log, options.clock, options.rules, trace=options.trace)
    waits = PositionWaits(ports.reads.position, projector, announced)
    checkpoints = options.checkpoints and place_of_shard(options.checkpoints, number)
    service = Offerlog(
        _leave_to_all(ports) if is_shared else ports,
        clock=options.clock,
        rules=options.rules,
        organization=options.organization,
        resources=resources,
        projector=projector,
        replica=replica,
        announce=announced,
        refusal_policy=options.policy,
        webhook_retention=options.webhook_retention,
        slices=OnlySliceSource(store.slices()),
        evidence=store.evidence(
            options.clock,
            place_of_shard(options.audit_key, number),
            checkpoints,
            options.checkpoint_period,
            options.witnesses,
            number=number,
        ),
        erasure_list=None if checkpoints is None else ErasureFile(checkpoints),
        writer=writer,
        waits=waits,
    )
    return Shard(
        number=number,
        store=ports,
        writer=writer,
        waits=waits,
        service=service,
        read_owned=store.read_owned,
        read_held=store.read_held_slices,
        find_silence=store.find_silence,
        keep_slices=store.keep_slices,
    )


def _leave_to_all(ports: Store) -> Store:
    """Return the ports for the service over one shard, which leaves some work to that over all of them."""
    elsewhere = cast("WebhookStore", SentByAllTogether())
    return replace(ports, short_signals=ReleasedElsewhere(ports.short_signals), webhooks=elsewhere)


def make_sharded_service(
    home: OpenStore, options: ServiceOptions, held: ExitStack, resources: ExitStack
) -> ShardedOfferlog:
    """Make the service over all shards of an installation.

    A shard that cannot be reached now is opened later; until then, what concerns its visitors is an error.

    Args:
        home: The home.
        options: The options.
        held: Gets the shards, to close them.
        resources: Left at the end of the service's `close`.
    """
    home.watch_server(HOME)
    of_home = make_shard(home, options, ExitStack(), is_shared=True)

    def begin_to_open(number: int) -> None:
        shards.get(number)

    moves = home.moves_upkeep(begin_to_open)

    def open_shard(number: int, url: str) -> Shard:
        shard, store = _open_shard(home, options, number, url)
        store.add_to(moves, number)
        return shard

    try:
        shards = OpenedShards(of_home, home.directory(), open_shard)
    except BaseException:
        of_home.service.close()
        raise
    held.callback(shards.close)
    shards.begin()
    return ShardedOfferlog(
        shards,
        moves,
        clock=options.clock,
        rules=options.rules,
        organization=options.organization,
        resources=resources,
        announce=announced,
        refusal_policy=options.policy,
        webhook_retention=options.webhook_retention,
    )


def _open_shard(home: OpenStore, options: ServiceOptions, number: int, url: str) -> tuple[Shard, OpenStore]:
    """Open another shard than the home, and return its store, too, which its service closes.

    Raises:
        ShardError: The store at the address is another one.
        OfferlogError: It cannot be opened.
    """
    with ExitStack() as held:
        store = held.enter_context(
            OpenStore(
                None,
                url,
                keyring=options.keyring,
                create=False,
                library_settings=options.library_settings,
                application_name=options.application_name,
                home=home,
            )
        )
        store.check_number(number)
        store.watch_server(number)
        resources = ExitStack()
        shard = make_shard(store, options, resources, number=number, is_shared=True)
        resources.push(held.pop_all())
    return shard, store
