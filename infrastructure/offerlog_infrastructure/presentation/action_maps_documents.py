"""Builders of the answer of the action maps report, and its comparisons in words."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final, cast

from offerlog_domain.metrics import COMPARED_RATES, CountBy
from offerlog_infrastructure.presentation.analysis_documents import describe_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from offerlog_application.reading.action_maps import ActionMapsReport, ActionMapsRow
    from offerlog_infrastructure.presentation import answers

_SUBJECTS: Final[Mapping[CountBy, Mapping[str, str]]] = {
    CountBy.ACTIONS: {
        "accepted": "Offers of version {} are accepted",
        "engaged": "Accepted offers of version {} reach an agent",
        "engaged_of_offered": "Offers of version {} reach an agent",
    },
    CountBy.VISITORS: {
        "accepted": "Visitors who were offered version {} accept",
        "engaged": "Visitors who accepted version {} reach an agent",
        "engaged_of_offered": "Visitors who were offered version {} reach an agent",
    },
}

_TENTH: Final = Decimal("0.1")


def describe_action_maps_report(made: ActionMapsReport) -> answers.ActionMapsReport:
    """Describe an action maps report."""
    return cast(
        "answers.ActionMapsReport",
        {
            **describe_range(made.query, made.position, made.short_by),
            "count_by": made.query.count_by.value,
            "cohort": made.query.cohort.value,
            "by_version": made.by_version,
            "baseline": made.baseline,
            "rows": [_describe_row(row, made) for row in made.rows],
        },
    )


def _describe_row(row: ActionMapsRow, made: ActionMapsReport) -> answers.ActionMapsRow:
    counts = {state.value: count for state, count in row.counts.items()}
    described: dict[str, object] = {
        "action_map_id": row.action_map_id,
        "action_map_name": row.action_map_name,
        "media_type": row.media_type,
        **({"action_map_version": row.version} if made.by_version else {}),
        "qualified": counts.pop("qualified"),
        "blocked": row.blocked,
        **counts,
        "rates": dict(row.rates),
    }
    if made.by_version:
        described["comparison"] = _describe_comparison(row, made.query.count_by)
    return cast("answers.ActionMapsRow", described)


def _describe_comparison(row: ActionMapsRow, count_by: CountBy) -> answers.VersionComparison | None:
    compared = row.comparison
    if compared is None:
        return None
    described: dict[str, object] = {"baseline": compared.baseline}
    for name in COMPARED_RATES:
        found = compared.differences[name]
        words = describe_difference(row, name, count_by)
        described[name] = found and {
            **found._asdict(),
            "excludes_zero": found.excludes_zero,
            "in_words": words,
        }
    return cast("answers.VersionComparison", described)


def describe_difference(row: ActionMapsRow, rate: str, count_by: CountBy) -> str:
    """Say in a sentence how a rate of a version differs from its baseline; empty without a difference.

    Differences are in percentage points, with as many digits as show that they are not 0.
    """
    found = None if row.comparison is None else row.comparison.differences[rate]
    if row.comparison is None or found is None:
        return ""
    if found.difference:
        more = "more" if found.difference > 0 else "less"
        compared = f"{format_points(abs(found.difference))} points {more} often than"
    else:
        compared = "as often as"
    verdict = "excludes 0" if found.excludes_zero else "includes 0, so chance alone may explain it"
    subject = _SUBJECTS[count_by][rate].format(row.version)
    return (
        f"{subject} {compared} those of version {row.comparison.baseline};"
        f" the 95 % interval from {format_points(found.low)} to {format_points(found.high)} {verdict}."
    )


def format_points(fraction: float) -> str:
    """Return a difference of rates in percentage points: 3.1, -0.4, 0.02, 0.

    The dashboard rounds by the same rule: halves away from 0, and as many digits as show that it is not 0.
    """
    points = Decimal(100 * fraction)
    if not points:
        return "0"
    rounded = points.quantize(_TENTH, ROUND_HALF_UP)
    return f"{rounded or Decimal(f'{points:.1g}'):f}"
