"""Typed clients of the HTTP service of offerlog, for threads and for asyncio.

They need httpx, and nothing of offerlog itself.
"""

from offerlog_client.answers import (
    ActionMap,
    Decision,
    Eligibility,
    History,
    HistoryEvent,
    Outcome,
    Performance,
    PolicyInForce,
    Problem,
    Refusal,
    RefusalCounts,
    Row,
    Signal,
    Suppression,
    Suppressions,
    SuppressionsOfMany,
    TimelineEntry,
)
from offerlog_client.async_client import AsyncOfferlogClient
from offerlog_client.client import OfferlogClient
from offerlog_client.service_error import ServiceError
from offerlog_client.visitor_tokens import visitor_token

__all__ = [
    "ActionMap",
    "AsyncOfferlogClient",
    "Decision",
    "Eligibility",
    "History",
    "HistoryEvent",
    "OfferlogClient",
    "Outcome",
    "Performance",
    "PolicyInForce",
    "Problem",
    "Refusal",
    "RefusalCounts",
    "Row",
    "ServiceError",
    "Signal",
    "Suppression",
    "Suppressions",
    "SuppressionsOfMany",
    "TimelineEntry",
    "visitor_token",
]
