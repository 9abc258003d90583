"""A copy of the log, decoded and opened without the product's code (see docs/events.md)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from soak.erased import ErasedCopy
from soak.key_copies import NONCE_BYTES, UnopenedError
from soak.visitor_copies import VisitorCopies, token_of

BOOKKEEPING: Final = ("offer-refused", "signal-parked", "parking-ended")

SERVICE: Final = (
    "visitor-erased",
    "erasure-receipt",
    "report-issued",
    "key-rotated",
    "organization-deleted",
    "action-map-policy-set",
    "blocked-tally",
)
"""Kinds that belong to no visitor-offer."""

READ: Final = """
    SELECT notification_id, originator_id, originator_version, topic, state
    FROM offerlog_events ORDER BY notification_id
"""


class Pair(NamedTuple):
    """One visitor and one action map of an organization: what one stream is about."""

    organization: str
    customer_type: str
    customer: str
    action_map: str


@dataclass(frozen=True)
class Logged:
    """One event of the log.

    Attributes:
        kind: A lifecycle state, or one of `BOOKKEEPING`.
        state: The state it tells of: the kind itself, or the one that was parked or refused (`offered`).
        dated: Whether the sender said when.
        number: Of a lifecycle event: the number of its action; `offered_at`: when that was offered.
        reason: Of an offer refused.
        blocked_by: The action and state that stood against it.
        ended: The versions of the parked signals that it ends.
        error: The error code and the error message.
        media: The media type; `map_version`: the version of the action map.
        raw: Of a parked signal: the text that came; `raw_length`: how long it was, where it is cut.
        nonce: Of the sealed part; or the beginning of its tag, where there is no nonce.
    """

    position: int
    stream: str
    version: int
    kind: str
    pair: Pair
    session: str
    action: str
    recorded: datetime
    occurred: datetime
    state: str
    event_id: str | None = None
    dated: bool = True
    timeout: int | None = None
    stage: str | None = None
    number: int | None = None
    offered_at: datetime | None = None
    reason: str | None = None
    blocked_by: tuple[str | None, str] | None = None
    ended: tuple[int, ...] = ()
    error: tuple[str | None, str | None] = (None, None)
    raw: str | None = None
    raw_length: int | None = None
    nonce: bytes = b""
    media: str = "webchat"
    map_version: int | None = None

    @property
    def is_lifecycle(self) -> bool:
        """Whether people see it and reports count it."""
        return self.kind not in BOOKKEEPING

    @property
    def token(self) -> int:
        """The visitor's token, as the stream's id has it."""
        return token_of(UUID(self.stream))


@dataclass
class LogCopy:
    """The events that open, and in words those that do not.

    Attributes:
        others: Position, stream and version of the events that belong to no visitor-offer, or to one of a
            visitor who was erased.
    """

    log: list[Logged] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)
    others: list[tuple[int, str, int]] = field(default_factory=list)


def decode(row: tuple[Any, ...], visitors: VisitorCopies) -> Logged:
    """Read one row of the log.

    Raises:
        UnopenedError: The visitor is not there, or the private fields do not open.
    """
    position, stream, version, topic, stored = row
    kind, _, written = topic.rpartition(".")
    public, sealed = msgspec.msgpack.decode(stored)
    if kind in (*BOOKKEEPING, *SERVICE) or written == "2":
        assert written == "2", topic
    else:
        assert written == "3", topic
        public = _in_plain_form(public, kind)
    organization, action_map, recorded, *rest = public
    visitor = visitors.of(token_of(stream))
    session, action, event_id, code, message, blocker, raw = visitors.open(stream, version, kind, sealed)
    if visitor.organization != organization:
        raise UnopenedError(f"it is of {organization}, and its visitor of {visitor.organization}")
    more: dict[str, Any] = {"occurred": recorded, "state": kind}
    if kind == "parking-ended":
        more |= {"state": rest[0], "ended": _places(rest[1])}
    else:
        media, occurred, dated, map_version, _, timeout, *own = rest
        more |= {"occurred": occurred, "dated": dated, "timeout": timeout}
        more |= {"media": media, "map_version": map_version}
        if kind == "offer-refused":
            more |= {"state": "offered", "reason": own[0], "blocked_by": (_uuid(blocker), own[1])}
            more["ended"] = tuple(own[3])
        elif kind == "signal-parked":
            more |= {"state": own[0], "raw": raw.decode(), "raw_length": own[1]}
        else:
            more |= {"number": own[0], "offered_at": own[1], "ended": _places(own[2])}
            more["stage"] = own[3] if kind == "rejected" else None
    return Logged(
        position=position,
        stream=str(stream),
        version=version,
        kind=kind,
        pair=Pair(organization, visitor.kind, visitor.who, str(_uuid(action_map))),
        session=str(_uuid(session)),
        action=str(_uuid(action)),
        recorded=recorded,
        event_id=_uuid(event_id),
        error=(code, message),
        nonce=sealed[:NONCE_BYTES],
        **more,
    )


def decoded(
    rows: list[tuple[Any, ...]], visitors: VisitorCopies, erased: ErasedCopy | None = None
) -> LogCopy:
    """Read all rows of `READ`; those of erased visitors go into their copy."""
    found = LogCopy()
    for row in rows:
        kind = row[3].rpartition(".")[0]
        is_erased = erased is not None and token_of(row[1]) in erased.tokens
        if erased is not None and is_erased:
            erased.take(row, kind, msgspec.msgpack.decode(row[4])[1])
        if kind in SERVICE or is_erased:
            found.others.append((row[0], str(row[1]), row[2]))
            continue
        try:
            found.log.append(decode(row, visitors))
        except UnopenedError as error:
            position, stream, version, topic, _ = row
            found.unopened.append(f"{topic} at position {position}, {stream} version {version}: {error}")
    return found


def _in_plain_form(public: list[Any], kind: str) -> list[Any]:
    """Return the fields of version 3 as version 2 has them: nothing is left out, and times are times."""
    fields = [*public, *[None] * (13 - len(public))]
    organization, action_map, recorded, occurred, offered, number, version, name, timeout, *rest = fields
    ended, media, dated, stage = rest
    occurred = _time(occurred, recorded)
    head = ["default" if organization is None else organization, action_map, recorded]
    signal = ["webchat" if media is None else media, occurred, dated is not False, version, name, timeout]
    own = [number, _time(offered, occurred), ended]
    return [*head, *signal, *own, *([stage] if kind == "rejected" else [])]


def _time(stated: datetime | int | None, other: datetime) -> datetime:
    """Return a time that is stated by another one: as the same, or as milliseconds before it."""
    if stated is None or isinstance(stated, datetime):
        return stated or other
    return other.replace(microsecond=other.microsecond // 1_000 * 1_000) - timedelta(milliseconds=stated)


def _uuid(stored: bytes | None) -> str | None:
    return None if stored is None else str(UUID(bytes=stored))


def _places(version: int | None) -> tuple[int, ...]:
    return () if version is None else (version,)
