"""Upkeep of the projections of an open service: proofs, rebuilds, dead letters and kinds of events."""

from collections.abc import Callable, Sequence

from offerlog_application.ports.projections import DeadLetters, EventKinds, Proofs, Rebuilds
from offerlog_application.ports.read_models import DeadLetter, Proof, StoredKind
from offerlog_application.ports.rebuilds import RebuildProgress


class ProjectionUpkeep:
    """The part of `Offerlog` that works on projections as a whole, for all organizations."""

    def __init__(
        self, proofs: Proofs, dead_letters: DeadLetters, rebuilds: Rebuilds, kinds: EventKinds
    ) -> None:
        self._proofs = proofs
        self._dead_letters = dead_letters
        self._rebuilds = rebuilds
        self._kinds = kinds

    def rebuild(
        self,
        name: str | None = None,
        *,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
        accept_difference: bool = False,
        swap: bool = True,
    ) -> None:
        """Build one projection, or all, from the log, and swap it in once it is proved to be the same.

        Readers use the old one until then. A second call resumes an interrupted rebuild.

        Args:
            name: The projection; None for all.
            on_progress: Called with the progress, several times a second.
            accept_difference: Whether to swap although the new one differs.
            swap: False to build and compare only.

        Raises:
            UnknownProjectionError: There is no projection of that name.
            RebuildRunningError: Another rebuild is at work.
            ProjectionsDifferError: Old and new differ at the same position; the old one stays.
            NotProjectedError: The live projection does not move.
            TablesInUseError: Another session keeps the live tables locked.
            RebuildWorkersError: The processes that load were killed, or failed.
            StoreUnavailableError: The store cannot be reached.
        """
        self._rebuilds.rebuild(name, on_progress=on_progress, accept_difference=accept_difference, swap=swap)

    def verify(self, name: str | None = None) -> Sequence[Proof]:
        """Compare what each projection has applied with the log, up to its position; reads the whole log.

        Raises:
            UnknownProjectionError: There is no projection of that name.
        """
        return self._proofs.verify(name)

    def proof(self, name: str = "performance") -> Proof:
        """Return what a projection has applied by now: a small query, to go with a report.

        Raises:
            UnknownProjectionError: There is no projection of that name.
        """
        return self._proofs.proof(name)

    def proofs(self, name: str = "performance") -> Sequence[Proof]:
        """Return the proof of a projection on each server; there is one, where there is one server.

        Raises:
            UnknownProjectionError: No projection has that name.
        """
        return [self.proof(name)]

    def dead_letters(self) -> Sequence[DeadLetter]:
        """Return the visitor-offers that a projection could not apply, in all organizations."""
        return self._dead_letters.all()

    def retry_dead_letters(self) -> int:
        """Apply the dead letters again; returns how many visitor-offers are dead letters no longer."""
        return self._dead_letters.retry()

    def stored_kinds(self) -> Sequence[StoredKind]:
        """Return every name and version of event in the log, and whether this build can read it."""
        return self._kinds.stored_kinds()
