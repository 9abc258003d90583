"""The service in process: everything offerlog does, as methods of one thread-safe object."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from types import TracebackType
from typing import Self

from offerlog_application.aio import AsyncOfferlog
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.projections import Projector
from offerlog_application.ports.read_models import Freshness, ProjectionStatus
from offerlog_application.ports.read_side import Replica
from offerlog_application.ports.store import Store
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.ports.tracing import UNTRACED, Trace
from offerlog_application.ports.waiting import SILENT, WaitAnnouncer
from offerlog_application.projections.awaiting import PositionWaits
from offerlog_application.projections.upkeep import ProjectionUpkeep
from offerlog_application.reading.audit import History, history
from offerlog_application.reading.stored_reads import StoredReads
from offerlog_application.recording.deadline_worker import DeadlineKeeper
from offerlog_application.recording.expiry import Expired, Expiry
from offerlog_application.recording.offers import OfferService
from offerlog_application.recording.write_side import WriteSide
from offerlog_application.recording.writer import GroupCommitWriter, WriterHealth
from offerlog_application.refusals.access import RefusalAccess
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.refusals.upkeep import RefusalKeeper
from offerlog_domain.context import Rules
from offerlog_domain.identity import parse_action_map_id, parse_visitor_key
from offerlog_domain.outcomes import Reason


class Offerlog(WriteSide, StoredReads, RefusalAccess, ProjectionUpkeep):
    """The log of web chat offers, in process; thread-safe. Made by `open_offerlog`.

    Every method works for the organization of the service unless the call names another.

    Attributes:
        organization: That organization.
        aio: The same service for asyncio: methods to await.
        keys: The API keys of the HTTP service.
        changes: The action maps that the newest events are about.
        organizations: The organizations that the store knows.
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
    ) -> None:
        """Build the service over its ports.

        Args:
            store: The ports of one store.
            clock: The service's clock.
            rules: The periods that an operator may set.
            organization: The organization of calls that name none.
            resources: Left at the end of `close`: what the ports stand on.
            projector: This process's projector; None where the process does not run one. `close` closes it.
            replica: The local copy of the suppression list, if there is one.
            trace: Follows commits.
            announce: Makes the waits of callers that are announced once they last.
            refusal_policy: How long refusals are kept; 30 days unless given.
        """
        StoredReads.__init__(
            self,
            store.reads,
            store.performance,
            store.dead_letters,
            organization=organization,
            replica=replica,
        )
        RefusalAccess.__init__(
            self, store.refusals, store.refusal_counts, refusal_policy or RefusalPolicy(), clock
        )
        ProjectionUpkeep.__init__(self, store.proofs, store.dead_letters, store.rebuilds, store.kinds)
        self._resources = nullcontext() if resources is None else resources
        self._log = store.log
        self._streams = store.streams
        self._troubles = store.troubles
        self._projector = projector
        self._writer = GroupCommitWriter(store.log, clock, rules, trace=trace)
        WriteSide.__init__(self, OfferService(self._writer, store.log), announce)
        self._expiry = Expiry(self._writer, store.reads)
        self._waits = PositionWaits(store.reads.position, projector, announce)
        self.aio = AsyncOfferlog(self, self._waits, store.log.last)
        self.changes = store.changes
        self.keys = store.keys
        self.organizations = store.organizations
        self._keeper: DeadlineKeeper | None = None
        self._refusal_keeper: RefusalKeeper | None = None

    def history(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        version: int | None = None,
        as_of: datetime | None = None,
        organization: str | None = None,
    ) -> History:
        """Rebuild one visitor-offer from the log: as it is, at a version, or as it was at a time.

        Raises:
            MalformedSignalError: An argument is wrong; says which, by its wire name, and why.
            ArgumentError: A negative version, or a time without an offset.
        """
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
        offer = self._service.name(self._of(organization), visitor, parse_action_map_id(action_map_id))
        return history(self._streams.events(offer), visitor, version=version, as_of=as_of)

    def expire(self) -> Expired:
        """Record the time-outs that are due and end the parkings that are over, in all organizations.

        Waits until the projections show it.
        """
        self.catch_up()
        expired = self._expiry.expire(self.wait)
        self.wait(expired.position)
        return expired

    def wait(self, position: int | None, timeout: float = 60.0) -> None:
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

    def catch_up(self) -> None:
        """Wait until every projection shows all that is in the log now.

        Raises:
            ProjectionsBehindError: They made no progress for a minute.
        """
        self.wait(self._log.last())

    def position(self) -> int:
        """Return the position that all projections have reached."""
        return self._reads.position()

    def projections(self) -> Sequence[ProjectionStatus]:
        """Return the position and the lag of every projection."""
        return self._reads.status()

    def freshness(self) -> Freshness:
        """Return the position and the age of the suppression list; cheap, also far behind the log."""
        return self._reads.freshness()

    def keep_deadlines(self) -> None:
        """Start to expire what is overdue every few seconds, in the background."""
        if self._keeper is None:
            self._keeper = DeadlineKeeper(self._expiry, self.wait)
            self._refusal_keeper = RefusalKeeper(self._refusal_upkeep)

    def close(self) -> None:
        """Write what was submitted, end all waits with `ClosedError`, then release the store."""
        with self._resources:
            self._waits.close()  # first: the keeper of the deadlines may wait, too
            if self._keeper is not None:
                self._keeper.close()
            if self._refusal_keeper is not None:
                self._refusal_keeper.close()
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
        """Return why the store cannot be written to now, as this process knows; None where it can be.

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
