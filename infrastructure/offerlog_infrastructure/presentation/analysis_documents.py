"""Builders of the answers to analysts."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING, Final, cast

from offerlog_application.ports.offer_reads import OfferNumber
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.metrics import METRICS, MetricSet, OfferEnd
from offerlog_infrastructure.presentation.documents import format_time, show_position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offerlog_application.ports import offer_reads, recent_visitors
    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.ports.positions import LogPosition
    from offerlog_application.reading import analysis, funnel
    from offerlog_domain.identity import ActionMapId
    from offerlog_infrastructure.presentation import answers
    from offerlog_infrastructure.presentation.answers.analysis import ReportRange


NUMBERS: Final[Mapping[str, OfferNumber]] = {
    **{state.value: OfferNumber(state) for state in MetricSet.FULL.states},
    **{METRICS[state]: OfferNumber(state) for state in MetricSet.FULL.states},
    OfferEnd.REJECTED_AT_FORM: OfferNumber(State.REJECTED, Stage.FORM),
    OfferEnd.REJECTED_AT_INVITATION: OfferNumber(State.REJECTED, Stage.INVITATION),
    OfferEnd.OPEN: OfferNumber(State.OFFERED, None, OfferEnd.OPEN),
    OfferEnd.LAPSED: OfferNumber(State.OFFERED, None, OfferEnd.LAPSED),
}
"""The numbers that can be followed to their offers: metrics by state or vendor's name, and four ends."""


def describe_funnel(made: funnel.Funnel) -> answers.Funnel:
    """Describe a funnel."""
    return cast(
        "answers.Funnel",
        {
            **describe_range(made.query, made.position, made.short_by),
            "as_of": format_time(made.as_of),
            "total": _describe_part(made.total),
            "rows": [
                {
                    "action_map_id": part.action_map_id,
                    "action_map_name": part.action_map_name,
                    **_describe_part(part),
                }
                for part in made.parts
            ],
        },
    )


def _describe_part(part: funnel.FunnelPart) -> answers.FunnelNumbers:
    return cast(
        "answers.FunnelNumbers",
        {
            **{state.value: number for state, number in part.steps.items()},
            "ends": {end.value: number for end, number in part.ends.items()},
            "rates": dict(part.rates),
        },
    )


def describe_blocked_offers(made: analysis.BlockedOffers) -> answers.BlockedOffers:
    """Describe blocked offers; those of an unknown media type only where they are left out."""
    unknown = {} if made.query.media_type is None else {"unknown_media_type": made.unknown_media_type}
    return cast(
        "answers.BlockedOffers",
        {
            **describe_range(made.query, made.position, made.short_by),
            **unknown,
            "total": _describe_blocked(made.total),
            "reasons": [{"reason": one.reason, **_describe_blocked(one)} for one in made.reasons],
            "rows": [
                {
                    "action_map_id": one.action_map_id,
                    "action_map_name": None
                    if one.action_map_id is None
                    else made.names.get(one.action_map_id),
                    "reason": one.reason,
                    **_describe_blocked(one),
                }
                for one in made.parts
            ],
        },
    )


def _describe_blocked(one: offer_reads.BlockedCount) -> answers.BlockedNumbers:
    return {
        "blocked": one.blocked,
        "remembered": one.remembered,
        "visitors": one.visitors,
        "sessions": one.sessions,
    }


def describe_offer_times(made: analysis.OfferTimes) -> answers.OfferTimes:
    """Describe the times of steps."""
    return cast(
        "answers.OfferTimes",
        {
            **describe_range(made.query, made.position, made.short_by),
            "method": "exact",
            "total": _describe_steps(made.total),
            "rows": [
                {
                    "action_map_id": action_map,
                    "action_map_name": made.names.get(action_map),
                    **_describe_steps(steps),
                }
                for action_map, steps in made.parts.items()
            ],
        },
    )


def _describe_steps(steps: Mapping[State, offer_reads.StepTimes]) -> answers.TimesOfSteps:
    return cast("answers.TimesOfSteps", {state.value: one._asdict() for state, one in steps.items()})


def describe_listed_offer(one: offer_reads.ListedOffer) -> answers.ListedOffer:
    """Describe an action behind a number of a report."""
    return {
        "customer_id": one.customer_id,
        "customer_id_type": one.customer_id_type,
        "action_map_id": one.action_map_id,
        "action_number": one.action_number,
        "state": one.state.value,
        "at": format_time(one.reached_at),
        "offered_at": format_time(one.offered_at),
    }


def describe_offer_of_visitor(one: offer_reads.OfferOfVisitor) -> answers.OfferOfVisitor:
    """Describe an action map for a visitor."""
    return {
        "action_map_id": one.action_map_id,
        "action_map_name": one.action_map_name,
        "state": one.state.value,
        "stage": None if one.stage is None else one.stage.value,
        "since": format_time(one.since),
        "actions": one.actions,
        "suppressed": one.is_suppressed,
        "blocked_offers": one.blocked_offers,
    }


def describe_recent_visitor(
    one: recent_visitors.RecentVisitor, names: Mapping[ActionMapId, str]
) -> answers.RecentVisitor:
    """Describe a visitor with the newest event."""
    return {
        "customer_id": one.customer_id,
        "customer_id_type": one.customer_id_type,
        "action_map_id": one.action_map_id,
        "action_map_name": names.get(one.action_map_id),
        "event": one.event,
        "state": None if one.state is None else one.state.value,
        "occurred_at": format_time(one.occurred_at),
        "recorded_at": format_time(one.recorded_at),
        "position": one.position,
    }


def describe_range(query: ReportQuery, position: LogPosition, short_by: int) -> ReportRange:
    """Describe the range of a report; `short_by` only where events are missing."""
    described: ReportRange = {
        "from": query.start.astimezone(query.zone).isoformat() if query.start else None,
        "to": query.end.astimezone(query.zone).isoformat() if query.end else None,
        "zone": query.zone.key,
        "position": show_position(position),
    }
    if query.media_type is not None:
        described["media_type"] = str(query.media_type)
    if short_by:
        described["short_by"] = short_by
    return described
