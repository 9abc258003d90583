"""Proofs, dead letters, rebuilds and kinds of events of a log in memory."""

from collections import Counter
from collections.abc import Callable, Sequence

from offerlog_application.ports.projections import UnknownProjectionError
from offerlog_application.ports.read_models import DeadLetter, Proof, StoredKind
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.memory.reads import PROJECTIONS


class MemoryProjections:
    """The application's `Proofs`, `DeadLetters`, `Rebuilds` and `EventKinds`; thread-safe.

    A method has the errors of the method of `Proofs`, and those that it names.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def proof(self, projection: str) -> Proof:
        """Return the proof of a projection."""
        if projection not in PROJECTIONS:
            raise UnknownProjectionError(projection, PROJECTIONS)
        count = self._log.last()
        digest = sum(position * position for position in range(1, count + 1))
        return Proof(projection, count, count, str(digest), 0, 1)

    def verify(self, projection: str | None = None) -> Sequence[Proof]:
        """Return the proofs of one projection, or of all; nothing can differ."""
        return [self.proof(name) for name in ([projection] if projection is not None else PROJECTIONS)]

    def all(self) -> Sequence[DeadLetter]:
        """Return no dead letter: what cannot be applied is not appended."""
        return []

    def short_by(self, projection: str, organization: str, action_maps: Sequence[str] = ()) -> int:
        """Return 0: a projection lacks nothing."""
        del projection, organization, action_maps
        return 0

    def retry(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def rebuild(
        self,
        name: str | None,
        *,
        on_progress: Callable[[RebuildProgress], None],
        accept_difference: bool,
        swap: bool,
    ) -> None:
        """Do nothing: the projections are as the log.

        Raises:
            UnknownProjectionError: There is no projection of that name.
        """
        del on_progress, accept_difference, swap
        if name is not None:
            self.proof(name)

    def stored_kinds(self) -> Sequence[StoredKind]:
        """Return every name and version of the events in the log."""
        with self._log.lock:
            topics = [
                (position, f"{recorded.event.stored_name}.{recorded.event.stored_version}")
                for position, recorded in self._log.events_in_order
            ]
        counts = Counter(topic for _, topic in topics)
        positions = {topic: [at for at, one in topics if one == topic] for topic in counts}
        return [
            StoredKind(topic, counts[topic], positions[topic][0], positions[topic][-1], counts[topic], None)
            for topic in sorted(counts)
        ]
