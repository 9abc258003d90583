"""The exit codes of all commands, and the table from classes of errors to them."""

from collections.abc import Mapping
from enum import IntEnum
from functools import cache

from offerlog_domain.errors import OfferlogError


class ExitCode(IntEnum):
    """Exit codes of commands, for scripts.

    A script that runs a check must distinguish three results. The check found a fault; the check could not be
    made; or the check cannot be made now, because another process is at work.
    """

    DONE = 0
    """Done. Refused signals, a blocked offer and an empty answer are not failures."""

    FAILED = 1
    """Not done: the store, a file, a folder or a port failed, or the user answered a question with no."""

    USAGE = 2
    """The call was wrong: an option, an argument or a setting."""

    FOUND_WRONG = 3
    """The check found a fault: projections differ from the log, events cannot be read, a store is broken."""

    BUSY = 4
    """Another process is at work on the same thing; the same call may succeed later."""

    NEEDS_ATTENTION = 5
    """The check found something that works and that somebody should look at by day."""

    INTERRUPTED = 130
    """Ended by Ctrl-C; recorded signals stay recorded. SIGHUP and SIGTERM end with 129 and 143 likewise."""


class RelayedError(OfferlogError):
    """An error of another process of this command, which has described it.

    Attributes:
        code: Its exit code.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = ExitCode(code)


@cache
def codes_by_class() -> Mapping[type[BaseException], ExitCode]:
    """Return the exit code of each class of errors for which the table names one.

    The classes are imported at the first error: the libraries behind them take a third of a second to load,
    which `--help` need not pay.
    """
    from offerlog_application.evidence.bundle_parts import LogChangedError  # noqa: PLC0415 - see above
    from offerlog_application.ports.master_keys import RotationRunningError  # noqa: PLC0415 - see above
    from offerlog_application.ports.organizations import OrganizationNameError  # noqa: PLC0415 - see above
    from offerlog_application.ports.rebuilds import (  # noqa: PLC0415 - see above
        ProjectionsDifferError,
        RebuildRunningError,
        TablesInUseError,
    )
    from offerlog_application.ports.shards import ShardArgumentError, ShardBusyError  # noqa: PLC0415 - see above
    from offerlog_application.reading.instants import CalendarError  # noqa: PLC0415 - see above
    from offerlog_application.reading.map_names import UnknownActionMapError  # noqa: PLC0415 - see above
    from offerlog_application.recording.submissions import OverloadedError  # noqa: PLC0415 - see above
    from offerlog_application.recording.writer_errors import ContendedError  # noqa: PLC0415 - see above
    from offerlog_domain.signals import MalformedSignalError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.archive.errors import ArchiveElsewhereError, ArchiveRunningError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.backups.errors import NotTheSignedLogError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.embedded.errors import LockTimeoutError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.evidence.witness_client import RewrittenLogError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.replaying.errors import SliceChangedError  # noqa: PLC0415 - see above
    from offerlog_infrastructure.settings_file import SettingsError  # noqa: PLC0415 - see above

    return {
        MalformedSignalError: ExitCode.USAGE,
        CalendarError: ExitCode.USAGE,
        UnknownActionMapError: ExitCode.USAGE,
        SettingsError: ExitCode.USAGE,
        OrganizationNameError: ExitCode.USAGE,
        ProjectionsDifferError: ExitCode.FOUND_WRONG,
        LogChangedError: ExitCode.FOUND_WRONG,
        RewrittenLogError: ExitCode.FOUND_WRONG,
        NotTheSignedLogError: ExitCode.FOUND_WRONG,
        SliceChangedError: ExitCode.FOUND_WRONG,
        RebuildRunningError: ExitCode.BUSY,
        RotationRunningError: ExitCode.BUSY,
        ShardArgumentError: ExitCode.USAGE,
        ShardBusyError: ExitCode.BUSY,
        ArchiveElsewhereError: ExitCode.USAGE,
        ArchiveRunningError: ExitCode.BUSY,
        TablesInUseError: ExitCode.BUSY,
        LockTimeoutError: ExitCode.BUSY,
        ContendedError: ExitCode.BUSY,
        OverloadedError: ExitCode.BUSY,
    }


def code_of(error: BaseException) -> ExitCode:
    """Return the exit code of an error that ends a command: that of its nearest class in `codes_by_class`.

    A store that is locked counts as busy. Every other error has failed.
    """
    from offerlog_application.ports.event_log import StoreUnavailableError  # noqa: PLC0415 - see `codes_by_class`
    from offerlog_application.ports.store_trouble import StoreTrouble  # noqa: PLC0415 - as above

    if isinstance(error, RelayedError):
        return error.code
    if isinstance(error, StoreUnavailableError) and error.trouble is StoreTrouble.LOCKED:
        return ExitCode.BUSY
    table = codes_by_class()
    return next((table[one] for one in type(error).__mro__ if one in table), ExitCode.FAILED)
