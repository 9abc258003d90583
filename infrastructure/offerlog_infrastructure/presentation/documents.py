"""Builders of the answers; the command line and the HTTP service share them."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from offerlog_domain.outcomes import OfferBlocked
from offerlog_domain.stream_ids import format_slices

if TYPE_CHECKING:
    from offerlog_application.ports.positions import LogPosition
    from offerlog_application.ports.read_models import (
        Freshness,
        KeptSignal,
        ProjectionStatus,
        Proof,
        RefusalCounts,
        Suppression,
    )
    from offerlog_application.reading.audit import History, HistoryEvent
    from offerlog_application.reading.performance_report import PerformanceReport, ReportRow
    from offerlog_application.recording.offers import Eligibility
    from offerlog_domain.outcomes import OfferOutcome, Outcome
    from offerlog_infrastructure.presentation import answers


def format_time(moment: datetime) -> str:
    """Format an instant as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_optional_time(moment: datetime | None) -> str | None:
    """Format an instant as RFC 3339 in UTC; None stays None."""
    return None if moment is None else format_time(moment)


def round_seconds(seconds: float | None) -> float | None:
    """Round seconds to milliseconds; None stays None."""
    return None if seconds is None else round(seconds, 3)


def describe_outcome(outcome: Outcome) -> answers.Outcome:
    """Describe the result of one signal."""
    answer: answers.Outcome = {
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value if outcome.reason else None,
        "action_id": outcome.action_id,
        "state": outcome.state,
    }
    if outcome.cause is not None:
        answer["field"] = outcome.field
        answer["cause"] = outcome.cause
    return answer


def describe_offer(decision: OfferOutcome) -> answers.Decision:
    """Describe the decision about an offer."""
    blocker = decision.by if isinstance(decision, OfferBlocked) else None
    return {
        "decision": "offered" if blocker is None else "blocked",
        "action_id": decision.action_id,
        "reason": blocker.reason.value if blocker else None,
        "state": blocker.state.value if blocker else None,
        "since": format_time(blocker.since) if blocker else None,
        "blocking_action_id": blocker.action_id if blocker else None,
    }


def describe_eligibility(eligibility: Eligibility) -> answers.Eligibility:
    """Describe the answer to the question whether a map may offer to a visitor."""
    blocker = eligibility.blocker
    return {
        "eligible": blocker is None,
        "known": eligibility.known,
        "reason": blocker.reason.value if blocker else None,
        "state": blocker.state.value if blocker else None,
        "action_id": blocker.action_id if blocker else None,
        "since": format_time(blocker.since) if blocker else None,
    }


def describe_suppression(suppression: Suppression) -> answers.Suppression:
    """Describe an offer that must not be made again."""
    return {
        "customer_id": suppression.customer_id,
        "customer_id_type": suppression.customer_id_type,
        "action_map_id": suppression.action_map_id,
        "state": suppression.state,
        "action_id": suppression.action_id,
        "since": format_time(suppression.since),
        "until": format_optional_time(suppression.until),
    }


def show_position(position: LogPosition) -> int | str:
    """Return a position as answers have it: a number, or a text of several positions."""
    return position if isinstance(position, int) else str(position)


def describe_freshness(freshness: Freshness) -> answers.Freshness:
    """Describe the age of the data that look-ups answer from."""
    return {
        "position": show_position(freshness.position),
        "age_seconds": freshness.age_seconds,
        "short_by": freshness.short_by,
    }


def describe_history(history: History) -> answers.WholeHistory:
    """Describe all lifecycle events of a visitor-offer."""
    return {
        "known": history.known,
        "state": history.state.value if history.state else None,
        "version": history.version,
        "events": [describe_event(version, event) for version, event in enumerate(history.events, start=1)],
    }


def describe_event(version: int, event: HistoryEvent) -> answers.HistoryEvent:
    """Describe one lifecycle event of a visitor-offer.

    Args:
        version: Place of the event in the visitor-offer, from 1.
        event: The event.
    """
    return {
        "version": version,
        "event": event.state.value,
        "action_id": event.action_id,
        "stage": event.stage.value if event.stage else None,
        "occurred_at": format_time(event.occurred_at),
        "recorded_at": format_time(event.recorded_at),
        "session_id": event.session_id,
        "error_code": event.error_code,
        "error_message": event.error_message,
        "event_id": event.event_id,
        "action_map_version": event.action_map_version,
        "timeout_seconds": event.timeout_seconds,
    }


def describe_kept_signal(kept: KeptSignal) -> answers.KeptSignal:
    """Describe a signal that was refused or is parked; bytes that are not UTF-8 are shown as escapes."""
    return {
        "recorded_at": format_time(kept.recorded_at),
        "reason": kept.reason.value if kept.reason else None,
        "field": kept.field,
        "cause": kept.cause,
        "signal": kept.raw.decode("utf-8", "backslashreplace"),
        "signal_bytes": kept.raw_length,
    }


def describe_refusal(refused: KeptSignal) -> answers.Refusal:
    """Describe a refused signal, with its place among the refusals of the same time."""
    return cast("answers.Refusal", {**describe_kept_signal(refused), "number": refused.number})


def describe_refusal_counts(counts: RefusalCounts) -> answers.RefusalCounts:
    """Describe the number of refusals by reason, the most frequent first."""
    return {
        "since": format_optional_time(counts.since),
        "until": format_optional_time(counts.until),
        "refusals": sum(counts.counts.values()),
        "reasons": [{"reason": reason.value, "refusals": count} for reason, count in counts.counts.items()],
    }


def describe_report_head(report: PerformanceReport) -> answers.ReportHead:
    """Describe the time and grouping of a performance report; `short_by` only where events are missing."""
    query = report.query
    head: answers.ReportHead = {
        "from": query.start.astimezone(query.zone).isoformat() if query.start else None,
        "to": query.end.astimezone(query.zone).isoformat() if query.end else None,
        "zone": query.zone.key,
        "by": query.by.value,
    }
    if query.media_type is not None:
        head["media_type"] = str(query.media_type)
    if report.short_by:
        head["short_by"] = report.short_by
    if report.missing_slices:
        head["missing_slices"] = format_slices(report.missing_slices)
    return head


def describe_row(row: ReportRow) -> answers.Row:
    """Describe an action map in a bucket of a performance report."""
    return {
        "action_map_id": row.action_map_id,
        "action_map_name": row.action_map_name,
        "bucket": row.bucket,
        "metrics": cast("answers.Metrics", dict(row.metrics)),
        "rates": {"accepted": row.rates["accepted"], "engaged": row.rates["engaged"]},
    }


def describe_report(report: PerformanceReport, proof: Proof | None = None) -> answers.Performance:
    """Describe a performance report, with the evidence of the events counted if that is given."""
    rows = [describe_row(row) for row in report.rows]
    answer = cast("answers.Performance", {**describe_report_head(report), "rows": rows})
    if proof is not None:
        answer["proof"] = describe_proof(proof)
    return answer


def describe_action_map(action_map: tuple[str, str | None]) -> answers.ActionMap:
    """Describe an action map, given as its id and its newest known display name."""
    return {"action_map_id": action_map[0], "action_map_name": action_map[1]}


def describe_progress(status: ProjectionStatus) -> answers.ProjectionProgress:
    """Describe the progress of a projection."""
    return {
        "projection": status.name,
        "position": status.position,
        "lag_events": status.lag_events,
        "lag_seconds": round_seconds(status.lag_seconds),
    }


def describe_status(status: ProjectionStatus) -> answers.ProjectionStatus:
    """Describe the progress of a projection, with the events that it is missing."""
    return {**describe_progress(status), "short_by": status.short_by}


def describe_proof(proof: Proof) -> answers.Proof:
    """Describe the evidence of the events that a projection has applied."""
    return {
        "projection": proof.projection,
        "position": show_position(proof.position),
        "events": proof.events,
        "digest": proof.digest,
        "short_by": proof.short_by,
    }
