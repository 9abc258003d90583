"""A copy of the log, read and decoded without the product's code (`docs/events.md` says what events hold)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

BOOKKEEPING: Final = ("offer-refused", "signal-parked", "parking-ended")

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
        reason: Of an offer refused.
        blocked_by: The action and state that stood against it.
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
    reason: str | None = None
    blocked_by: tuple[str, str] | None = None

    @property
    def is_lifecycle(self) -> bool:
        """Whether people see it and reports count it."""
        return self.kind not in BOOKKEEPING


def decode(position: int, stream: UUID, version: int, topic: str, stored: bytes) -> Logged:
    """Read one row of the log."""
    public, part = msgspec.msgpack.decode(stored)
    organization, action_map, recorded, *rest = public
    customer, customer_type, session, action, event_id, *_, blocker, _ = msgspec.msgpack.decode(part)
    kind, _, written = topic.rpartition(".")
    assert written == "2", topic
    occurred, dated, timeout = recorded, True, None
    state, stage, reason, blocked_by = kind, None, None, None
    if kind == "parking-ended":
        state = rest[0]
    else:
        _, occurred, dated, _, _, timeout, *own = rest
        if kind == "offer-refused":
            state, reason, blocked_by = "offered", own[0], (_uuid(blocker), own[1])
        elif kind == "signal-parked":
            state = own[0]
        elif kind == "rejected":
            stage = own[3]
    return Logged(
        position=position,
        stream=str(stream),
        version=version,
        kind=kind,
        pair=Pair(organization, customer_type, customer, _uuid(action_map)),
        session=_uuid(session),
        action=_uuid(action),
        recorded=recorded,
        occurred=occurred,
        state=state,
        event_id=_uuid(event_id) if event_id else None,
        dated=dated,
        timeout=timeout,
        stage=stage,
        reason=reason,
        blocked_by=blocked_by,
    )


def decoded(rows: list[tuple[Any, ...]]) -> list[Logged]:
    """Read all rows of `READ`."""
    return [
        decode(position, stream, version, topic, bytes(state))
        for position, stream, version, topic, state in rows
    ]


def _uuid(stored: bytes) -> str:
    return str(UUID(bytes=bytes(stored)))
