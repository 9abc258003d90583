"""The error of a command that only reads where there is no store to read."""

from offerlog_domain.errors import OfferlogError


class StoreMissingError(OfferlogError):
    """There is no store where one was to be opened without making it.

    Loads without third-party packages, as the embedded server's modules do.

    Attributes:
        where: The data folder, or the database and its host; never a password.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"there is no store at {where}; set --data, OFFERLOG_DATA or OFFERLOG_DATABASE_URL to an existing"
            " one, or make one with `offerlog sample`, `offerlog record` or `offerlog serve`"
        )
