"""The root of all errors that offerlog raises."""


class OfferlogError(Exception):
    """Root of the error tree. Every error of offerlog that a caller may meet derives from this class.

    The main branches, by the place where each is defined::

        OfferlogError
        |- MalformedSignalError, UntrackedEventError     offerlog_domain.signals
        |- OrganizationNameError                         offerlog_application.ports.organizations
        |- StoreUnavailableError                         offerlog_application.ports.event_log
        |  `- RefusalsLockedError
        |- OutcomeUnknownError                           offerlog_application.ports.event_log
        |  `- WriterFailedError                          offerlog_application.recording.writer
        |- VersionConflictError, ClosedError             offerlog_application.ports.event_log
        |- NotAnOriginError, UnknownKeyError             offerlog_application.ports.keys
        |- OverloadedError, ContendedError               offerlog_application.recording
        |- CalendarError, ReportTooLargeError, TooManySuppressionsError, ReadTimeoutError,
        |  ReadCancelledError, ReplicaStaleError, ProjectionsBehindError
        |                                                offerlog_application.reading
        |- RebuildRunningError, TablesInUseError, RebuildWorkersError, ProjectionsDifferError,
        |  NotProjectedError                             offerlog_application.projections.rebuilds
        |- UnreadableEventError, SchemaTooNewError, SchemaNotMadeError
        |                                                offerlog_infrastructure.postgres
        |- StoreMissingError, ServerAddressError, SettingsError, ForkedServiceError,
        |  ReplicaFolderError
        |                                                offerlog_infrastructure
        `- EmbeddedError and its subclasses              offerlog_infrastructure.embedded.errors

    An error that reports a wrong argument is also a `ValueError`. The exit code of each error stands in
    `offerlog_infrastructure.cli.exit_codes`, its HTTP problem in `offerlog_infrastructure.http.problems`.
    """
