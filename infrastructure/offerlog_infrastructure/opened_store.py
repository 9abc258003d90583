"""The wiring of one store: PostgreSQL behind every port of the application."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from offerlog_application.evidence.evidence import CosigningWitness, Evidence
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.keyring import Keyring
from offerlog_application.ports.projections import Projector
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.sealed_tree import SealedTree
from offerlog_application.ports.shards import (
    HOME,
    Directory,
    HeldSlices,
    MovedSlice,
    MoveProgress,
    ShardError,
)
from offerlog_application.ports.slices import SliceSource
from offerlog_application.ports.store import Store
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.sharding.checking import StoreContent
from offerlog_domain.context import Rules
from offerlog_infrastructure.embedded import EmbeddedServer, default_data_dir
from offerlog_infrastructure.evidence.audit_key import read_audit_key
from offerlog_infrastructure.evidence.checkpoint_folder import CheckpointFolder
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.keyring.file_keyring import FileKeyring
from offerlog_infrastructure.postgres.action_map_policies import PostgresPolicies
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
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
from offerlog_infrastructure.postgres.reads.offer_parts import PostgresOfferParts
from offerlog_infrastructure.postgres.reads.offers import PostgresOfferReads
from offerlog_infrastructure.postgres.reads.performance import PostgresPerformance
from offerlog_infrastructure.postgres.reads.recent_parts import PostgresRecentParts
from offerlog_infrastructure.postgres.reads.recent_visitors import PostgresRecentVisitors
from offerlog_infrastructure.postgres.reads.stream_reader import PostgresStreamReader
from offerlog_infrastructure.postgres.reads.stream_source import PostgresStreamSource
from offerlog_infrastructure.postgres.reads.visitor_reader import PostgresVisitorReader
from offerlog_infrastructure.postgres.refusals.clear_texts import seal_clear_texts
from offerlog_infrastructure.postgres.refusals.counts import PostgresRefusalCounter
from offerlog_infrastructure.postgres.refusals.refusal_log import PostgresRefusalLog
from offerlog_infrastructure.postgres.refusals.text_quota import TextQuota
from offerlog_infrastructure.postgres.sessions import PostgresSessions
from offerlog_infrastructure.postgres.shards.content import read_content
from offerlog_infrastructure.postgres.shards.directory import (
    PostgresDirectory,
    check_shard,
    read_held_slices,
    read_identity,
)
from offerlog_infrastructure.postgres.shards.interrupted_moves import InterruptedMoves
from offerlog_infrastructure.postgres.shards.moving import SliceMover
from offerlog_infrastructure.postgres.shards.setup import add_shard, make_home
from offerlog_infrastructure.postgres.shards.slice_keeping import keep_slices
from offerlog_infrastructure.postgres.status.store_figures import PostgresStoreFigures
from offerlog_infrastructure.postgres.tree.bundle_source import PostgresBundleSource
from offerlog_infrastructure.postgres.tree.sealed_tree import PostgresSealedTree
from offerlog_infrastructure.postgres.webhooks.store import PostgresWebhooks
from offerlog_infrastructure.replica import SuppressionReplica
from offerlog_infrastructure.server_address import STORE_SCHEMA, add_name, add_password_of, check_address
from offerlog_infrastructure.webhooks.networks import Network
from offerlog_infrastructure.webhooks.senders import HttpSenders

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
        home: The home of the installation whose shard the store is; None for a home, and for a store that is
            the only one.
        directory: The directory of a home that is being restored, and does not have its own yet.

    Raises:
        ShardError: The store is a shard of an installation, and no home is given.
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
        home: "OpenStore | None" = None,
        directory: Directory | None = None,
    ) -> None:
        self._home = home
        self._directory = directory
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
            if home is not None:
                database_url = add_password_of(database_url, home.application.dsn)
            if application_name is not None:
                database_url = add_name(database_url, application_name)
            with server_reached():
                migrate(database_url, SCHEMA, create=create, keyring=keyring)
            self._application = OfferlogApplication(
                database_url,
                SCHEMA,
                library_settings,
                folder=folder,
                keyring=keyring,
                home_keys=None if home is None else home.application.keys,
            )
            held.callback(self._application.close)
            self._identity = read_identity(self._application)
            if home is None and self._identity is not None and self._identity.number != HOME:
                raise ShardError(
                    f"this store is shard {self._identity.number} of several: open the home of them all"
                )
            seal_clear_texts(self._application)
            with store_reached(self._application.log.datastore):
                convert_first_format(self._application, on_upgrade)
            self._resources = held.pop_all()

    @property
    def application(self) -> OfferlogApplication:
        """The log."""
        return self._application

    @property
    def is_home(self) -> bool:
        """True if the store is the home of an installation of several."""
        return self._identity is not None and self._home is None

    def check_number(self, number: int) -> None:
        """Check that the store is the shard of this number in the installation of its home.

        Raises:
            ShardError: It is another one.
        """
        of_home = None if self._home is None else self._home._identity  # noqa: SLF001 - the same class
        check_shard(self._identity, of_home, number)

    def watch_server(self, number: int) -> None:
        """Watch from now on whether the server of this shard answers; see `find_silence`."""
        self._application.watch_server("the home" if number == HOME else f"shard {number}")

    def find_silence(self) -> StoreUnavailableError | None:
        """Return why the server is known not to answer; None while it answers, or is not watched."""
        return self._application.find_silence()

    def become_home(self) -> None:
        """Make the store the home of an installation of several; see `make_home`."""
        make_home(self._application)

    def add_shard(self, target: "OpenStore", url: str, slices: Sequence[int]) -> int:
        """Make another store a shard of this home, with some of its slices; returns its number."""
        return add_shard(self._application, target.application, url, slices)

    def content(self) -> StoreContent:
        """Read the content of the store, as far as several stores must agree; see `read_content`."""
        return read_content(self._application)

    def count_visitors(self) -> int:
        """Count the visitors that the store holds.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return sum(one.visitors for one in PostgresOrganizations(self._application).contents())

    def directory(self) -> Directory:
        """Return the directory of a home."""
        return self._directory or PostgresDirectory(self._application)

    def read_owned(self) -> frozenset[int]:
        """Read the slices that the store owns now.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        with store_reached(self._application.log.datastore):
            return self._application.log.select_epoch_state().slices

    def read_held_slices(self) -> HeldSlices:
        """Read the slices that the store has now; see `read_held_slices`.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return read_held_slices(self._application)

    def keep_slices(self) -> AbstractContextManager[Callable[[], None]]:
        """Keep slices from moving to the store or away from it; see `keep_slices`."""
        return keep_slices(self._application)

    def move_slice(
        self,
        shards: Mapping[int, "OpenStore"],
        number: int,
        target: int,
        on_progress: Callable[[MoveProgress], None],
    ) -> MovedSlice:
        """Move a slice to a shard of this home; see `SliceMover.move`."""
        return self._mover(shards, number, on_progress).move(target)

    def undo_move(self, shards: Mapping[int, "OpenStore"], number: int) -> int:
        """Undo the move of a slice between shards of this home; see `SliceMover.undo`."""
        return self._mover(shards, number, lambda _: None).undo()

    def moves_upkeep(self, begin_to_open: Callable[[int], object]) -> InterruptedMoves:
        """Return what ends the interrupted moves of this home; `begin_to_open` opens another shard."""
        return InterruptedMoves(self._application, begin_to_open)

    def add_to(self, moves: InterruptedMoves, number: int) -> None:
        """Let the upkeep of moves look at this store, the shard of a number."""
        moves.add_store(number, self._application)

    def _mover(
        self,
        shards: Mapping[int, "OpenStore"],
        number: int,
        on_progress: Callable[[MoveProgress], None],
    ) -> SliceMover:
        applications = {one: shard.application for one, shard in shards.items()}
        return SliceMover(self._application, applications, number, on_progress)

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
            offer_parts=PostgresOfferParts(application),
            recent_visitors=PostgresRecentVisitors(application),
            recent_parts=PostgresRecentParts(application),
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
            archiver=PostgresArchiver(application, clock),
        )

    def tree(self, clock: Clock) -> SealedTree:
        """Return the tree over the log."""
        return PostgresSealedTree(self._application, clock)

    def evidence(
        self,
        clock: Clock,
        audit_key: Path,
        checkpoints: Path | None,
        period: timedelta,
        witnesses: Sequence[CosigningWitness] = (),
        *,
        number: int = HOME,
        tree: SealedTree | None = None,
    ) -> Evidence:
        """Put a tree, by default that over the log, the key file and the folder of checkpoints behind it."""
        return Evidence(
            tree or self.tree(clock),
            clock,
            source=PostgresBundleSource(self._application),
            find_signer=lambda: read_audit_key(audit_key),
            check=check_signature,
            archive=None if checkpoints is None else CheckpointFolder(checkpoints),
            period=period,
            witnesses=witnesses,
            number=number,
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
