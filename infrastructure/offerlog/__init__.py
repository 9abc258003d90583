"""The log of web chat offers: everything a program that uses offerlog imports.

```python
from offerlog import open_offerlog

with open_offerlog() as service:
    print(service.organization)
```

Names outside this package and `offerlog.testing` are not public. Each name is loaded at its first use, so
`import offerlog` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from offerlog_application.aio import AsyncOfferlog
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.clock import Clock
    from offerlog_application.ports.event_log import ClosedError, OutcomeUnknownError, StoreUnavailableError
    from offerlog_application.ports.keyring import Keyring, KeyringError, WrappedKey
    from offerlog_application.ports.keys import Key, NotAnOriginError, Role, UnknownKeyError
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
    from offerlog_application.ports.store_trouble import StoreTrouble
    from offerlog_application.ports.tracing import Commit, ProjectedPage, Trace
    from offerlog_application.reading.audit import History, HistoryEvent
    from offerlog_application.reading.instants import CalendarError, instant, zone
    from offerlog_application.reading.performance_report import (
        UNLIMITED,
        PerformanceReport,
        ReportLimits,
        ReportRow,
        ReportTooLargeError,
    )
    from offerlog_application.reading.read_budget import ReadBudget, ReadCancelledError, ReadTimeoutError
    from offerlog_application.recording.batches import Receipt
    from offerlog_application.recording.expiry import Expired
    from offerlog_application.recording.offers import Eligibility, OfferArguments
    from offerlog_application.recording.pending_answer import PendingAnswer
    from offerlog_application.recording.signal_text import SignalInput
    from offerlog_application.recording.submissions import OverloadedError
    from offerlog_application.recording.writer import WriterHealth
    from offerlog_application.recording.writer_errors import ContendedError, WriterFailedError
    from offerlog_application.refusals.policy import RefusalPolicy
    from offerlog_domain.context import Rules
    from offerlog_domain.errors import ArgumentError, ArgumentTypeError, OfferlogError
    from offerlog_domain.identity import VisitorKey
    from offerlog_domain.lifecycle import Lifecycle, Stage, State, Transition, UntrackedState
    from offerlog_domain.metrics import Cohort, CountBy, Granularity, MetricSet
    from offerlog_domain.outcomes import (
        Blocker,
        OfferBlocked,
        OfferMade,
        OfferOutcome,
        Outcome,
        OutcomeKind,
        Reason,
    )
    from offerlog_domain.signals import MalformedSignalError, Signal
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
    from offerlog_infrastructure.postgres.log.mapper import UnreadableEventError
    from offerlog_infrastructure.postgres.migrations import SchemaNotMadeError, SchemaTooNewError
    from offerlog_infrastructure.replica.store import ReplicaFolderError
    from offerlog_infrastructure.sealing import UnsealError
    from offerlog_infrastructure.server_address import ServerAddressError
    from offerlog_infrastructure.settings import SettingsError
    from offerlog_infrastructure.store_missing import StoreMissingError

__all__ = [
    "UNLIMITED",
    "ArgumentError",
    "ArgumentTypeError",
    "AsyncOfferlog",
    "Binaries",
    "Blocker",
    "CalendarError",
    "Clock",
    "ClosedError",
    "Cohort",
    "Commit",
    "ContendedError",
    "ConversionError",
    "CountBy",
    "DeadLetter",
    "Eligibility",
    "EmbeddedError",
    "EmbeddedServer",
    "EndedWorker",
    "Expired",
    "FolderNotPrivateError",
    "ForeignFolderError",
    "ForkedServiceError",
    "Freshness",
    "Granularity",
    "History",
    "HistoryEvent",
    "KeptSignal",
    "Key",
    "Keyring",
    "KeyringError",
    "Lifecycle",
    "Lookup",
    "MalformedSignalError",
    "MetricSet",
    "NoReplicaError",
    "NotAnOriginError",
    "NotProjectedError",
    "OfferArguments",
    "OfferBlocked",
    "OfferMade",
    "OfferOutcome",
    "Offerlog",
    "OfferlogError",
    "Order",
    "OrganizationNameError",
    "Outcome",
    "OutcomeKind",
    "OutcomeUnknownError",
    "OverloadedError",
    "PendingAnswer",
    "PerformanceReport",
    "ProjectedPage",
    "ProjectionStatus",
    "ProjectionsBehindError",
    "ProjectionsDifferError",
    "Proof",
    "ReadBudget",
    "ReadCancelledError",
    "ReadTimeoutError",
    "Reason",
    "RebuildProgress",
    "RebuildRunningError",
    "RebuildWorkersError",
    "Receipt",
    "RefusalCounts",
    "RefusalPolicy",
    "ReplicaFolderError",
    "ReplicaStaleError",
    "ReportLimits",
    "ReportQuery",
    "ReportRow",
    "ReportTooLargeError",
    "Role",
    "Rules",
    "SchemaNotMadeError",
    "SchemaTooNewError",
    "ServerAddressError",
    "SettingsError",
    "Signal",
    "SignalInput",
    "SliceDifference",
    "Stage",
    "State",
    "StoreMissingError",
    "StoreTrouble",
    "StoreUnavailableError",
    "StoredKind",
    "Suppression",
    "TablesInUseError",
    "TooManySuppressionsError",
    "Trace",
    "Transition",
    "UnknownKeyError",
    "UnknownProjectionError",
    "UnknownVisitorError",
    "UnreadableEventError",
    "UnsealError",
    "UntrackedState",
    "VisitorKey",
    "WrappedKey",
    "WriterFailedError",
    "WriterHealth",
    "find_binaries",
    "instant",
    "open_offerlog",
    "zone",
]

_MODULES: Final = {
    "offerlog_application.aio": ("AsyncOfferlog",),
    "offerlog_application.offerlog": ("Offerlog",),
    "offerlog_application.ports.clock": ("Clock",),
    "offerlog_application.ports.event_log": ("ClosedError", "OutcomeUnknownError", "StoreUnavailableError"),
    "offerlog_application.ports.keyring": ("Keyring", "KeyringError", "WrappedKey"),
    "offerlog_application.ports.keys": ("Key", "NotAnOriginError", "Role", "UnknownKeyError"),
    "offerlog_application.ports.organizations": ("OrganizationNameError",),
    "offerlog_application.ports.performance_counts": ("ReportQuery",),
    "offerlog_application.ports.projections": ("UnknownProjectionError",),
    "offerlog_application.ports.read_models": (
        "DeadLetter",
        "Freshness",
        "KeptSignal",
        "Lookup",
        "NoReplicaError",
        "Order",
        "ProjectionStatus",
        "ProjectionsBehindError",
        "Proof",
        "RefusalCounts",
        "ReplicaStaleError",
        "SliceDifference",
        "StoredKind",
        "Suppression",
        "TooManySuppressionsError",
        "UnknownVisitorError",
    ),
    "offerlog_application.ports.rebuilds": (
        "EndedWorker",
        "NotProjectedError",
        "ProjectionsDifferError",
        "RebuildProgress",
        "RebuildRunningError",
        "RebuildWorkersError",
        "TablesInUseError",
    ),
    "offerlog_application.ports.store_trouble": ("StoreTrouble",),
    "offerlog_application.ports.tracing": ("Commit", "ProjectedPage", "Trace"),
    "offerlog_application.reading.audit": ("History", "HistoryEvent"),
    "offerlog_application.reading.instants": ("CalendarError", "instant", "zone"),
    "offerlog_application.reading.performance_report": (
        "PerformanceReport",
        "ReportLimits",
        "ReportRow",
        "ReportTooLargeError",
        "UNLIMITED",
    ),
    "offerlog_application.reading.read_budget": ("ReadBudget", "ReadCancelledError", "ReadTimeoutError"),
    "offerlog_application.recording.batches": ("Receipt",),
    "offerlog_application.recording.expiry": ("Expired",),
    "offerlog_application.recording.offers": ("Eligibility", "OfferArguments"),
    "offerlog_application.recording.pending_answer": ("PendingAnswer",),
    "offerlog_application.recording.signal_text": ("SignalInput",),
    "offerlog_application.recording.submissions": ("OverloadedError",),
    "offerlog_application.recording.writer": ("WriterHealth",),
    "offerlog_application.recording.writer_errors": ("ContendedError", "WriterFailedError"),
    "offerlog_application.refusals.policy": ("RefusalPolicy",),
    "offerlog_domain.context": ("Rules",),
    "offerlog_domain.errors": ("ArgumentError", "ArgumentTypeError", "OfferlogError"),
    "offerlog_domain.identity": ("VisitorKey",),
    "offerlog_domain.lifecycle": ("Lifecycle", "Stage", "State", "Transition", "UntrackedState"),
    "offerlog_domain.metrics": ("Cohort", "CountBy", "Granularity", "MetricSet"),
    "offerlog_domain.outcomes": (
        "Blocker",
        "OfferBlocked",
        "OfferMade",
        "OfferOutcome",
        "Outcome",
        "OutcomeKind",
        "Reason",
    ),
    "offerlog_domain.signals": ("MalformedSignalError", "Signal"),
    "offerlog_infrastructure.composition": ("open_offerlog",),
    "offerlog_infrastructure.embedded.binaries": ("Binaries", "find_binaries"),
    "offerlog_infrastructure.embedded.errors": (
        "EmbeddedError",
        "FolderNotPrivateError",
        "ForeignFolderError",
    ),
    "offerlog_infrastructure.embedded.server": ("EmbeddedServer",),
    "offerlog_infrastructure.forking": ("ForkedServiceError",),
    "offerlog_infrastructure.postgres.conversion.errors": ("ConversionError",),
    "offerlog_infrastructure.postgres.log.mapper": ("UnreadableEventError",),
    "offerlog_infrastructure.postgres.migrations": ("SchemaNotMadeError", "SchemaTooNewError"),
    "offerlog_infrastructure.replica.store": ("ReplicaFolderError",),
    "offerlog_infrastructure.sealing": ("UnsealError",),
    "offerlog_infrastructure.server_address": ("ServerAddressError",),
    "offerlog_infrastructure.settings": ("SettingsError",),
    "offerlog_infrastructure.store_missing": ("StoreMissingError",),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'offerlog' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
