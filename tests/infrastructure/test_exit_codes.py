"""The table from classes of errors to exit codes."""

import errno
import os
from pathlib import Path

import pytest

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.rebuilds import ProjectionsDifferError, RebuildRunningError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.cli.exit_codes import ExitCode, code_of, codes_by_class
from offerlog_infrastructure.embedded.errors import FolderUnusableError, LockTimeoutError
from offerlog_infrastructure.keyring.file_keyring import KeyMissingError
from offerlog_infrastructure.settings_file import SettingsError


def test_each_class_in_the_table_is_an_error_of_offerlog_and_has_a_code_that_scripts_can_tell_apart() -> None:
    """FAILED needs no entry: it is what every other error ends with."""
    assert all(issubclass(one, OfferlogError) for one in codes_by_class())
    assert set(codes_by_class().values()) == {ExitCode.USAGE, ExitCode.FOUND_WRONG, ExitCode.BUSY}


def test_a_subclass_ends_with_the_code_of_its_nearest_class() -> None:
    """A new error below a known one needs no entry."""

    class HeldLongerError(LockTimeoutError):
        """More special than the table knows."""

    assert code_of(HeldLongerError(Path("lock"), 3)) is ExitCode.BUSY


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProjectionsDifferError(["a row"]), ExitCode.FOUND_WRONG),
        (RebuildRunningError(), ExitCode.BUSY),
        (StoreUnavailableError("it is locked", StoreTrouble.LOCKED), ExitCode.BUSY),
        (StoreUnavailableError("it is away", StoreTrouble.UNREACHABLE), ExitCode.FAILED),
        (SettingsError("OFFERLOG_READY_LAG", "a number is needed"), ExitCode.USAGE),
        (KeyMissingError(Path("keyring.json"), "0a1b", is_there=False), ExitCode.FAILED),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ExitCode.FAILED),
        (ZeroDivisionError(), ExitCode.FAILED),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else one.name,
)
def test_an_error_ends_with_its_code(error: Exception, code: ExitCode) -> None:
    """Errors of the table, of a locked store, and of neither."""
    assert code_of(error) is code


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room on its disk"),
        (errno.EDQUOT, "have the quota raised"),
        (errno.EROFS, "mounted for writing"),
        (errno.EIO, "give offerlog a data folder that you own"),
    ],
)
def test_the_remedy_follows_the_number_of_the_error_and_not_its_words(number: int, remedy: str) -> None:
    """The words of an error depend on the language of the machine."""
    # given an operating system that words its errors in another language
    error = OSError(number, "kein Platz")
    # when a folder cannot be used because of it
    unusable = FolderUnusableError(Path("/data"), error)
    # then the number decides the remedy
    assert (unusable.reason, remedy in str(unusable)) == ("kein Platz", True)
