"""The only place that opens services: over the embedded store or your own server, or over several."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.organizations import check_organization
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.shards import Directory, NotOverShardsError
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.context import Rules
from offerlog_domain.errors import ArgumentError
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.evidence.audit_key import USUAL_NAME
from offerlog_infrastructure.evidence.witness_settings import read_witnesses
from offerlog_infrastructure.forking import guard_against_fork
from offerlog_infrastructure.keyring.file_keyring import FileKeyring, default_keyring
from offerlog_infrastructure.opened_store import SCHEMA, OpenStore
from offerlog_infrastructure.settings import StoreSettings, read_store_settings
from offerlog_infrastructure.webhooks.networks import read_networks
from offerlog_infrastructure.wiring import ServiceOptions, make_service, make_sharded_service

_COPY_SECONDS: Final = 300.0
"""Seconds that the first copy of the suppression list may take."""

__all__ = ["SCHEMA", "OpenStore", "open_offerlog", "usual_audit_key"]


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
        ShardError: The store is a shard, and not the home of its installation.
        NotOverShardsError: The store is the home of several, and `replica` is given.
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
    networks = settings.webhook_networks if webhook_networks is None else webhook_networks
    if keyring is None or isinstance(keyring, Path | str):
        keyring = FileKeyring(settings.keyring if keyring is None else Path(keyring))
    usual = _read_options(settings, keyring, organization, networks)
    options = replace(
        usual,
        clock=clock or usual.clock,
        rules=rules or usual.rules,
        library_settings=library_settings,
        application_name=application_name,
        trace=trace,
        project=project,
        policy=usual.policy if refusal_policy is None else refusal_policy,
        audit_key=usual.audit_key if audit_key is None else Path(audit_key).expanduser(),
        checkpoints=usual.checkpoints if checkpoints is None else Path(checkpoints),
    )
    offerlog: Offerlog
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
        resources = ExitStack()
        if store.is_home:
            if replica is not None:
                raise NotOverShardsError("a local copy of the suppression list")
            offerlog = make_sharded_service(store, options, held, resources)
        else:
            local = None
            if replica is not None:
                local = store.replica(replica, replica_max_age, options.clock)
                held.callback(local.close)
                local.await_fresh(_COPY_SECONDS)
            offerlog = make_service(store, options, resources, local)
        resources.push(held.pop_all())
    guard_against_fork(offerlog, store.release_lease)
    if keep_deadlines:
        offerlog.keep_deadlines()
    return offerlog


def open_restored(
    database_url: str, keyring: FileKeyring, organization: str | None, directory: Directory
) -> Offerlog:
    """Open the service over servers that are being restored, whose home does not have its directory yet.

    Args:
        database_url: The server of the home.
        keyring: The file with the keys of the stores.
        organization: The organization of calls that name none; None for that of the settings.
        directory: The directory that the home will have.

    Raises:
        OfferlogError: See `open_offerlog`.
    """
    settings = read_store_settings()
    organization = settings.organization if organization is None else organization
    options = _read_options(settings, keyring, organization, settings.webhook_networks)
    with ExitStack() as held:
        store = held.enter_context(
            OpenStore(None, database_url, keyring=keyring, create=False, directory=directory)
        )
        resources = ExitStack()
        offerlog = make_sharded_service(store, options, held, resources)
        resources.push(held.pop_all())
    return offerlog


def _read_options(
    settings: StoreSettings, keyring: Keyring, organization: str, networks: str | None
) -> ServiceOptions:
    """Return the options that the environment and the settings file state.

    Raises:
        OrganizationNameError: The organization's name is not valid.
        ValueError: The networks cannot be read.
    """
    check_organization(organization)
    return ServiceOptions(
        clock=SystemClock(),
        rules=settings.rules,
        organization=organization,
        keyring=keyring,
        library_settings=None,
        application_name=None,
        trace=UNTRACED,
        project=True,
        policy=settings.refusal_policy,
        webhook_networks=tuple(read_networks(networks)),
        webhook_retention=settings.webhook_retention,
        audit_key=Path(settings.audit_key or usual_audit_key(keyring)).expanduser(),
        checkpoints=settings.checkpoints,
        checkpoint_period=settings.checkpoint_period,
        witnesses=tuple(read_witnesses(settings.witnesses or "")),
    )


def usual_audit_key(keyring: Keyring) -> Path:
    """Return the place of the key that signs checkpoints unless one is named: beside the keyring."""
    place = keyring.path if isinstance(keyring, FileKeyring) else default_keyring()
    return place.with_name(USUAL_NAME)
