"""The rows that projections show, and the rows that a brute-force fold of the log says they must show."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from soak.key_copies import UnopenedError
from soak.log_copy import Logged, Pair
from soak.visitor_copies import VisitorCopies, stream_of
from support.model import BEFORE_OFFER


class CurrentOffer(NamedTuple):
    """A visitor-offer as it is now."""

    stream: str
    visitor: int
    organization: str
    action_map: str
    state: str
    stage: str | None
    since: datetime
    actions: int
    events: int
    times_out: datetime | None
    touched_at: datetime | None


class CurrentAction(NamedTuple):
    """An action as it is now, by the number in its visitor-offer."""

    stream: str
    number: int
    state: str
    stage: str | None
    since: datetime
    offered_at: datetime
    organization: str
    action_map: str
    accepted_at: datetime | None
    started_at: datetime | None
    media: str
    map_version: int | None


class Waiting(NamedTuple):
    """A signal that waits. The last three stand in the sealed part."""

    stream: str
    version: int
    visitor: int
    organization: str
    action_map: str
    parked_at: datetime
    position: int
    raw_length: int | None
    session: str
    action: str
    raw: str


class Suppressed(NamedTuple):
    """One line of a suppression list. The action stands in the sealed part."""

    pair: Pair
    state: str
    action: str
    since: datetime


SELECT_OFFERS: Final = """
    SELECT originator_id::text, visitor, organization, action_map_id::text, state, stage, since, actions,
        events, withdrawn_at, touched_at
    FROM current_offers
"""
SELECT_ACTIONS: Final = """
    SELECT originator_id::text, number, state, stage, since, offered_at, organization, action_map_id::text,
        accepted_at, started_at, media_type, action_map_version
    FROM current_actions
"""
SELECT_PARKED: Final = """
    SELECT originator_id::text, version, visitor, organization, action_map_id::text, parked_at, position,
        raw_length, sealed
    FROM parked_signals
"""
SELECT_SUPPRESSIONS: Final = """
    SELECT visitor, organization, action_map_id::text, state, since, version, sealed FROM suppressions
"""


def open_waiting(row: tuple[Any, ...], visitors: VisitorCopies) -> Waiting:
    """Open a row of `SELECT_PARKED`.

    Raises:
        UnopenedError: The sealed part is not that of the event at that place.
    """
    stream, version, visitor, organization, action_map, parked_at, position, raw_length, sealed = row
    session, action, *_, raw = visitors.open(UUID(stream), version, "signal-parked", sealed)
    return Waiting(
        stream,
        version,
        visitor,
        organization,
        action_map,
        parked_at,
        position,
        raw_length,
        str(UUID(bytes=session)),
        str(UUID(bytes=action)),
        raw.decode(),
    )


def open_suppressed(row: tuple[Any, ...], visitors: VisitorCopies) -> Suppressed:
    """Open a row of `SELECT_SUPPRESSIONS`.

    Raises:
        UnopenedError: The sealed part is not that of the event at that place, or the visitor is another's.
    """
    token, organization, action_map, state, since, version, sealed = row
    visitor = visitors.of(token)
    if visitor.organization != organization:
        raise UnopenedError(f"a visitor of {visitor.organization} in the list of {organization}")
    _, action, *_ = visitors.open(stream_of(token, action_map), version, state, sealed)
    pair = Pair(organization, visitor.kind, visitor.who, action_map)
    return Suppressed(pair, state, str(UUID(bytes=action)), since)


TAKEN: Final = ("contentOffer", "accepted")
"""A content offer is over when it was accepted."""


def _streams(log: Iterable[Logged]) -> Iterable[tuple[str, list[Logged]]]:
    found: defaultdict[str, list[Logged]] = defaultdict(list)
    for event in log:
        if event.is_lifecycle and event.kind not in BEFORE_OFFER:
            found[event.stream].append(event)
    return found.items()


def current_offers(log: Iterable[Logged]) -> set[CurrentOffer]:
    """Return the rows of visitor-offers that must be shown."""
    found: set[CurrentOffer] = set()
    for stream, events in _streams(log):
        last, actions = events[-1], len({one.action for one in events})
        row = CurrentOffer(
            stream,
            last.token,
            last.pair.organization,
            last.pair.action_map,
            last.state,
            last.stage,
            last.occurred,
            actions,
            len(events),
            _times_out(last),
            _touched([one for one in events if one.action == last.action]),
        )
        found.add(row)
    return found


def _times_out(last: Logged) -> datetime | None:
    if last.state != "offered" or last.timeout is None or last.media == "contentOffer":
        return None
    return max(last.occurred, last.recorded) + timedelta(seconds=last.timeout)


def _touched(action: list[Logged]) -> datetime | None:
    last = action[-1]
    if last.state not in {"offered", "accepted", "started"} or (last.media, last.state) == TAKEN:
        return None
    return max(max(one.occurred, one.recorded) for one in action)


def current_actions(log: Iterable[Logged]) -> set[CurrentAction]:
    """Return the rows of actions that must be shown."""
    found: set[CurrentAction] = set()
    for stream, events in _streams(log):
        actions: defaultdict[str, list[Logged]] = defaultdict(list)
        for event in events:
            actions[event.action].append(event)
        for number, (first, *more) in enumerate(actions.values(), 1):
            last = more[-1] if more else first
            reached = {one.state: one.occurred for one in more}
            row = CurrentAction(
                stream,
                number,
                last.state,
                last.stage,
                last.occurred,
                first.occurred,
                last.pair.organization,
                last.pair.action_map,
                reached.get("accepted"),
                reached.get("started"),
                last.media,
                last.map_version,
            )
            found.add(row)
    return found


def waiting(log: Iterable[Logged]) -> set[Waiting]:
    """Return the parked signals that must wait still."""
    found: defaultdict[tuple[str, str], dict[str, Logged]] = defaultdict(dict)
    for event in log:
        states = found[event.stream, event.action]
        if event.kind == "signal-parked":
            states[event.state] = event
        elif event.kind == "offer-refused":
            states.clear()
        else:
            states.pop(event.state, None)
    return {
        Waiting(
            one.stream,
            one.version,
            one.token,
            one.pair.organization,
            one.pair.action_map,
            one.recorded,
            one.position,
            one.raw_length,
            one.session,
            one.action,
            one.raw or "",
        )
        for states in found.values()
        for one in states.values()
    }
