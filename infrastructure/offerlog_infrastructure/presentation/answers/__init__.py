"""Answers as typed models: the one definition behind JSON, the OpenAPI document and its examples.

`documents` builds them from the values of the application. The command line prints them, the HTTP service
sends them, and `http.openapi.schemas` derives their schemas: the docstrings here are the descriptions there.
Each is a plain dictionary at run time, so that encoding it costs no conversion. Its keys stand in the order
that `documents` writes them.

The models bear the public names of the schemas, some of which are also names of the application. So they are
always written with their module: `answers.Outcome` is the document of an `Outcome`.
"""

from offerlog_infrastructure.presentation.answers.offers import (
    Decision,
    Eligibility,
    Freshness,
    History,
    HistoryEvent,
    Suppression,
    SuppressionPage,
    Suppressions,
    SuppressionsOfMany,
    VisitorSuppressions,
    WholeHistory,
)
from offerlog_infrastructure.presentation.answers.operations import (
    Alive,
    ProjectionProgress,
    Projections,
    ProjectionStatus,
    Ready,
)
from offerlog_infrastructure.presentation.answers.reports import (
    ActionMap,
    ActionMaps,
    Change,
    ChangedRows,
    Metrics,
    Performance,
    Proof,
    Rates,
    ReportHead,
    Row,
)
from offerlog_infrastructure.presentation.answers.signals import (
    KeptSignal,
    Outcome,
    Outcomes,
    ReasonCount,
    Refusal,
    RefusalCounts,
    RefusalPage,
)

__all__ = [
    "ActionMap",
    "ActionMaps",
    "Alive",
    "Change",
    "ChangedRows",
    "Decision",
    "Eligibility",
    "Freshness",
    "History",
    "HistoryEvent",
    "KeptSignal",
    "Metrics",
    "Outcome",
    "Outcomes",
    "Performance",
    "ProjectionProgress",
    "ProjectionStatus",
    "Projections",
    "Proof",
    "Rates",
    "Ready",
    "ReasonCount",
    "Refusal",
    "RefusalCounts",
    "RefusalPage",
    "ReportHead",
    "Row",
    "Suppression",
    "SuppressionPage",
    "Suppressions",
    "SuppressionsOfMany",
    "VisitorSuppressions",
    "WholeHistory",
]
