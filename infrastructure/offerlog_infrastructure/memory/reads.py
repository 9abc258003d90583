"""Lists, look-ups and positions in memory."""

from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.read_models import (
    MAX_SUPPRESSIONS,
    Freshness,
    KeptSignal,
    ProjectionStatus,
    Suppression,
    TooManySuppressionsError,
)
from offerlog_application.projections.current_state import deadline_of
from offerlog_application.projections.suppression import SuppressionKey, SuppressionRow
from offerlog_domain.identity import ActionMapId, VisitorKey
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_infrastructure.memory.log import MemoryLog

PROJECTIONS = ("current_state", "performance", "suppression")


class MemoryReads:
    """The application's `ReadSide`, `Organizations` and `Changes`; thread-safe."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.known: set[str] = set()

    def suppressions_of_visitor(self, organization: str, visitor: VisitorKey) -> Sequence[Suppression]:
        """Return the suppressions of a visitor, sorted by action map."""
        return self.suppressions_of_visitors(organization, [visitor])[visitor]

    def suppressions_of_visitors(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        """Return the suppressions of many visitors. Each visitor has an entry.

        Raises:
            TooManySuppressionsError: The visitors have more than 10,000 together.
        """
        found: dict[VisitorKey, list[Suppression]] = {visitor: [] for visitor in visitors}
        with self._log.lock:
            for key, row in sorted(self._log.suppressions.items(), key=lambda one: one[0].action_map_id):
                if key.organization == organization and key.visitor in found:
                    found[key.visitor].append(_suppression(key, row))
        if sum(len(found[visitor]) for visitor in visitors) > MAX_SUPPRESSIONS:
            raise TooManySuppressionsError
        return found

    def suppressions_of_action_map(
        self, organization: str, action_map_id: ActionMapId, behind: VisitorKey | None = None
    ) -> Generator[Suppression]:
        """Stream the suppressions of an action map, sorted by visitor, after `behind` if given."""
        start = behind or ("", "")
        with self._log.lock:
            rows = sorted(self._log.suppressions.items(), key=lambda one: one[0].visitor)
        for key, row in rows:
            where = key.organization, str(key.action_map_id)
            if where == (organization, action_map_id) and key.visitor > start:
                yield _suppression(key, row)

    def parked(self, organization: str) -> Generator[KeptSignal]:
        """Stream the signals that wait for their action, in order of arrival."""
        with self._log.lock:
            rows = sorted(self._log.parked.values(), key=lambda row: row.position)
        for row in rows:
            if row.organization == organization:
                length = len(row.raw) if row.raw_length is None else row.raw_length
                yield KeptSignal(row.parked_at, None, None, None, row.raw, length)

    def due(
        self,
        *,
        deadline_before: datetime,
        parked_before: datetime,
        limit: int,
        besides: Collection[UUID] = (),
    ) -> Sequence[tuple[UUID, str]]:
        """Return the streams on which the passing of time may have an effect."""
        with self._log.lock:
            parked = {key[0] for key, row in self._log.parked.items() if row.parked_at <= parked_before}
            due = [
                (stream, self._log.events(stream)[0].event.organization)
                for stream, offer in self._log.offers.items()
                if stream not in besides and (stream in parked or _is_timed_out(offer, deadline_before))
            ]
        return due[:limit]

    def status(self) -> Sequence[ProjectionStatus]:
        """Return the position of every projection; none is ever behind."""
        return [ProjectionStatus(name, self.position(), 0, 0.0) for name in PROJECTIONS]

    def freshness(self) -> Freshness:
        """Return the position of the suppression list, which is never behind."""
        return Freshness(self.position(), 0.0, 0)

    def position(self) -> int:
        """Return the last position of the log: the projections have reached it."""
        return self._log.last()

    def close(self) -> None:
        """Nothing is held."""

    def names(self) -> Sequence[str]:
        """List all organizations, sorted."""
        with self._log.lock:
            return sorted({*self._log.secrets, *self.known})

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations that a signal came for; sorted."""
        with self._log.lock:
            counted = {one for one in self._log.secrets if self._log.counts.maps(one)}
            refused = {refusal.organization for refusal in self._log.refusals.values()}
            return sorted(counted | refused | {row.organization for row in self._log.parked.values()})

    def register(self, organization: str) -> None:
        """Make an organization known before anything is recorded for it; again changes nothing."""
        self._log.secret(organization)

    def changed_maps(self, behind: int, position: int) -> Mapping[str, set[ActionMapId]]:
        """Return the action maps of the events in (behind, position], by organization."""
        changed: dict[str, set[ActionMapId]] = {}
        for _, recorded in self._log.events_in_order[behind:position]:
            event = recorded.event
            changed.setdefault(event.organization, set()).add(ActionMapId(str(event.action_map_id)))
        return changed

    def known_maps(self, organization: str, action_maps: Collection[ActionMapId]) -> set[ActionMapId]:
        """Return those of the action maps that the organization has events of."""
        with self._log.lock:
            return {*action_maps} & {*self._log.counts.maps(organization)}


def _suppression(key: SuppressionKey, row: SuppressionRow) -> Suppression:
    return Suppression(
        key.visitor.id,
        key.visitor.type,
        str(key.action_map_id),
        row.state.value,
        str(row.action_id),
        row.since,
    )


def _is_timed_out(offer: VisitorOffer, before: datetime) -> bool:
    """Return True if the newest action is an unanswered invitation whose deadline is over."""
    deadline = None if offer.newest is None else deadline_of(offer.newest.events[-1].event)
    return deadline is not None and deadline <= before
