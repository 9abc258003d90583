"""The only place that wires: it opens services over the embedded store or your own server."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from offerlog_application.evidence.evidence import CosigningWitness, Evidence
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.organizations import check_organization
from offerlog_application.ports.projections import Projector
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.slices import SliceSource
from offerlog_application.ports.store import Store
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.context import Rules
from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.embedded import EmbeddedServer, default_data_dir
from offerlog_infrastructure.evidence.audit_key import USUAL_NAME, read_audit_key
from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder
from offerlog_infrastructure.evidence.erasure_file import ErasureFile
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.evidence.witness_settings import read_witnesses
from offerlog_infrastructure.forking import guard_against_fork
from offerlog_infrastructure.keyring.file_keyring import FileKeyring, default_keyring
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.postgres.action_map_policies import PostgresPolicies
from offerlog_infrastructure.postgres.conversion import convert_first_format
from offerlog_infrastructure.postgres.erasure.erasures import PostgresErasures
from offerlog_infrastructure.postgres.erasure.organization_visitors import PostgresOrganizationVisitors
from offerlog_infrastructure.postgres.errors import server_reached, store_reached
from offerlog_infrastructure.postgres.feed.event_source import PostgresEventSource
from offerlog_infrastructure.postgres.feed.subscriptions import PostgresSubscriptions
from offerlog_infrastructure.postgres.keys import PostgresKeys
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_kinds import PostgresEventKinds
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.postgres.log.fence import PostgresFence
from offerlog_infrastructure.postgres.log.service_log import PostgresServiceLog
from offerlog_infrastructure.postgres.log.short_signals import PostgresParkedShortSignals
from offerlog_infrastructure.postgres.master_keys import PostgresMasterKeys
from offerlog_infrastructure.postgres.migrations import migrate
from offerlog_infrastructure.postgres.organizations import PostgresOrganizations
from offerlog_infrastructure.postgres.projections.dead_letters import PostgresDeadLetters
from offerlog_infrastructure.postgres.projections.projector import PostgresProjector
from offerlog_infrastructure.postgres.projections.proofs import PostgresProofs
from offerlog_infrastructure.postgres.projections.rebuilds import PostgresRebuilds
from offerlog_infrastructure.postgres.projections.replays import PostgresReplays
from offerlog_infrastructure.postgres.projections.slice_source import PostgresSliceSource
from offerlog_infrastructure.postgres.reads.changes import PostgresChanges
from offerlog_infrastructure.postgres.reads.lists import PostgresReadSide
from offerlog_infrastructure.postgres.reads.offers import PostgresOfferReads
from offerlog_infrastructure.postgres.reads.performance import PostgresPerformance
from offerlog_infrastructure.postgres.reads.recent_visitors import PostgresRecentVisitors
from offerlog_infrastructure.postgres.reads.stream_reader import PostgresStreamReader
from offerlog_infrastructure.postgres.reads.stream_source import PostgresStreamSource
from offerlog_infrastructure.postgres.reads.visitor_reader import PostgresVisitorReader
from offerlog_infrastructure.postgres.refusals.clear_texts import seal_clear_texts
from offerlog_infrastructure.postgres.refusals.counts import PostgresRefusalCounter
from offerlog_infrastructure.postgres.refusals.refusal_log import PostgresRefusalLog
from offerlog_infrastructure.postgres.refusals.text_quota import TextQuota
from offerlog_infrastructure.postgres.sessions import PostgresSessions
from offerlog_infrastructure.postgres.status.store_figures import PostgresStoreFigures
from offerlog_infrastructure.postgres.tree.bundle_source import PostgresBundleSource
from offerlog_infrastructure.postgres.tree.sealed_tree import PostgresSealedTree
from offerlog_infrastructure.postgres.webhooks.store import PostgresWebhooks
from offerlog_infrastructure.replica import SuppressionReplica
from offerlog_infrastructure.server_address import STORE_SCHEMA, add_name, check_address
from offerlog_infrastructure.settings import read_store_settings
from offerlog_infrastructure.webhooks.networks import Network, read_networks
from offerlog_infrastructure.webhooks.senders import HttpSenders

_COPY_SECONDS: Final = 300.0
"""Seconds that the first copy of the suppression list may take."""

SCHEMA: Final = STORE_SCHEMA
"""The PostgreSQL schema that holds the log."""


class OpenStore:
    """An open store whose tables are up to date, over which services are wired.

    Args:
        data: The embedded store's folder; None for the platform's place for it. Not used with `database_url`.
        database_url: A PostgreSQL server to use instead of the embedded one.
        create: False to open an existing store only.
        library_settings: Settings of the eventsourcing library, by its names for them.
        on_upgrade: Called with the progress while a store of offerlog 0.1 is upgraded; None to log it.
        keyring: Encrypts the keys of the store.
        application_name: Names the connections of this process, unless the address does; None for `offerlog`.

    Raises:
        StoreMissingError: There is no store, and `create` is false.
        KeyringError: The keyring cannot be used, or does not hold a key of this store.
        EmbeddedError: The embedded server cannot be started or reached.
        ServerAddressError: `database_url` cannot be read.
        StoreUnavailableError: The server at `database_url` cannot be reached.
        SchemaTooNewError: The database was made by a newer offerlog.
        ConversionError: A store of offerlog 0.1 cannot be upgraded, or differs afterwards.
    """

    def __init__(
        self,
        data: Path | None,
        database_url: str | None = None,
        *,
        keyring: Keyring,
        create: bool = True,
        library_settings: dict[str, str] | None = None,
        on_upgrade: Callable[[RebuildProgress], None] | None = None,
        application_name: str | None = None,
    ) -> None:
        self._server: EmbeddedServer | None = None
        folder: Path | None = None
        with ExitStack() as held:
            if database_url is None:
                folder = default_data_dir() if data is None else data
                if isinstance(keyring, FileKeyring):
                    keyring.check_outside(folder)
                self._server = held.enter_context(EmbeddedServer.acquire(folder, create=create))
                database_url = self._server.dsn
            check_address(database_url)
            if application_name is not None:
                database_url = add_name(database_url, application_name)
            with server_reached():
                migrate(database_url, SCHEMA, create=create, keyring=keyring)
            self._application = OfferlogApplication(
                database_url, SCHEMA, library_settings, folder=folder, keyring=keyring
            )
            held.callback(self._application.close)
            seal_clear_texts(self._application)
            with store_reached(self._application.log.datastore):
                convert_first_format(self._application, on_upgrade)
            self._resources = held.pop_all()

    def ports(
        self,
        clock: Clock,
        policy: RefusalPolicy,
        webhook_networks: Sequence[Network] = (),
        rules: Rules | None = None,
    ) -> Store:
        """Put PostgreSQL behind every port of the application."""
        application = self._application
        log = PostgresLog(application, TextQuota(application, policy.text_bytes_a_day), rules)
        fence, service_log = PostgresFence(application), PostgresServiceLog(application)
        reads = PostgresReadSide(application, clock)
        keys = PostgresKeys(application, clock)
        return Store(
            log=log,
            fence=fence,
            service_log=service_log,
            policies=PostgresPolicies(application),
            short_signals=PostgresParkedShortSignals(application),
            erasures=PostgresErasures(application),
            streams=PostgresStreamReader(application),
            replays=PostgresReplays(application),
            visitors=PostgresVisitorReader(application),
            reads=reads,
            performance=PostgresPerformance(application),
            offers=PostgresOfferReads(application),
            recent_visitors=PostgresRecentVisitors(application),
            refusals=PostgresRefusalLog(application),
            refusal_counts=PostgresRefusalCounter(application),
            proofs=PostgresProofs(application),
            dead_letters=PostgresDeadLetters(application),
            rebuilds=PostgresRebuilds(application),
            kinds=PostgresEventKinds(application),
            keys=keys,
            sessions=PostgresSessions(application, clock, keys.note_use),
            master_keys=PostgresMasterKeys(application, fence, service_log, clock),
            organizations=PostgresOrganizations(application),
            organization_visitors=PostgresOrganizationVisitors(application),
            changes=PostgresChanges(application),
            event_source=PostgresEventSource(application),
            stream_source=PostgresStreamSource(application),
            subscriptions=PostgresSubscriptions(application, clock),
            webhooks=PostgresWebhooks(application, clock),
            make_webhook_sender=HttpSenders(webhook_networks),
            figures=PostgresStoreFigures(application, clock, reads),
            troubles=application.troubles,
        )

    def evidence(
        self,
        clock: Clock,
        audit_key: Path,
        checkpoints: Path | None,
        period: timedelta,
        witnesses: Sequence[CosigningWitness] = (),
    ) -> Evidence:
        """Put the tree over the log, the key file and the folder of checkpoints behind the evidence."""
        return Evidence(
            PostgresSealedTree(self._application, clock),
            clock,
            source=PostgresBundleSource(self._application),
            find_signer=lambda: read_audit_key(audit_key),
            check=check_signature,
            archive=None if checkpoints is None else CheckpointFolder(checkpoints),
            period=period,
            witnesses=witnesses,
        )

    def slices(self) -> SliceSource:
        """Return the log in slices."""
        return PostgresSliceSource(self._application)

    def projector(self, trace: Trace = UNTRACED) -> Projector:
        """Start a projector of this process; close it before the store."""
        return PostgresProjector(self._application, trace=trace)

    def replica(self, folder: Path, max_age: timedelta, clock: Clock) -> SuppressionReplica:
        """Start a local copy of the suppression list in a folder; close it before the store."""
        return SuppressionReplica(self._application, folder, max_age, clock)

    def release_lease(self) -> None:
        """Release the lease on the embedded server only. A forked process calls it in place of `close`."""
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Close all connections, and release the embedded server."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_offerlog(
    *,
    data: Path | str | None = None,
    database_url: str | None = None,
    keyring: Path | str | Keyring | None = None,
    create: bool = True,
    organization: str | None = None,
    rules: Rules | None = None,
    clock: Clock | None = None,
    keep_deadlines: bool = True,
    project: bool = True,
    replica: Path | None = None,
    replica_max_age: timedelta = timedelta(seconds=5),
    library_settings: dict[str, str] | None = None,
    trace: Trace = UNTRACED,
    refusal_policy: RefusalPolicy | None = None,
    on_upgrade: Callable[[RebuildProgress], None] | None = None,
    audit_key: Path | str | None = None,
    checkpoints: Path | str | None = None,
    application_name: str | None = None,
    webhook_networks: str | None = None,
) -> Offerlog:
    """Open the service; close it, or use it as a context manager.

    Arguments that are not given come from the environment and the settings file, as for the command
    (docs/command-line.md). So without arguments this opens what the command opens. An argument wins over
    both: with `data` or `database_url`, neither `OFFERLOG_DATA` nor `OFFERLOG_DATABASE_URL` counts.

    Args:
        data: The embedded store's folder. Default: `OFFERLOG_DATA`, else the platform's place for it.
        database_url: A PostgreSQL server (15 or newer) to use instead of the embedded one. Default:
            `OFFERLOG_DATABASE_URL`.
        keyring: The file with the key that encrypts the keys of the store, outside the data folder. It is
            made at the first start; without it nobody can read the store any more. Or your own `Keyring`.
            Default: `OFFERLOG_KEYRING`, else the platform's place for settings.
        create: Whether to make a store where there is none. False opens an existing store only: no folder,
            database, schema or table is made, and `StoreMissingError` says that there is none (its
            `where` names the place). A store of an older offerlog is still brought up to date.
        organization: The organization of calls that name none. Default: `OFFERLOG_ORGANIZATION`, else
            `default`.
        rules: The periods that an operator may set. Default: those of the environment.
        clock: The service's clock; the machine's unless given.
        keep_deadlines: Whether to record due time-outs in the background while the service is open.
        project: Whether this process may run the projector; without one anywhere, no projection moves.
        replica: A folder for a local copy of the suppression list (`local_suppressions`); None for none.
            The call returns when the copy has been made.
        replica_max_age: How old the copy may be before its look-ups are refused.
        library_settings: Settings of the eventsourcing library, by its names for them.
        trace: Follows commits and the pages that projections apply.
        refusal_policy: What the refusal log keeps, and for how long. Default: that of the environment, else
            30 days, and 64 MiB of text a day for an organization.
        on_upgrade: Called with the progress, several times a second, while a store of offerlog 0.1 is
            upgraded. None to log it.
        audit_key: The file with the key that signs checkpoints, as `offerlog audit keygen` made it; it need
            not exist. Default: `OFFERLOG_AUDIT_KEY`, else `audit.key` beside the keyring.
        checkpoints: A folder outside of the store for signed checkpoints and the tiles of the tree. Default:
            `OFFERLOG_CHECKPOINTS`, else checkpoints stay in the store alone.
        application_name: Name of this process among the connections of the store, as PostgreSQL's
            `pg_stat_activity` and `offerlog status` show it. Default: that of the address, else `offerlog`.
        webhook_networks: Networks to which webhooks may be sent although they are not public, separated by
            commas; there, `http` is enough. Default: `OFFERLOG_WEBHOOK_NETWORKS`, else none.

    Raises:
        ArgumentError: Both `data` and `database_url` are given.
        ValueError: `webhook_networks` cannot be read.
        SettingsError: A setting has a value that it cannot have, in the environment or the settings file.
        OrganizationNameError: The organization's name is not valid.
        StoreMissingError: There is no store, and `create` is false.
        KeyringError: The keyring cannot be used, or does not hold a key of this store.
        ForeignFolderError: There is no store, and the folder holds other files (an `EmbeddedError`).
        FolderNotPrivateError: Others can write to the folder (an `EmbeddedError`).
        EmbeddedError: The embedded server cannot be started or reached; the message says why.
        ServerAddressError: `database_url` cannot be read; the message does not quote it.
        StoreUnavailableError: The server at `database_url` cannot be reached.
        SchemaTooNewError: The database was made by a newer offerlog.
        ConversionError: A store of offerlog 0.1 cannot be upgraded, or its counts differ afterwards.
        ReplicaFolderError: The folder `replica` is not private, cannot be written, or is full.
        ReplicaStaleError: The local copy could not be made in five minutes.
    """
    if data is not None and database_url is not None:
        raise ArgumentError("data", "give data or database_url, not both")
    settings = read_store_settings()
    if data is None and database_url is None:
        database_url = settings.database_url
        data = settings.data
    organization = settings.organization if organization is None else organization
    networks = read_networks(settings.webhook_networks if webhook_networks is None else webhook_networks)
    policy = settings.refusal_policy if refusal_policy is None else refusal_policy
    check_organization(organization)
    if keyring is None or isinstance(keyring, Path | str):
        keyring = FileKeyring(settings.keyring if keyring is None else Path(keyring))
    if audit_key is None:
        audit_key = settings.audit_key or usual_audit_key(keyring)
    folder = settings.checkpoints if checkpoints is None else checkpoints
    with ExitStack() as held:
        store = held.enter_context(
            OpenStore(
                Path(data) if data is not None else None,
                database_url,
                keyring=keyring,
                create=create,
                library_settings=library_settings,
                on_upgrade=on_upgrade,
                application_name=application_name,
            )
        )
        local, clock = None, clock or SystemClock()
        if replica is not None:
            local = store.replica(replica, replica_max_age, clock)
            held.callback(local.close)
            local.await_fresh(_COPY_SECONDS)
        resources, rules = ExitStack(), rules or settings.rules
        offerlog = Offerlog(
            store.ports(clock, policy, networks, rules),
            clock=clock,
            rules=rules,
            organization=organization,
            resources=resources,
            projector=store.projector(trace) if project else None,
            replica=local,
            trace=trace,
            announce=announced,
            refusal_policy=policy,
            webhook_retention=settings.webhook_retention,
            slices=store.slices(),
            evidence=store.evidence(
                clock,
                Path(audit_key).expanduser(),
                None if folder is None else Path(folder),
                settings.checkpoint_period,
                read_witnesses(settings.witnesses or ""),
            ),
            erasure_list=None if folder is None else ErasureFile(Path(folder)),
        )
        resources.push(held.pop_all())
    guard_against_fork(offerlog, store.release_lease)
    if keep_deadlines:
        offerlog.keep_deadlines()
    return offerlog


def usual_audit_key(keyring: Keyring) -> Path:
    """Return the place of the key that signs checkpoints unless one is named: beside the keyring."""
    place = keyring.path if isinstance(keyring, FileKeyring) else default_keyring()
    return place.with_name(USUAL_NAME)
