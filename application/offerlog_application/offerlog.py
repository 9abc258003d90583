"""The service in process: everything offerlog does, as methods of one thread-safe object."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Self

from offerlog_application.access.key_uses import KeyUseKeeper
from offerlog_application.aio import AsyncOfferlog
from offerlog_application.erasure.erasing import Eraser
from offerlog_application.erasure.keeper import keep_erasures
from offerlog_application.erasure.organizations import OrganizationDeletion
from offerlog_application.erasure.repeating import ErasureRepetition
from offerlog_application.erasure.rights import VisitorRights
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.feed.access import FeedAccess
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import ErasureList
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.projections import Projector
from offerlog_application.ports.read_models import Freshness, ProjectionStatus
from offerlog_application.ports.read_side import Replica
from offerlog_application.ports.shards import HOME, ShardProgress
from offerlog_application.ports.slices import SliceSources
from offerlog_application.ports.store import Store
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_application.ports.waiting import SILENT, WaitAnnouncer
from offerlog_application.projections.awaiting import PositionWaits, Waits
from offerlog_application.projections.counted import CountsOfStore, FollowedCounts
from offerlog_application.projections.upkeep import ProjectionUpkeep
from offerlog_application.reading.analysis import Analysis
from offerlog_application.reading.exports import Exports
from offerlog_application.reading.histories import Histories
from offerlog_application.reading.issued_reports import IssuedReports
from offerlog_application.reading.stored_reads import StoredReads
from offerlog_application.recording.action_map_policies import ActionMapPolicies
from offerlog_application.recording.deadline_worker import keep_deadlines as start_deadlines
from offerlog_application.recording.expiry import Expired, Expiry
from offerlog_application.recording.offers import OfferService
from offerlog_application.recording.short_signal_release import ShortSignalRelease
from offerlog_application.recording.write_side import WriteSide
from offerlog_application.recording.writer import GroupCommitWriter, WriterHealth
from offerlog_application.recording.writers import Writer
from offerlog_application.refusals.access import RefusalAccess
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.refusals.upkeep import keep_refusals_tidy
from offerlog_application.schedule.periodic_thread import PeriodicThread
from offerlog_application.status.operations import Operations
from offerlog_application.webhooks.webhooks import KEEP_DEAD_LETTERS, Webhooks
from offerlog_domain.context import Rules
from offerlog_domain.outcomes import Reason


class Offerlog(WriteSide, StoredReads, Histories, RefusalAccess, ProjectionUpkeep, VisitorRights, FeedAccess):
    """The log of web chat offers, in process; thread-safe. Made by `open_offerlog`.

    Every method works for the organization of the service unless the call names another.

    Attributes:
        organization: The organization of the service.
        aio: The same service for asyncio: methods to await.
        keys: The API keys of the HTTP service.
        master_keys: The keys of the keyring, as this store uses them.
        sessions: The sessions of the dashboard.
        changes: The action maps of the newest events.
        counts: The counts of reports, for those who follow them.
        feed: The feed of events.
        exports: Events and actions as tables, reports as of a position.
        subscriptions: Cursors that are kept for readers of the feed.
        organizations: The organizations of the store.
        policies: The policies of action maps.
        webhooks: Addresses to which events are sent.
        evidence: Checkpoints, proofs and the verification of the log; None for a log in memory.
        slices: The log in slices, for a replay elsewhere; None for a log in memory.
        archiver: Moves cold streams into the archive; None for a log in memory.
        organization_deletion: Erases all visitors of an organization.
        erasure_repetition: Repeats erasures in a store that was restored.
        issued_reports: The reports that were given out.
        analysis: Questions of analysts: ranges, names of action maps, where offers end.
        operations: Figures of the store that operators watch.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        rules: Rules,
        organization: str,
        resources: AbstractContextManager[object] | None = None,
        projector: Projector | None = None,
        replica: Replica | None = None,
        trace: Trace = UNTRACED,
        announce: WaitAnnouncer = SILENT,
        refusal_policy: RefusalPolicy | None = None,
        webhook_retention: timedelta = KEEP_DEAD_LETTERS,
        evidence: Evidence | None = None,
        slices: SliceSources | None = None,
        erasure_list: ErasureList | None = None,
        writer: Writer | None = None,
        waits: Waits | None = None,
    ) -> None:
        """Build the service over its ports.

        Args:
            store: The ports of one store.
            clock: The service's clock.
            rules: The periods that an operator may set.
            organization: The organization of calls that do not name one.
            resources: What the ports need, such as an embedded server. `close` leaves it last.
            projector: This process's projector; None where the process does not run one. `close` closes it.
            replica: The local copy of the suppression list, if there is one.
            trace: Follows commits.
            announce: Makes the waits of callers that are announced once they last.
            refusal_policy: How long refusals are kept; 30 days unless given.
            webhook_retention: How long dead letters of webhooks are kept; zero for ever.
            evidence: The tree over the log; None for a log that has none.
            slices: The log in slices; None for a log that has none.
            erasure_list: The list of erasures outside of the store, if there is one.
            writer: Made for `store.log` unless given. One that is given, as for several shards, keeps the
                deadlines itself. `close` closes it.
            waits: Waits for positions; made unless given.
        """
        StoredReads.__init__(
            self,
            store.reads,
            store.performance,
            store.dead_letters,
            organization=organization,
            replica=replica,
        )
        self._writer: Writer = writer or GroupCommitWriter(store.log, clock, rules, trace=trace)
        self._expiry: Expiry | None = None
        if isinstance(self._writer, GroupCommitWriter):
            short_signals = ShortSignalRelease(self._writer, store.short_signals, store.log)
            self._expiry = Expiry(self._writer, store.reads, short_signals)
        WriteSide.__init__(self, OfferService(self._writer, store.log), announce)
        RefusalAccess.__init__(
            self,
            store.refusals,
            store.refusal_counts,
            refusal_policy or RefusalPolicy(),
            clock,
            self._service.digest,
        )
        Histories.__init__(
            self, store.streams, store.visitors, store.refusals, self._service.name, self._service.digest
        )
        ProjectionUpkeep.__init__(self, store.proofs, store.dead_letters, store.rebuilds, store.kinds)
        self._eraser = Eraser(
            store.erasures,
            store.fence,
            store.service_log,
            clock,
            wait=self.wait,
            find_signer=_no_signer if evidence is None else evidence.find_signer,
            erasure_list=erasure_list,
        )
        self.erasure_repetition = ErasureRepetition(store.organization_visitors, self._eraser)
        self.organization_deletion = OrganizationDeletion(
            store.organization_visitors,
            self._eraser,
            store.keys,
            store.service_log,
            clock,
            webhooks=store.webhooks,
            subscriptions=store.subscriptions,
            policies=store.policies,
            find_end=store.event_source.find_end,
        )
        VisitorRights.__init__(self, store.erasures, self._eraser, clock, self._service.digest)
        FeedAccess.__init__(self, store.event_source, store.subscriptions, clock, organization)
        self.webhooks = Webhooks(
            store.webhooks,
            self.feed,
            clock,
            organization,
            store.make_webhook_sender,
            retention=webhook_retention,
        )
        sources = store.event_source, store.stream_source, store.replays
        self.exports = Exports(self.feed, *sources, organization)
        self._resources = nullcontext() if resources is None else resources
        self._log = store.log
        self._troubles = store.troubles
        self._projector = projector
        self._waits: Waits = waits or PositionWaits(store.reads.position, projector, announce)
        self.policies = ActionMapPolicies(store.policies, store.service_log, clock, organization)
        self.aio = AsyncOfferlog(self, self._waits, store.log.last)
        self.changes = store.changes
        self.counts: FollowedCounts = CountsOfStore(self.proof, store.changes)
        self.keys = store.keys
        self.sessions = store.sessions
        self.master_keys = store.master_keys
        self.organizations = store.organizations
        self.operations = Operations(store.figures, rules)
        self.issued_reports = IssuedReports(
            store.performance, store.proofs, store.service_log, store.replays, clock
        )
        self.analysis = Analysis(
            store.offers,
            store.recent_visitors,
            store.performance,
            store.dead_letters,
            clock,
            open_action_ttl=rules.open_action_ttl,
            digest=self._service.digest,
            organization=organization,
        )
        self._deadline_keeper: PeriodicThread | None = None
        self._key_keeper: KeyUseKeeper | None = None
        self._refusal_keeper: PeriodicThread | None = None
        self._checkpoint_keeper: PeriodicThread | None = None
        self.evidence, self.slices, self.archiver = evidence, slices, store.archiver
        self._erasure_keeper: PeriodicThread | None = None

    def expire(self) -> Expired:
        """Record the time-outs that are due and end the parkings that are over, in all organizations.

        Releases the short signals whose action is known by now. Returns once the projections show it all.
        """
        assert self._expiry is not None  # noqa: S101 - a service with a given writer replaces this method
        self.catch_up()
        expired = self._expiry.expire(self.wait)
        self.wait(expired.position)
        return expired

    def wait(self, position: LogPosition | None, timeout: float = 60.0) -> None:
        """Wait until every projection shows a position of the log (read your own writes).

        Args:
            position: As a receipt gives it; None returns at once.
            timeout: Seconds without any progress.

        Raises:
            ProjectionsBehindError: They made no progress for that long.
            StoreUnavailableError: The store could not be reached for that long.
            ClosedError: The service was closed meanwhile.
        """
        if position is not None:
            self._waits.wait(position, timeout)

    def catch_up(self, *, partial: bool = False) -> None:
        """Wait until every projection shows all that is in the log now.

        Args:
            partial: Of several servers, leave out those that cannot be reached.

        Raises:
            ProjectionsBehindError: They made no progress for a minute.
        """
        del partial  # there is one server
        self.wait(self._log.last())

    def position(self) -> int:
        """Return the position that all projections have reached."""
        return self._reads.position()

    def projections(self) -> Sequence[ProjectionStatus]:
        """Return the position and the lag of every projection."""
        return self._reads.status()

    def servers(self) -> Collection[int]:
        """Return the numbers of the servers that share the visitors; 0 for the only one."""
        return (HOME,)

    def services_of_servers(self) -> "Mapping[int, Offerlog | StoreUnavailableError]":
        """Return the service over each server by its number; its error where it cannot be reached."""
        return {HOME: self}

    def progress_of_servers(self) -> Sequence[ShardProgress]:
        """Return the projections by server, without waiting for a server that does not answer."""
        return [ShardProgress(HOME, self.projections())]

    def freshness(self) -> Freshness:
        """Return the position and the age of the suppression list; cheap, also far behind the log."""
        return self._reads.freshness()

    def freshness_of(self, shards: Collection[int]) -> Freshness:
        """Return the position and the age of the suppression lists of some servers (see `shards_of`)."""
        del shards
        return self.freshness()

    def keep_deadlines(self) -> None:
        """Start the upkeep in the background: time-outs, checkpoints, refusals, erasures, keys, webhooks."""
        if self._deadline_keeper is None and self._expiry is not None:
            if self.evidence is not None:
                self._checkpoint_keeper = self.evidence.keep_checkpoints()
            self._deadline_keeper = start_deadlines(self._expiry, self.wait)
            self.keep_key_uses()
            self._refusal_keeper = keep_refusals_tidy(self._refusal_upkeep)
            self._erasure_keeper = keep_erasures(self._eraser)
            self.webhooks.keep_delivering()

    def keep_key_uses(self) -> None:
        """Store from time to time when keys were used in this process; `keep_deadlines` does it, too."""
        if self._key_keeper is None:
            self._key_keeper = KeyUseKeeper(self.keys, self.sessions)

    @property
    def keeps_deadlines(self) -> bool:
        """True if this process records due time-outs in the background."""
        return self._deadline_keeper is not None

    @property
    def runs_projector(self) -> bool:
        """True if this process runs the projector."""
        return self._projector is not None

    def close(self) -> None:
        """Write what was submitted, end all waits with `ClosedError`, then release the store."""
        with self._resources:
            self._waits.close()  # first: the keeper of deadlines may wait for a position
            self.webhooks.close()
            self.feed.close()
            if self._deadline_keeper is not None:
                self._deadline_keeper.close()
            if self._refusal_keeper is not None:
                self._refusal_keeper.close()
            if self._checkpoint_keeper is not None:
                self._checkpoint_keeper.close()
            if self.evidence is not None:
                self.evidence.close()
            if self._erasure_keeper is not None:
                self._erasure_keeper.close()
            if self._key_keeper is not None:
                self._key_keeper.close()
            self._writer.close()
            self.aio._close()  # noqa: SLF001 - not for callers: it is closed with the service
            self._log.close()
            if self._projector is not None:
                self._projector.close()
            self._reads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def queue_depth(self) -> int:
        """Return the number of signals and offers that wait to be written in this process."""
        return self._writer.depth

    def writer_health(self) -> WriterHealth:
        """Return the state of the writer of this process, without asking the store."""
        return self._writer.health

    def store_trouble(self) -> StoreUnavailableError | None:
        """Return the error that keeps this process from writing to the store now; None if there is none.

        The writer has noticed it within the last seconds, or the projector at its last page. Does not ask the
        store.
        """
        if (trouble := self._writer.health.trouble) is not None:
            return trouble
        error = self._projector.error if self._projector is not None else None
        return error if isinstance(error, StoreUnavailableError) else None

    def store_failures(self) -> Mapping[StoreTrouble, int]:
        """Return the number of calls of the store that failed in this process, by reason."""
        return self._troubles.totals()

    def blocked_offers(self) -> Mapping[Reason, int]:
        """Return the number of offers that this process has blocked, by reason."""
        return dict(self._service.blocked)


def _no_signer() -> None:
    """Return None: there is no key to sign with."""
