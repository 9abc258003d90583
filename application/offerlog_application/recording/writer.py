"""Group commit: many callers, one writer, each caller its own true outcome after the commit.

Callers submit work and get a pending answer. One thread takes what waits, loads every visitor-offer it needs
in one query, decides in order, appends all of it in one transaction, and only then answers. A caller
alone does not wait for company: whatever is there when the writer is free is the group.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_log import (
    EventLog,
    HeldStreams,
    OutcomeUnknownError,
    RefusalsLockedError,
    StaleEpochError,
    StoreUnavailableError,
    VersionConflictError,
)
from offerlog_application.ports.tracing import UNTRACED, Commit, Trace
from offerlog_application.recording.answering import answer_all, fail, fail_late, halve_or_fail
from offerlog_application.recording.broken_off import (
    HeldByOthersError,
    OtherSlicesError,
    RefusalsWaitError,
)
from offerlog_application.recording.decided import DecidedGroup
from offerlog_application.recording.pending_answer import PendingAnswer
from offerlog_application.recording.set_aside import split_by_streams
from offerlog_application.recording.steady_clock import SteadyClock
from offerlog_application.recording.store_watch import (
    STORE_PATIENCE,
    StoreWatch,
    check_patience,
    count_conflict,
)
from offerlog_application.recording.submission import Answer, Command, Submission, UndatedRefusal
from offerlog_application.recording.submissions import Group, Submissions
from offerlog_application.recording.writer_errors import ContendedError, WriterFailedError, to_contended
from offerlog_domain.blocked_offers import count_tallies
from offerlog_domain.context import Rules
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import OrganizationKey
from offerlog_domain.stream_ids import SLICES

_FIND_SECONDS: Final = 0.25
"""Seconds to look for further streams that another writer holds, once it has made a group wait."""

_RETRY_FIND_SECONDS: Final = 0.02
"""Seconds to look for held streams in a round of submissions that were set aside before."""

_WAITS: Final = 2
"""Number of waits of one group for other writers; after them, the rest of the group is set aside."""

_INCIDENT_PAUSE: Final = 0.1
"""Seconds of rest after a group that was broken off: a lasting cause must not keep a core busy."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WriterHealth:
    """The state of a writer at one moment.

    Attributes:
        alive: True if its thread runs. False also after `close`.
        stalled_seconds: Age of the group that is being written; 0 while none is.
        waiting: Commands that wait, those set aside included.
        incidents: Groups that failed for a reason nobody foresaw, since the start.
        trouble: The reason why the store could not be written to in the last seconds; None where it can.
    """

    alive: bool
    stalled_seconds: float
    waiting: int
    incidents: int
    trouble: StoreUnavailableError | None = None


class GroupCommitWriter:
    """The one writer of a log in this process; thread-safe.

    Args:
        log: The log that it reads and appends to.
        clock: The service's clock. It is read when a group is decided, and all of the group has that moment.
        rules: The periods that an operator may set.
        group_limit: Commands that a group may hold before the next one waits for the next commit.
        queue_limit: Commands of one organization that may wait (see `Submissions`); past that, `submit`
            raises `OverloadedError`.
        trace: Follows the commits and the submissions in them.

    Attributes:
        rules: Those periods.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        rules: Rules,
        *,
        group_limit: int = 5_000,
        queue_limit: int = 100_000,
        trace: Trace = UNTRACED,
    ) -> None:
        self.rules = rules
        self._log = log
        self._clock = SteadyClock(clock)
        self._trace = trace
        self._submissions = Submissions(group_limit, queue_limit)
        self._watch = StoreWatch()
        self._refusals_watch = StoreWatch("refused signals", "the refusal log")
        self._group_since: float | None = None
        self._incidents = 0
        self._thread = threading.Thread(target=self._run, name="offerlog-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        commands: Sequence[Command],
        refusals: Sequence[UndatedRefusal],
        answer: Answer[T],
        *,
        organization: str,
        from_widget: bool = False,
        key: OrganizationKey | None = None,
    ) -> PendingAnswer[T]:
        """Hand in work of one organization; the answer comes once all of it is durable.

        Args:
            commands: The decisions to be made, in order.
            refusals: Lines for the refusal log that need no decision.
            answer: Makes the answer of the decisions.
            organization: The tenant.
            from_widget: True if the work came with a widget key.
            key: The key under which visitors are named in it. The answer is an `OrganizationDeletedError` if
                its secret is destroyed before all is stored.

        Raises:
            OverloadedError: Too much of this organization is waiting; nothing was taken.
            ClosedError: The writer has been closed.
        """
        origin = self._trace.origin()
        return self._submissions.put(
            commands, refusals, answer, origin, organization, from_widget=from_widget, key=key
        )

    def now(self) -> datetime:
        """Return the time by the clock of decisions (see `SteadyClock`)."""
        return self._clock.now()

    @property
    def depth(self) -> int:
        """Number of commands that wait to be written, including those set aside."""
        return self._submissions.depth

    @property
    def health(self) -> WriterHealth:
        """The state of the writer now, without asking the store and without waiting."""
        since = self._group_since
        stalled = 0.0 if since is None else time.monotonic() - since
        trouble = self._watch.trouble or self._refusals_watch.trouble
        return WriterHealth(self._thread.is_alive(), stalled, self.depth, self._incidents, trouble)

    def close(self) -> None:
        """Take no more, finish what waits, stop."""
        self._submissions.close()
        self._thread.join()

    def _run(self) -> None:
        """Write group after group; whatever breaks one off, the next is written."""
        while True:
            group: Group | None = Group(())
            try:
                group = self._submissions.take()
                if group is None:
                    return
                if group.submissions:
                    self._group_since, cpu = time.monotonic(), time.thread_time()
                    met_others = self._write(group)
                    seconds, cpu = time.monotonic() - self._group_since, time.thread_time() - cpu
                    self._submissions.note_group(group, seconds, cpu, met_others=met_others)
            except BaseException as error:  # noqa: BLE001 - a writer that ends would leave everybody waiting
                self._incidents += 1
                _log.exception("a group of submissions was broken off")
                left = group.submissions if group is not None else ()
                aside = set(self._submissions.aside)
                fail(
                    [one for one in left if not one.done() and one not in aside],
                    WriterFailedError(error),
                )
                time.sleep(_INCIDENT_PAUSE)
            finally:
                self._group_since = None

    def _write(self, group: Group) -> bool:  # noqa: C901 - a table of what may befall a group
        """Write a group; a submission that fails for its own reason fails alone.

        Returns whether other writers stood in its way.
        """
        parts: list[Sequence[Submission]] = [group.submissions]
        waits, first, met_others = 0, True, False
        while parts:
            part = parts.pop() if first else self._submissions.not_overtaking(parts.pop())
            if not part:
                continue
            first = False
            try:
                self._commit(part, group)
            except HeldByOthersError as error:
                waits += 1
                rest = self._set_aside(part, error.streams)
                if waits == _WAITS:
                    left = [*rest, *(one for part in parts for one in part)]
                    for submission in left:
                        submission.missed += 1
                        submission.is_delayed = False
                    self._submissions.set_aside(left)
                    return True
                parts.append(rest)
            except VersionConflictError as conflict:
                rest = self._set_aside(part, HeldStreams(conflict.streams))
                # The same part again would meet the same conflict, for ever.
                parts += [rest] if len(rest) < len(part) else halve_or_fail(part, to_contended(conflict))
            except RefusalsWaitError as wait:
                met_others = True
                parts.append(self._set_aside_refusing(part, wait))
            except OtherSlicesError as others:
                for submission, elsewhere in others.errors.items():
                    fail([submission], elsewhere)
                parts.append([one for one in part if one not in others.errors])
            except (StoreUnavailableError, OutcomeUnknownError) as error:
                if isinstance(error, OutcomeUnknownError) and error.because is not None:
                    self._watch.note_failure(error.because, is_final=True)
                # Undecided: deciding again would call what was perhaps stored a repeat.
                parts.append(fail_late(part, error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to a caller
                parts += halve_or_fail(part, error)
        return met_others or waits > 0

    def _set_aside(self, part: Sequence[Submission], found: HeldStreams) -> list[Submission]:
        """Set aside what other writers hold, or may hold, and what must not overtake it; the rest remains."""
        apart, rest = split_by_streams(part, found.held | found.unknown)
        aside: list[Submission] = []
        for submission in apart:
            submission.is_delayed = False
            if found.held.isdisjoint(submission.streams) or submission.hold():
                aside.append(submission)
            else:
                submission.set_exception(
                    ContendedError(
                        "another writer has held a visitor-offer of this request for half a minute"
                    )
                )
        self._submissions.set_aside(aside)
        return rest

    def _set_aside_refusing(self, part: Sequence[Submission], wait: RefusalsWaitError) -> list[Submission]:
        """Set aside what needs the locked refusal log; the rest remains.

        Gives up all that has waited for it too long, whether or not its turn has come, and with it what has
        stood behind for as long.
        """
        for submission in wait.submissions:
            submission.delay()
        self._submissions.set_aside([one for one in part if one in wait.submissions])
        late = self._submissions.take_late(time.monotonic() - STORE_PATIENCE)
        self._refusals_watch.note_failure(wait.error, is_final=bool(late))
        fail(late, wait.error)
        return [one for one in part if one not in wait.submissions]

    def _commit(self, part: Sequence[Submission], group: Group) -> None:
        """Decide and append submissions of a group as one.

        Raises:
            HeldByOthersError: Other writers sit on versions that the group wants and do not decide.
            OtherSlicesError: Some of them concern visitors whom other stores record.
            VersionConflictError: Another writer has got to a visitor-offer first time and again.
            StoreUnavailableError: The store stays away.
        """
        decided = DecidedGroup(part, self._clock, self.rules)
        with self._trace.commit([one.origin for one in part], len(decided.commands)) as commit:
            if decided.commands:
                self._decide(decided)
            try:
                self._append(decided, commit, group)
            except RefusalsLockedError as error:
                refusing = decided.refusing()
                if not refusing:  # to set nothing aside would be to try the same for ever
                    self._refusals_watch.note_failure(error, is_final=True)
                    raise
                raise RefusalsWaitError(refusing, error) from error
        self._incidents += answer_all(part, decided.decisions, commit.position)

    def _append(self, decided: DecidedGroup, commit: Commit, group: Group) -> None:
        """Append what was decided, deciding again where another writer got there first."""
        hurried = group.was_set_aside or self._submissions.hung_writer
        attempt = 0
        while True:
            events, refusals, blocked = decided.events(), decided.refusals(), decided.blocked
            parkings = decided.parkings()
            has_nothing = not events and not refusals and not blocked and parkings.are_none
            began = time.monotonic()
            try:
                self._check_slices(decided)
                if has_nothing:
                    return
                epoch = self._log.epoch() if decided.epoch is None else decided.epoch
                decided.check_keys(self._log.is_current)  # behind the epoch, with which keys are read again
                commit.position = self._log.append(
                    events,
                    refusals,
                    decided.offers.values(),
                    blocked,
                    hurried=hurried,
                    epoch=epoch,
                    parkings=parkings,
                )
            except StaleEpochError as error:  # fences are rare, so the attempt does not count
                check_patience(error, decided.until)
            except VersionConflictError as conflict:
                if conflict.waiting:
                    raise HeldByOthersError(self._find_held(events, conflict.streams, group)) from conflict
                attempt = count_conflict(conflict, attempt)
            except RefusalsLockedError:
                raise
            except StoreUnavailableError as error:
                attempt = self._watch.wait(error, attempt, decided.until, began=began)
            else:
                commit.events = len(events) + count_tallies(blocked)
                self._watch.note_success(began=began)
                if refusals:
                    self._refusals_watch.note_success(began=began)
                return
            commit.retries += 1
            self._decide(decided)

    def _check_slices(self, decided: DecidedGroup) -> None:
        """Check that the store owns the slices of all visitors, as far as the epoch of the decisions tells.

        Raises:
            OtherSlicesError: It does not, for these submissions.
            StaleEpochError: The store has to be asked again, under another epoch.
        """
        if len(self._log.owned_slices()) < SLICES and decided.find_elsewhere(self._log.owned_slices()):
            errors = decided.find_elsewhere(self._log.owned_slices(anew=True))
            if errors:
                raise OtherSlicesError(errors)

    def _find_held(
        self, events: Sequence[RecordedEvent[Event]], held: frozenset[UUID], group: Group
    ) -> HeldStreams:
        """Find out which visitor-offers of these events other writers hold, beside those that are known."""
        versions: dict[UUID, int] = {}
        for event in events:
            if event.originator_id not in held:
                versions.setdefault(event.originator_id, event.originator_version)
        if not versions:
            return HeldStreams(held)
        urgent = group.untried or not group.was_set_aside
        seconds = _FIND_SECONDS if urgent else _RETRY_FIND_SECONDS
        try:
            found = self._log.find_held(versions, seconds, urgent=urgent)
        except StoreUnavailableError:  # the next append finds out, and tries again for longer
            return HeldStreams(held)
        return HeldStreams(held | found.held, found.unknown)

    def _decide(self, decided: DecidedGroup) -> None:
        """Load what the group touches and decide; again, only where that has moved: the rest stands."""
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                epoch = self._log.epoch()  # before the load: a fence between them is found out
                self._check_slices(decided)  # likewise: who has to go elsewhere does not wait for the load
                if decided.named_actions:
                    decided.note_actions(self._log.find_actions(decided.named_actions))
                loaded = self._log.load(decided.touched)
                policies = self._log.policies(decided.organizations)
                decided.decide(loaded, epoch, policies)
                keys = decided.block_keys
                decided.count_blocked(self._log.counted_blocks(keys) if keys else ())
            except StaleEpochError as error:  # a slice has come, or has gone: read under the new epoch
                check_patience(error, decided.until)
            except StoreUnavailableError as error:
                attempt = self._watch.wait(error, attempt, decided.until, began=began, is_load=True)
            else:
                self._watch.note_success(began=began, is_load=True)
                return
