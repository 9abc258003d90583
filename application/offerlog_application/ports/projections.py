"""Ports for operating projections: apply, verify, rebuild, dead letters, kinds of events."""

from collections.abc import Callable, Sequence
from typing import Protocol

from offerlog_application.ports.read_models import DeadLetter, Proof, StoredKind
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_domain.errors import OfferlogError


class UnknownProjectionError(OfferlogError, KeyError):
    """No projection has that name; nothing was done.

    Attributes:
        name: The name.
        known: The names of all projections.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"there is no projection {self.name!r}; the projections are {', '.join(self.known)}"


class Projector(Protocol):
    """A worker that applies the log to the projections in the background; thread-safe."""

    @property
    def error(self) -> Exception | None:
        """The error that stopped the last page; None if it was applied."""

    def wake(self) -> None:
        """Look for new events in the log now, without waiting for the next poll."""

    def await_move(self, timeout: float) -> None:
        """Wait until a projection has moved, at most `timeout` seconds."""

    def close(self) -> None:
        """Stop after the current page."""


class Proofs(Protocol):
    """Proofs that a projection applied every event exactly once; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def proof(self, projection: str) -> Proof:
        """Return the proof of a projection; costs one small query.

        Raises:
            UnknownProjectionError: No projection has that name.
        """

    def verify(self, projection: str | None = None) -> Sequence[Proof]:
        """Compare the proof of one projection, or of all, with the log; reads the whole log.

        Raises:
            UnknownProjectionError: No projection has that name.
        """


class DeadLetters(Protocol):
    """Visitor-offers of which a projection could not apply an event; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def all(self) -> Sequence[DeadLetter]:
        """Return all dead letters, by projection and position."""

    def short_by(self, projection: str, organization: str, action_maps: Sequence[str] = ()) -> int:
        """Count the dead-letter events of these maps, or of all maps. Events of unknown origin count too."""

    def retry(self) -> int:
        """Apply the waiting events again, and return the number of visitor-offers that are now applied."""


class Rebuilds(Protocol):
    """Rebuilds of projections from the log; thread-safe."""

    def rebuild(
        self,
        name: str | None,
        *,
        on_progress: Callable[[RebuildProgress], None],
        accept_difference: bool,
        swap: bool,
    ) -> None:
        """Build one projection, or all, from the log. Swap it in once it is proved equal to the live one.

        Args:
            name: The projection; None for all.
            on_progress: Called several times a second.
            accept_difference: True to swap although the new one differs.
            swap: False to build and compare only.

        Raises:
            UnknownProjectionError: No projection has that name.
            RebuildRunningError: Another rebuild or verification is running.
            ProjectionsDifferError: The live and the rebuilt tables differ at the same position of the log.
            NotProjectedError: The live projection is behind and applies nothing, so nothing can be compared.
            TablesInUseError: The live tables stayed locked in all tries.
            RebuildWorkersError: A loading process ended before the rebuild was complete.
            StoreUnavailableError: The store cannot be reached.
        """


class EventKinds(Protocol):
    """The kinds of events that a log holds; thread-safe."""

    def stored_kinds(self) -> Sequence[StoredKind]:
        """Return all stored names and versions. A sample of the events of each was read.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
