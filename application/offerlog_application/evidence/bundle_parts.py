"""The parts of an export: what is asked for, the source of its events, the sink of its files, its errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_application.projections.page import Page
from offerlog_domain.errors import OfferlogError
from offerlog_domain.event_fields import Event
from offerlog_domain.transparency.leaves import StoredRow

if TYPE_CHECKING:
    from offerlog_application.evidence.evidence import CosigningWitness


class BundlePlaceError(OfferlogError):
    """A bundle cannot be written there; the message says why, and nothing is left behind."""


class LogChangedError(OfferlogError):
    """The log is not the one in its tree, so nothing is exported."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"{cause}; nothing was exported. `offerlog audit verify` names what was changed")


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """The contents that are asked for.

    Attributes:
        query: Organization and interval of the reports. The events are always all, up to the checkpoint.
        as_of: The last position; of several servers, that in each log. None for all that is there.
        discloses_all: True if the events of other organizations are disclosed, too.
        proved: Positions of the events whose proofs are written, each into a file.
        witnesses: Those that shall cosign the checkpoint.
    """

    query: ReportQuery
    as_of: LogPosition | None = None
    discloses_all: bool = False
    proved: Sequence[int] = ()
    witnesses: "Sequence[CosigningWitness]" = ()


@dataclass(frozen=True, slots=True)
class BundlePage:
    """Consecutive events of the log, as stored and decoded.

    Attributes:
        rows: All events, in order of position.
        page: The events that this build can read, as projections take them.
    """

    rows: Sequence[StoredRow]
    page: Page

    def events(self) -> Mapping[int, Event]:
        """Return the public fields of the events that can be read, by position."""
        return {one.position: one.recorded.event for one in self.page.events}


class BundleSource(Protocol):
    """The events of the log; thread-safe."""

    def read(self, after: int, until: int) -> BundlePage:
        """Return the events behind a position and up to another.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """


class BundleSink(Protocol):
    """The files of a bundle that is being made. Names have "/" between their parts.

    Each method raises `BundlePlaceError` if a file cannot be written.
    """

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""

    def append(self, name: str, data: bytes) -> None:
        """Append to a file, which the first call makes."""
