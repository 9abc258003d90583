"""What answers look like as JSON; the command line and the HTTP service say the same."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from offerlog_domain.metrics import METRICS
from offerlog_domain.outcomes import OfferBlocked
from offerlog_infrastructure.presentation.escaping import guard_formulas

if TYPE_CHECKING:
    from offerlog_application.reading.audit import History
    from offerlog_application.reading.performance_report import PerformanceReport
    from offerlog_application.reading.read_models import (
        KeptSignal,
        ProjectionStatus,
        Proof,
        RefusalCounts,
        Suppression,
    )
    from offerlog_application.recording.offers import Eligibility
    from offerlog_domain.events import LifecycleEvent
    from offerlog_domain.outcomes import OfferOutcome, Outcome

Document = dict[str, Any]


def stamp(moment: datetime | None) -> str | None:
    """An instant as RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def outcome_document(outcome: Outcome) -> Document:
    """What became of one signal."""
    told: Document = {
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value if outcome.reason else None,
        "action_id": outcome.action_id,
        "state": outcome.state,
    }
    if outcome.cause is not None:
        told |= {"field": outcome.field, "cause": outcome.cause}
    return told


def offer_document(decision: OfferOutcome) -> Document:
    """What was decided about an offer."""
    by = decision.by if isinstance(decision, OfferBlocked) else None
    return {
        "decision": "offered" if by is None else "blocked",
        "action_id": decision.action_id,
        "reason": by.reason.value if by else None,
        "state": by.state.value if by else None,
        "since": stamp(by.since) if by else None,
        "blocking_action_id": by.action_id if by else None,
    }


def eligibility_document(found: Eligibility) -> Document:
    """Say whether an offer may be made, whether visitor and map are known, and what blocks the offer."""
    by = found.blocker
    return {
        "eligible": by is None,
        "known": found.known,
        "reason": by.reason.value if by else None,
        "state": by.state.value if by else None,
        "action_id": by.action_id if by else None,
        "since": stamp(by.since) if by else None,
    }


def suppression_document(one: Suppression) -> Document:
    """An offer that must not be made again."""
    return {
        "customer_id": one.customer_id,
        "customer_id_type": one.customer_id_type,
        "action_map_id": one.action_map_id,
        "state": one.state,
        "action_id": one.action_id,
        "since": stamp(one.since),
    }


def history_document(told: History) -> Document:
    """One visitor-offer, event by event."""
    events = [event_document(version, event) for version, event in enumerate(told.events, start=1)]
    return {
        "known": told.known,
        "state": told.state.value if told.state else None,
        "version": told.version,
        "events": events,
    }


def event_document(version: int, event: LifecycleEvent) -> Document:
    """One lifecycle event of a visitor-offer, with its place among them, from 1."""
    return {
        "version": version,
        "event": event.state.value,
        "action_id": event.action_id,
        "stage": event.stage.value if event.stage else None,
        "occurred_at": stamp(event.occurred_at),
        "recorded_at": stamp(event.recorded_at),
        "session_id": event.visitor.session_id,
        "error_code": event.error_code,
        "error_message": event.error_message,
        "event_id": event.event_id,
        "action_map_version": event.action_map_version,
        "timeout_seconds": event.timeout_seconds,
    }


def kept_document(one: KeptSignal) -> Document:
    """A signal that was refused, or waits; `signal` is the text that came, cut at 4 KiB of `signal_bytes`."""
    return {
        "recorded_at": stamp(one.recorded_at),
        "reason": one.reason.value if one.reason else None,
        "field": one.field,
        "cause": one.cause,
        "signal": one.raw.decode("utf-8", "backslashreplace"),
        "signal_bytes": one.raw_length,
    }


def refusal_counts_document(found: RefusalCounts) -> Document:
    """Refusals by reason, the most frequent first."""
    return {
        "since": stamp(found.since),
        "until": stamp(found.until),
        "refusals": sum(found.counts.values()),
        "reasons": [{"reason": reason.value, "refusals": count} for reason, count in found.counts.items()],
    }


def report_document(made: PerformanceReport) -> Document:
    """Action Map Performance."""
    query = made.query
    return {
        "from": query.start.astimezone(query.zone).isoformat() if query.start else None,
        "to": query.end.astimezone(query.zone).isoformat() if query.end else None,
        "zone": query.zone.key,
        "by": query.by.value,
        **({"short_by": made.short_by} if made.short_by else {}),
        "rows": [
            {
                "action_map_id": row.action_map_id,
                "action_map_name": row.action_map_name,
                "bucket": row.bucket,
                "metrics": dict(row.metrics),
                "rates": dict(row.rates),
            }
            for row in made.rows
        ],
    }


def report_table(made: PerformanceReport) -> list[list[Any]]:
    """Action Map Performance as rows for CSV, the header first."""
    metrics = [METRICS[state] for state in made.query.view.states]
    header = ["action_map_id", "action_map_name", "bucket", *metrics, "accepted_rate", "engaged_rate"]
    return [
        header,
        *(
            [
                row.action_map_id,
                guard_formulas(row.action_map_name or ""),
                row.bucket,
                *(row.metrics[metric] for metric in metrics),
                row.rates["accepted"],
                row.rates["engaged"],
            ]
            for row in made.rows
        ),
    ]


def status_document(one: ProjectionStatus) -> Document:
    """How far a projection is."""
    return {
        "projection": one.name,
        "position": one.position,
        "lag_events": one.lag_events,
        "lag_seconds": None if one.lag_seconds is None else round(one.lag_seconds, 3),
    }


def proof_document(proof: Proof) -> Document:
    """What a projection has folded in."""
    return {
        "projection": proof.projection,
        "position": proof.position,
        "events": proof.events,
        "digest": proof.digest,
        "short_by": proof.short_by,
    }
