"""The lines of `events.ndjson` in a bundle: one event each, in the only spelling that the verifier takes."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from offerlog_domain.event_fields import Event
from offerlog_domain.events import LifecycleEvent
from offerlog_domain.transparency.leaves import UNSPLIT, StoredRow, sealed_digest, split_state


def disclose(index: int, row: StoredRow, event: Event | None) -> bytes:
    """Return the line of an event whose public part is disclosed.

    Args:
        index: The index of its leaf.
        row: The event as stored.
        event: Its public fields; None if this build cannot read them.
    """
    position, stream, version, topic, state = row
    parts = split_state(state)
    public, sealed = (state, UNSPLIT) if parts is None else (parts[0], sealed_digest(parts[1]))
    return _write(
        {
            "index": index,
            "position": position,
            "version": version,
            "stream": str(UUID(bytes=bytes(stream))),
            "topic": topic,
            **_readable(event),
            "public": b64encode(public).decode(),
            "sealed_sha256": sealed.hex(),
        }
    )


def withhold(index: int, leaf: bytes) -> bytes:
    """Return the line of an event of which the bundle has the hash alone."""
    return _write({"index": index, "leaf": leaf.hex()})


def _readable(event: Event | None) -> dict[str, str | None]:
    """Return the fields that reports count, as text; all None for an event that reaches no state."""
    if not isinstance(event, LifecycleEvent):
        names = "organization", "action_map_id", "recorded_at", "occurred_at", "offered_at", "state", "stage"
        return dict.fromkeys(names)
    return {
        "organization": event.organization,
        "action_map_id": str(event.action_map_id),
        "recorded_at": _time(event.recorded_at),
        "occurred_at": _time(event.occurred_at),
        "offered_at": _time(event.offered_at),
        "state": event.state.value,
        "stage": None if event.stage is None else event.stage.value,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _write(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
