"""Builders of answers about everything that is known of one visitor: documents, and sentences for people."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING

from offerlog_domain.lifecycle import LIFECYCLES, WEBCHAT
from offerlog_infrastructure.presentation.documents import format_optional_time, format_time

if TYPE_CHECKING:
    from offerlog_application.reading.timeline import EarlierAction, TimelineEntry
    from offerlog_infrastructure.presentation import answers


def describe_timeline_entry(entry: TimelineEntry) -> answers.TimelineEntry:
    """Describe an event of the log or a refused signal; bytes that are not UTF-8 are shown as escapes."""
    return {
        "kind": entry.kind,
        "summary": tell_timeline_entry(entry),
        "recorded_at": format_time(entry.recorded_at),
        "occurred_at": format_optional_time(entry.occurred_at),
        "action_map_id": entry.action_map_id,
        "action_id": entry.action_id,
        "action_number": entry.action_number,
        "state": entry.state,
        "stage": entry.stage.value if entry.stage else None,
        "reason": entry.reason.value if entry.reason else None,
        "position": entry.position,
        "version": entry.version,
        "session_id": entry.session_id,
        "event_id": entry.event_id,
        "error_code": entry.error_code,
        "error_message": entry.error_message,
        "action_map_version": entry.action_map_version,
        "timeout_seconds": entry.timeout_seconds,
        "previous_action": _describe_earlier(entry.previous_action),
        "blocked_by": _describe_earlier(entry.blocked_by),
        "ended_versions": list(entry.ended_versions),
        "field": entry.field,
        "cause": entry.cause,
        "signal": None if entry.text is None else entry.text.decode("utf-8", "backslashreplace"),
        "signal_bytes": None if entry.text is None else entry.text_length,
    }


def _describe_earlier(action: EarlierAction | None) -> answers.EarlierAction | None:
    if action is None:
        return None
    return {"action_id": action.action_id, "state": action.state.value, "since": format_time(action.since)}


def tell_timeline_entry(entry: TimelineEntry) -> str:
    """Describe an entry in one sentence for people, with the reason for a second offer. Times are in UTC."""
    return "; ".join([_tell_what(entry), *_tell_details(entry)])


def _tell_what(entry: TimelineEntry) -> str:
    action = f", action {entry.action_id}" if entry.action_id else ""
    if entry.kind == "signal-parked":
        return f"{entry.state} parked: its action is not yet so far{action}"
    if entry.kind == "parking-ended":
        return f"{entry.state} given up: its action did not get so far in time{action}"
    if entry.kind in {"offer-refused", "refused"}:
        what = "offer" if entry.kind == "offer-refused" else f"signal {entry.state or ''}".rstrip()
        fault = ": ".join(part for part in (entry.field, entry.cause) if part)
        return f"{what} refused: {entry.reason}{f' ({fault})' if fault else ''}{action}"
    error = ": ".join(part for part in (entry.error_code, entry.error_message) if part)
    timeout = f"for {entry.timeout_seconds} s" if entry.timeout_seconds else ""
    details = ", ".join(part for part in (entry.stage, error, timeout) if part)
    number = f" {entry.action_number}" if entry.action_number else ""
    action = f", action{number} {entry.action_id}"
    return f"{entry.state}{f' ({details})' if details else ''}{action}"


def _tell_details(entry: TimelineEntry) -> list[str]:
    details = []
    before, blocking = entry.previous_action, entry.blocked_by
    if before is not None:
        details.append(f"offered again because {_tell_why_free(before)}")
    if blocking is not None:
        since = format_time(blocking.since)
        details.append(f"blocked by action {blocking.action_id}, {blocking.state} since {since}")
    if entry.ended_versions:
        events = " and ".join(map(str, entry.ended_versions))
        details.append(f"ends the parking of event {events}")
    return details


def _tell_why_free(before: EarlierAction) -> str:
    """Say why an earlier action did not block: it had lapsed, suppresses nothing, or its time was over."""
    since = format_time(before.since)
    action = f"the action before, {before.action_id},"
    lifecycle = LIFECYCLES[before.media_type or WEBCHAT.media_type]
    if not lifecycle.is_final(before.state):
        return f"{action} had been silent since it was {before.state} at {since}, and had lapsed"
    if before.state not in lifecycle.terminal:
        return f"{action} had {before.state} at {since}, which suppresses nothing"
    return f"{action} was {before.state} at {since}, and its cool-down was over"
