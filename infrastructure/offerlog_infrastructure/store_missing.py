"""The error of opening a store that does not exist, without making it."""

from offerlog_domain.errors import OfferlogError


class StoreMissingError(OfferlogError):
    """There is no store at this place, and it was to be opened without making one.

    This module loads without third-party packages, as the modules of the embedded server do.

    Attributes:
        where: The data folder, or the database and its host; never a password.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"there is no store at {where}; set --data, OFFERLOG_DATA or OFFERLOG_DATABASE_URL to an existing"
            " one, or make one with `offerlog sample`, `offerlog record` or `offerlog serve`"
        )
