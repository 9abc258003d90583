"""The root of all errors that offerlog raises."""


class OfferlogError(Exception):
    """Root of the error tree. Every error of offerlog that a caller may meet derives from this class.

    The main branches, by the place where each is defined::

        OfferlogError
        |- ArgumentError                                 offerlog_domain.errors
        |  |- ArgumentTypeError                          offerlog_domain.errors
        |  |- UnknownVisitorError                        offerlog_application.ports.read_models
        |  `- UnknownPositionError                       offerlog_application.ports.positions
        |     `- PositionAheadError                      offerlog_application.ports.event_source
        |- MalformedSignalError, UntrackedEventError     offerlog_domain.signals
        |- ProofError, NoteError                         offerlog_domain.transparency.errors
        |  `- SignatureError                             offerlog_domain.transparency.errors
        |- OrganizationNameError                         offerlog_application.ports.organizations
        |- StoreUnavailableError                         offerlog_application.ports.event_log
        |  `- RefusalsLockedError, ShardUnavailableError  offerlog_application.ports
        |     `- SliceInMotionError, EndUnknownError       offerlog_application.ports.shards
        |- OutcomeUnknownError                           offerlog_application.ports.event_log
        |  `- WriterFailedError                          offerlog_application.recording.writer_errors
        |- VersionConflictError, StaleEpochError, ClosedError, UnreadableEventError, SliceElsewhereError
        |                                                offerlog_application.ports.event_log
        |- FenceTimeoutError                             offerlog_application.ports.write_fence
        |- NotAnOriginError, UnknownKeyError, KeyExpiryError
        |                                                offerlog_application.ports.keys
        |- UnknownSubscriptionError, SubscriptionLimitError
        |                                                offerlog_application.ports.subscriptions
        |- UnknownWebhookError, WebhookLimitError        offerlog_application.ports.webhooks
        |- NoSuchVisitorError, LegalHoldError, ErasureUnfinishedError, OrganizationInUseError
        |                                                offerlog_application.ports.erasure
        |- KeyringError                                  offerlog_application.ports.keyring
        |  `- KeyInUseError, RotationRunningError        offerlog_application.ports.master_keys
        |- NotOverShardsError, PartlyRecordedError, ShardError
        |  `- ShardArgumentError, ShardBusyError, ShardUnreachedError
        |                                                offerlog_application.ports.shards
        |- UnknownProjectionError                        offerlog_application.ports.projections
        |- ForkError, AuditKeyError, CheckpointFolderError, NotSealedError
        |                                                offerlog_application.ports.sealed_tree
        |- HeldByOthersError, OtherSlicesError, RefusalsWaitError: for the writer alone
        |                                                offerlog_application.recording.broken_off
        |- OverloadedError, ContendedError, OrganizationDeletedError
        |                                                offerlog_application.recording
        |- TooManySuppressionsError, ReplicaStaleError, NoReplicaError, ProjectionsBehindError
        |                                                offerlog_application.ports.read_models
        |- CalendarError, UnknownActionMapError, ReportTooLargeError, ReadTimeoutError, ReadCancelledError,
        |  ReportNotIssuedError, ExtraMissingError
        |                                                offerlog_application.reading
        |- RebuildRunningError, TablesInUseError, RebuildWorkersError, ProjectionsDifferError,
        |  NotProjectedError                             offerlog_application.ports.rebuilds
        |- SchemaTooNewError, SchemaNotMadeError, ConversionError
        |                                                offerlog_infrastructure.postgres
        |- LogChangedError, BundlePlaceError             offerlog_application.evidence.bundle_parts
        |- WitnessError, WitnessFolderError              offerlog_infrastructure.evidence
        |- ExportPlaceError                              offerlog_infrastructure.export
        |- ArchiveUnavailableError, ArchiveWriteError, ArchiveElsewhereError, ArchiveRunningError,
        |  ArchiveCopyError                              offerlog_infrastructure.archive.errors
        |- BackupFileError, BackupProgramError, NoErasuresError, NotTheSignedLogError
        |                                                offerlog_infrastructure.backups.errors
        |- StoreMissingError, ServerAddressError, SettingsError, ForkedServiceError,
        |  ReplicaFolderError, UnsealError
        |                                                offerlog_infrastructure
        `- EmbeddedError and its subclasses              offerlog_infrastructure.embedded.errors

    An error that reports a wrong argument is also a `ValueError`. The exit code of each error stands in
    `offerlog_infrastructure.cli.exit_codes`, its HTTP problem in `offerlog_infrastructure.http.problems`.
    """


class ArgumentError(OfferlogError, ValueError):
    """An argument of a call has a value that it cannot have; nothing was done.

    Attributes:
        argument: The name of the argument.
    """

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(argument, message)
        self.argument = argument

    def __str__(self) -> str:
        return str(self.args[1])


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a call has a type that it cannot have; nothing was done."""
