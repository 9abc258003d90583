"""The roads of every field of every event: the tables of the projections that it reaches, and the answers.

The roads are declared here, for the events catalogue. tests/architecture/test_field_roads.py holds them to
what the code does.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.events import (
    EVENTS,
    Accepted,
    EventBeforeOffer,
    LifecycleEvent,
    Offered,
    OfferRefused,
    ParkingEnded,
    Rejected,
    SignalParked,
    Started,
)
from offerlog_domain.lifecycle import WEBCHAT
from offerlog_domain.service_events import (
    ActionMapPolicySet,
    BlockedTally,
    ErasureReceipt,
    KeyRotated,
    OrganizationDeleted,
    ReportIssued,
    ServiceEvent,
    VisitorErased,
)

TABLES: Final = (
    "current_offers",
    "current_actions",
    "parked_signals",
    "suppressions",
    "performance_counts",
    "performance_repeats",
    "action_map_names",
    "form_rejections",
    "blocked_offers",
    "blocked_counts",
)
"""The tables of the projections. The counts of whole days are sums of `performance_counts`."""

SERVICE_ROADS: Final[Mapping[type[ServiceEvent], Sequence[str]]] = {
    VisitorErased: ("current_offers", "current_actions", "parked_signals", "suppressions"),
    ErasureReceipt: (),
    ReportIssued: (),
    KeyRotated: (),
    OrganizationDeleted: (),
    ActionMapPolicySet: (),
    BlockedTally: ("blocked_counts",),
}
"""The tables that an event of no visitor-offer changes: it takes rows out, and a tally adds its number."""

ANSWERS: Final = ("history", "suppressions", "parked", "report", "names")
"""The answers: a history, look-ups and lists of suppressions, the list of parked signals, a performance
report, and the action maps with their names."""

PRIVATE: Final = PrivateFields.__struct_fields__
"""The fields that are stored as one sealed part. A table that keeps one of them keeps the whole part."""


class Road(NamedTuple):
    """The places that a field of an event reaches, beside the log. Decisions read whole events.

    Attributes:
        tables: Tables of projections.
        answers: Answers that show it, or that it changes.
    """

    tables: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()


_Roads = Mapping[str, tuple[str, str]]
"""By field, its tables and its answers."""

_COUNTED: Final = "performance_counts performance_repeats"

_LIFECYCLE: Final[_Roads] = {
    "organization": (f"current_offers current_actions {_COUNTED} action_map_names", "report names"),
    "action_map_id": (f"current_offers current_actions {_COUNTED} action_map_names", "report names"),
    "occurred_at": (f"current_offers current_actions {_COUNTED} action_map_names", "history report"),
    "offered_at": (f"current_actions {_COUNTED}", "history report"),
    "action_number": ("current_offers current_actions", "history"),
    "action_map_name": ("action_map_names", "history names"),
    "parked_version": ("parked_signals", "parked"),
    "recorded_at": ("", "history"),
    "media_type": (f"current_actions {_COUNTED}", "history"),
    "dated": ("", "history"),
    "action_map_version": (f"current_actions {_COUNTED}", "history"),
    "timeout_seconds": ("", "history"),
    "session_id": ("", "history"),
    "action_id": ("", "history"),
    "event_id": ("", "history"),
    "error_code": ("", "history"),
    "error_message": ("", "history"),
    "blocking_action_id": ("", ""),
    "raw": ("", ""),
}
"""Roads of every lifecycle event."""

_BEFORE_OFFER: Final[_Roads] = {
    name: (" ".join(table for table in tables.split() if not table.startswith("current_")), answers)
    for name, (tables, answers) in _LIFECYCLE.items()
}
"""Roads of an event before an offer: it is counted, and current state passes over it."""

_REJECTED: Final[_Roads] = {
    "rejected_stage": ("current_offers current_actions form_rejections", "history"),
    **dict.fromkeys(("organization", "action_map_id", "offered_at", "media_type"), ("form_rejections", "")),
}

_OPEN: Final[_Roads] = {"recorded_at": ("current_offers", "")}
"""More roads of an event after which the action is open: its silence counts from it."""

_OFFERED: Final[_Roads] = dict.fromkeys(("recorded_at", "timeout_seconds"), ("current_offers", ""))
"""More roads of an `Offered`: they make the deadline."""

_TERMINAL: Final[_Roads] = {
    **dict.fromkeys(PRIVATE, ("suppressions", "")),
    **dict.fromkeys(
        ("organization", "action_map_id", "media_type", "occurred_at", "action_id"),
        ("suppressions", "suppressions"),
    ),
}
"""More roads of an event with a terminal state."""

_OF_SIGNALS: Final = (
    "organization", "action_map_id", "recorded_at", "media_type", "occurred_at", "dated",
    "action_map_version", "action_map_name", "timeout_seconds", *PRIVATE,
)  # fmt: skip
_LOG_ALONE: Final = ("", "")
"""The road of a field that decisions alone read."""

_REFUSED: Final[_Roads] = {
    **dict.fromkeys((*_OF_SIGNALS, "reason", "blocking_state", "blocking_since"), _LOG_ALONE),
    **dict.fromkeys(
        ("organization", "action_map_id", "occurred_at", "reason", "media_type"),
        ("blocked_offers blocked_counts", ""),
    ),
    "action_map_version": ("blocked_counts", ""),
    "parked_versions": ("parked_signals", "parked"),
}
_PARKED: Final[_Roads] = {
    **dict.fromkeys((*_OF_SIGNALS, "parked_state"), _LOG_ALONE),
    **dict.fromkeys((*PRIVATE, "action_map_id"), ("parked_signals", "")),
    **dict.fromkeys(("organization", "recorded_at", "raw_length", "raw"), ("parked_signals", "parked")),
}
_ENDED: Final[_Roads] = {
    **dict.fromkeys(("organization", "action_map_id", "recorded_at", "parked_state", *PRIVATE), _LOG_ALONE),
    "parked_version": ("parked_signals", "parked"),
}

_OWN: Final[Mapping[type[Event], _Roads]] = {
    Offered: _OFFERED,
    Accepted: _OPEN,
    Started: _OPEN,
    Rejected: _REJECTED,
    OfferRefused: _REFUSED,
    SignalParked: _PARKED,
    ParkingEnded: _ENDED,
}


def list_fields(kind: type[Event]) -> Sequence[str]:
    """Return the public and the private fields of a kind of event."""
    return (*kind.__struct_fields__, *PRIVATE)


def list_declared(kind: type[Event]) -> set[str]:
    """Return the fields of a kind of event for which roads are declared, or none beside the log."""
    return {field for roads in _declared(kind) for field in roads}


def find_road(kind: type[Event], field: str) -> Road:
    """Return the declared road of a field of a kind of event."""
    ways = [roads[field] for roads in _declared(kind) if field in roads]
    tables, answers = ([name for way in ways for name in way[end].split()] for end in (0, 1))
    return Road(frozenset(tables), frozenset(answers))


def _declared(kind: type[Event]) -> Iterator[_Roads]:
    if issubclass(kind, EventBeforeOffer):
        yield _BEFORE_OFFER
    elif issubclass(kind, LifecycleEvent):
        yield _LIFECYCLE
        if kind.state in WEBCHAT.terminal:
            yield _TERMINAL
    yield _OWN.get(kind, {})


def road_lines() -> list[str]:
    """Return the table of the events catalogue: for each field, its part and its roads, with the kinds."""
    lines = ["| field | part | tables of projections | answers |", "|---|---|---|---|"]
    fields = [field for kind in EVENTS for field in list_fields(kind)]
    for field in sorted(dict.fromkeys(fields), key=PRIVATE.__contains__):
        roads = {kind: find_road(kind, field) for kind in EVENTS if field in list_fields(kind)}
        tables = _group(
            {name: [kind for kind in roads if name in roads[kind].tables] for name in TABLES}, "`"
        )
        shown = _group(
            {name: [kind for kind in roads if name in roads[kind].answers] for name in ANSWERS}, ""
        )
        lines.append(f"| `{field}` | {'sealed' if field in PRIVATE else 'public'} | {tables} | {shown} |")
    return lines


def _group(found: Mapping[str, Sequence[type[Event]]], quote: str) -> str:
    """Return the ends of roads in words, grouped by the kinds of events that have them."""
    groups: dict[str, list[str]] = {}
    for name, kinds in found.items():
        if kinds:
            groups.setdefault(_name_kinds(kinds), []).append(f"{quote}{name}{quote}")
    return "; ".join(f"{kinds}: {', '.join(names)}" for kinds, names in groups.items())


def _name_kinds(kinds: Sequence[type[Event]]) -> str:
    lifecycle = [kind for kind in EVENTS if issubclass(kind, LifecycleEvent)]
    terminal = [kind for kind in lifecycle if kind.state in WEBCHAT.terminal]
    names: list[str] = []
    for group, name in ((lifecycle, "lifecycle events"), (terminal, "terminal states")):
        if set(group) <= set(kinds):
            names.append(name)
            kinds = [kind for kind in kinds if kind not in group]
    return ", ".join([*names, *(f"`{kind.stored_name}`" for kind in kinds)])
