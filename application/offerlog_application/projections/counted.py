"""The state of all counts at one moment, and what has changed since, for those who follow reports."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from offerlog_application.ports.positions import LogPosition, latest_position
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.read_side import Changes
from offerlog_application.ports.shards import HeldSlices
from offerlog_domain.identity import ActionMapId


class Counted(NamedTuple):
    """The events that are counted at one moment, in all organizations.

    Attributes:
        proofs: The proof of the counts on each server, the home first.
        held: Of several servers, the slices that each had before its proof was read; empty for one server.
    """

    proofs: Sequence[Proof]
    held: Sequence[HeldSlices] = ()

    @property
    def position(self) -> LogPosition:
        """The position that is counted, of each log."""
        return latest_position(one.position for one in self.proofs) or 0

    @property
    def mark(self) -> str:
        """A text that stays the same as long as the counts do."""
        return "-".join(one.mark for one in self.proofs)


class FollowedCounts(Protocol):
    """The counts of reports, for those who follow them; thread-safe.

    Each method raises `StoreUnavailableError` if a store cannot be reached.
    """

    def read(self) -> Counted:
        """Return what the counts show now: a small query on each server."""

    def changed_maps(self, before: Counted, after: Counted) -> Mapping[str, set[ActionMapId]] | None:
        """Return the action maps whose counts have changed between two moments, by organization.

        None means that any map may have changed.
        """


class CountsOfStore:
    """The `FollowedCounts` of one store.

    Args:
        read_proof: Reads the proof of the counts.
        changes: The action maps that the newest events are about.
    """

    def __init__(self, read_proof: Callable[[], Proof], changes: Changes) -> None:
        self._read_proof = read_proof
        self._changes = changes

    def read(self) -> Counted:
        """Return what the counts show now."""
        return Counted([self._read_proof()])

    def changed_maps(self, before: Counted, after: Counted) -> Mapping[str, set[ActionMapId]] | None:
        """Return the action maps whose counts have changed between two moments, by organization."""
        return find_changes(self._changes, before, after)


def find_changes(changes: Changes, before: Counted, after: Counted) -> Mapping[str, set[ActionMapId]] | None:
    """Return the action maps of the events between two moments, by organization.

    None means that any map may have changed, as where a projection was rebuilt, or a dead letter applied.
    """
    states = [[(one.edition, one.short_by) for one in counted.proofs] for counted in (before, after)]
    if states[0] != states[1]:
        return None
    if after.position == before.position:
        return {}
    return changes.changed_maps(before.position, after.position)
