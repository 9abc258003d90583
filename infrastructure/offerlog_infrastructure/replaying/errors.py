"""The errors that end a replay on other machines."""

from pathlib import Path

from offerlog_domain.errors import OfferlogError


class SchedulerLostError(OfferlogError):
    """The scheduler or its workers cannot be reached any more; the manifest keeps what is done."""

    def __init__(self, address: str, done: int, total: int, cause: str) -> None:
        super().__init__(
            f"the scheduler {address} or its workers cannot be reached; {done} of {total} slices are done"
            f" ({cause}): run the same command again, and it goes on from there"
        )


class SchedulerAddressError(OfferlogError, ValueError):
    """The address of a scheduler cannot be read; says why."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address!r} is not the address of a scheduler, such as tcp://10.0.0.5:8786: {why}")


class WorkerFileError(OfferlogError):
    """A worker cannot read a file that this machine has written."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"a worker cannot read a slice: {cause}: all workers need the folder under the same path, and the"
            " right to read it. Then run the same command again, and it goes on from there"
        )


class SliceChangedError(OfferlogError):
    """The file of a slice is not the one that was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} has changed since it was written: remove it and run the same command again, and it is"
            " written anew"
        )


class ManifestError(OfferlogError):
    """A folder holds a manifest that this replay cannot go on with."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder} holds the replay of something else ({reason}): name another folder")


class OtherCodeError(OfferlogError):
    """The process that replays a slice has another version of offerlog than the one that wrote the file."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} was written by another version of offerlog: install the same version on all workers, or"
            " begin anew in another folder"
        )


class SlicesMovedError(OfferlogError):
    """Slices went from one server to another before all files of a replay were written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"slices have moved between the servers, or a server was added, since the replay in {folder}"
            " began, so its files would not be those of one moment: begin anew in another folder"
        )
