"""The exit codes of all commands, in one table, and which error leads to which."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of commands, for scripts.

    A script that runs a check needs to tell three things apart: the check has found something wrong, the
    check could not be made, and the check cannot be made right now as something else is at work.
    """

    DONE = 0
    """Done. Refused signals, a blocked offer and an empty answer are not failures."""

    FAILED = 1
    """It could not be done: the store, a file, a folder, a port; or a question was answered with no."""

    USAGE = 2
    """Called in a wrong way."""

    FOUND_WRONG = 3
    """Checked, and something is wrong: projections differ from the log, or events cannot be read."""

    BUSY = 4
    """Something else is at work on the same thing; the same call may succeed later."""

    INTERRUPTED = 130
    """Ended by Ctrl-C; what was recorded stays recorded. SIGHUP and SIGTERM end with 129 and 143 likewise."""


def code_of(error: BaseException) -> ExitCode:
    """The exit code of an error that ends a command and is not a mistake in the call."""
    from offerlog_application.ports.event_log import StoreUnavailableError  # noqa: PLC0415 - only an error needs it
    from offerlog_application.ports.store_trouble import StoreTrouble  # noqa: PLC0415 - as above
    from offerlog_application.projections.rebuilds import (  # noqa: PLC0415 - as above
        ProjectionsDifferError,
        RebuildRunningError,
        TablesInUseError,
    )
    from offerlog_application.recording.submissions import OverloadedError  # noqa: PLC0415 - as above
    from offerlog_application.recording.writer import ContendedError  # noqa: PLC0415 - as above
    from offerlog_infrastructure.embedded.errors import LockTimeoutError  # noqa: PLC0415 - as above

    match error:
        case ProjectionsDifferError():
            return ExitCode.FOUND_WRONG
        case (
            RebuildRunningError()
            | TablesInUseError()
            | LockTimeoutError()
            | ContendedError()
            | OverloadedError()
        ):
            return ExitCode.BUSY
        case StoreUnavailableError(trouble=StoreTrouble.LOCKED):
            return ExitCode.BUSY
        case _:
            return ExitCode.FAILED
