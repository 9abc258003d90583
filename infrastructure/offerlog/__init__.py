"""The log of web chat offers: everything a program that uses offerlog imports.

```python
from offerlog import open_offerlog

with open_offerlog() as service:
    print(service.organization)
```

Names outside this package and `offerlog.testing` are not public. Each name is loaded at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from offerlog.places import HOMES

if TYPE_CHECKING:
    from offerlog_application.aio import AsyncOfferlog
    from offerlog_application.aio_policies import AsyncPolicies
    from offerlog_application.evidence.evidence import Consistency
    from offerlog_application.evidence.findings import AuditReport, Finding, FindingKind
    from offerlog_application.feed.cloud_events import describe_event
    from offerlog_application.feed.feed_event import FeedEvent
    from offerlog_application.feed.filters import FeedFilter
    from offerlog_application.feed.reading_feed import EventFeed, FeedNews, FeedPage
    from offerlog_application.feed.subscriptions import Subscriptions
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.clock import Clock
    from offerlog_application.ports.erasure import (
        Erasure,
        ErasureUnfinishedError,
        HeldRow,
        LegalHold,
        LegalHoldError,
        NoSuchVisitorError,
        OrganizationInUseError,
    )
    from offerlog_application.ports.event_log import (
        ClosedError,
        OutcomeUnknownError,
        SliceElsewhereError,
        StoreUnavailableError,
        UnreadableEventError,
    )
    from offerlog_application.ports.event_source import PositionAheadError
    from offerlog_application.ports.keyring import Keyring, KeyringError, WrappedKey
    from offerlog_application.ports.keys import Key, KeyExpiryError, NotAnOriginError, Role, UnknownKeyError
    from offerlog_application.ports.master_keys import (
        KeyInUseError,
        MasterKey,
        Rotation,
        RotationProgress,
        RotationRunningError,
    )
    from offerlog_application.ports.offer_reads import (
        BlockedCount,
        ListedOffer,
        ListPlace,
        OfferNumber,
        OfferOfVisitor,
        OfferPage,
        StepTimes,
    )
    from offerlog_application.ports.organizations import OrganizationNameError
    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.ports.projections import UnknownProjectionError
    from offerlog_application.ports.read_models import (
        DeadLetter,
        Freshness,
        KeptSignal,
        Lookup,
        NoReplicaError,
        Order,
        ProjectionsBehindError,
        ProjectionStatus,
        Proof,
        RefusalCounts,
        ReplicaStaleError,
        SliceDifference,
        StoredKind,
        Suppression,
        TooManySuppressionsError,
        UnknownVisitorError,
    )
    from offerlog_application.ports.rebuilds import (
        EndedWorker,
        NotProjectedError,
        ProjectionsDifferError,
        RebuildProgress,
        RebuildRunningError,
        RebuildWorkersError,
        TablesInUseError,
    )
    from offerlog_application.ports.recent_visitors import RecentVisitor, RecentVisitorPage, VisitorsPlace
    from offerlog_application.ports.sealed_tree import (
        AuditKeyError,
        CheckpointFolderError,
        ForkError,
        NotSealedError,
        TreeProgress,
    )
    from offerlog_application.ports.store_trouble import StoreTrouble
    from offerlog_application.ports.subscriptions import (
        Subscription,
        SubscriptionLimitError,
        UnknownSubscriptionError,
    )
    from offerlog_application.ports.tracing import Commit, ProjectedPage, Trace
    from offerlog_application.ports.webhooks import (
        DisableReason,
        UnknownWebhookError,
        WebhookDelivery,
        WebhookEndpoint,
        WebhookLag,
        WebhookLimitError,
        WebhookResult,
    )
    from offerlog_application.ports.write_fence import FenceTimeoutError
    from offerlog_application.reading.action_maps import ActionMapsReport, ActionMapsRow, VersionComparison
    from offerlog_application.reading.analysis import Analysis, BlockedOffers, OfferTimes, VisitorOverview
    from offerlog_application.reading.arrow import ExtraMissingError
    from offerlog_application.reading.audit import History, HistoryEvent
    from offerlog_application.reading.funnel import Funnel, FunnelPart
    from offerlog_application.reading.instants import CalendarError, instant, zone
    from offerlog_application.reading.issued_reports import (
        ComparedReport,
        ExplainedEvent,
        Explanation,
        IssuedReport,
        Replay,
        ReportNotIssuedError,
    )
    from offerlog_application.reading.map_names import UnknownActionMapError
    from offerlog_application.reading.performance_report import (
        UNLIMITED,
        PerformanceReport,
        ReportLimits,
        ReportRow,
        ReportTooLargeError,
    )
    from offerlog_application.reading.read_budget import ReadBudget, ReadCancelledError, ReadTimeoutError
    from offerlog_application.reading.timeline import EarlierAction, TimelineEntry, TimelinePlace
    from offerlog_application.recording.action_map_policies import ActionMapPolicies, PolicyChange
    from offerlog_application.recording.batches import Receipt
    from offerlog_application.recording.expiry import Expired
    from offerlog_application.recording.offers import Eligibility, OfferArguments
    from offerlog_application.recording.pending_answer import PendingAnswer
    from offerlog_application.recording.signal_text import SignalInput
    from offerlog_application.recording.submissions import OverloadedError
    from offerlog_application.recording.writer import WriterHealth
    from offerlog_application.recording.writer_errors import (
        ContendedError,
        OrganizationDeletedError,
        WriterFailedError,
    )
    from offerlog_application.refusals.policy import RefusalPolicy
    from offerlog_application.webhooks.webhooks import NewWebhook, WatchedWebhook, Webhooks
    from offerlog_domain.action_map_policies import ActionMapPolicy
    from offerlog_domain.context import Rules
    from offerlog_domain.errors import ArgumentError, ArgumentTypeError, OfferlogError
    from offerlog_domain.event_fields import Event, PrivateFields
    from offerlog_domain.identity import VisitorKey
    from offerlog_domain.lifecycle import Lifecycle, Stage, State, Transition, UntrackedState
    from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet, OfferEnd
    from offerlog_domain.outcomes import (
        Blocker,
        OfferBlocked,
        OfferMade,
        OfferOutcome,
        Outcome,
        OutcomeKind,
        Reason,
    )
    from offerlog_domain.rate_differences import RateDifference
    from offerlog_domain.signals import MalformedSignalError, Signal
    from offerlog_domain.transparency.errors import NoteError, ProofError, SignatureError
    from offerlog_infrastructure.composition import open_offerlog
    from offerlog_infrastructure.embedded.binaries import Binaries, find_binaries
    from offerlog_infrastructure.embedded.errors import (
        EmbeddedError,
        FolderNotPrivateError,
        ForeignFolderError,
    )
    from offerlog_infrastructure.embedded.server import EmbeddedServer
    from offerlog_infrastructure.forking import ForkedServiceError
    from offerlog_infrastructure.postgres.conversion.errors import ConversionError
    from offerlog_infrastructure.postgres.migrations import SchemaNotMadeError, SchemaTooNewError
    from offerlog_infrastructure.replica.store import ReplicaFolderError
    from offerlog_infrastructure.sealing import UnsealError
    from offerlog_infrastructure.server_address import ServerAddressError
    from offerlog_infrastructure.settings_file import SettingsError
    from offerlog_infrastructure.store_missing import StoreMissingError

__all__ = [
    "UNLIMITED",
    "ActionMapPolicies",
    "ActionMapPolicy",
    "ActionMapsReport",
    "ActionMapsRow",
    "Analysis",
    "ArgumentError",
    "ArgumentTypeError",
    "AsyncOfferlog",
    "AsyncPolicies",
    "AuditKeyError",
    "AuditReport",
    "Binaries",
    "BlockedCount",
    "BlockedOffers",
    "Blocker",
    "CalendarError",
    "CheckpointFolderError",
    "Clock",
    "ClosedError",
    "Cohort",
    "Commit",
    "ComparedReport",
    "Consistency",
    "ContendedError",
    "ConversionError",
    "CountBy",
    "DeadLetter",
    "DisableReason",
    "EarlierAction",
    "Eligibility",
    "EmbeddedError",
    "EmbeddedServer",
    "EndedWorker",
    "Erasure",
    "ErasureUnfinishedError",
    "Event",
    "EventFeed",
    "Expired",
    "ExplainedEvent",
    "Explanation",
    "ExtraMissingError",
    "FeedEvent",
    "FeedFilter",
    "FeedNews",
    "FeedPage",
    "FenceTimeoutError",
    "Finding",
    "FindingKind",
    "FolderNotPrivateError",
    "ForeignFolderError",
    "ForkError",
    "ForkedServiceError",
    "Freshness",
    "Funnel",
    "FunnelPart",
    "Granularity",
    "HeldRow",
    "History",
    "HistoryEvent",
    "IssuedReport",
    "KeptSignal",
    "Key",
    "KeyExpiryError",
    "KeyInUseError",
    "Keyring",
    "KeyringError",
    "LegalHold",
    "LegalHoldError",
    "Lifecycle",
    "ListPlace",
    "ListedOffer",
    "Lookup",
    "MalformedSignalError",
    "MasterKey",
    "MetricSet",
    "NewWebhook",
    "NoReplicaError",
    "NoSuchVisitorError",
    "NotAnOriginError",
    "NotProjectedError",
    "NotSealedError",
    "NoteError",
    "OfferArguments",
    "OfferBlocked",
    "OfferEnd",
    "OfferMade",
    "OfferNumber",
    "OfferOfVisitor",
    "OfferOutcome",
    "OfferPage",
    "OfferTimes",
    "Offerlog",
    "OfferlogError",
    "Order",
    "OrganizationDeletedError",
    "OrganizationInUseError",
    "OrganizationNameError",
    "Outcome",
    "OutcomeKind",
    "OutcomeUnknownError",
    "OverloadedError",
    "PendingAnswer",
    "PerformanceReport",
    "PolicyChange",
    "PositionAheadError",
    "PrivateFields",
    "ProjectedPage",
    "ProjectionStatus",
    "ProjectionsBehindError",
    "ProjectionsDifferError",
    "Proof",
    "ProofError",
    "RateDifference",
    "ReadBudget",
    "ReadCancelledError",
    "ReadTimeoutError",
    "Reason",
    "RebuildProgress",
    "RebuildRunningError",
    "RebuildWorkersError",
    "Receipt",
    "RecentVisitor",
    "RecentVisitorPage",
    "RefusalCounts",
    "RefusalPolicy",
    "Replay",
    "ReplicaFolderError",
    "ReplicaStaleError",
    "ReportLimits",
    "ReportNotIssuedError",
    "ReportQuery",
    "ReportRow",
    "ReportTooLargeError",
    "Role",
    "Rotation",
    "RotationProgress",
    "RotationRunningError",
    "Rules",
    "SchemaNotMadeError",
    "SchemaTooNewError",
    "ServerAddressError",
    "SettingsError",
    "Signal",
    "SignalInput",
    "SignatureError",
    "SliceDifference",
    "SliceElsewhereError",
    "Stage",
    "State",
    "StepTimes",
    "StoreMissingError",
    "StoreTrouble",
    "StoreUnavailableError",
    "StoredKind",
    "Subscription",
    "SubscriptionLimitError",
    "Subscriptions",
    "Suppression",
    "TablesInUseError",
    "TimelineEntry",
    "TimelinePlace",
    "TooManySuppressionsError",
    "Trace",
    "Transition",
    "TreeProgress",
    "UnknownActionMapError",
    "UnknownKeyError",
    "UnknownProjectionError",
    "UnknownSubscriptionError",
    "UnknownVisitorError",
    "UnknownWebhookError",
    "UnreadableEventError",
    "UnsealError",
    "UntrackedState",
    "VersionComparison",
    "VisitorKey",
    "VisitorOverview",
    "VisitorsPlace",
    "WatchedWebhook",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookLag",
    "WebhookLimitError",
    "WebhookResult",
    "Webhooks",
    "WrappedKey",
    "WriterFailedError",
    "WriterHealth",
    "describe_event",
    "find_binaries",
    "instant",
    "open_offerlog",
    "zone",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'offerlog' has no attribute {name!r}")
    return globals().setdefault(name, getattr(import_module(HOMES[name]), name))


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
