"""Rebuilds of projections by name, as the application asks for them."""

from collections.abc import Callable

from offerlog_application.ports.projections import UnknownProjectionError
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_infrastructure.postgres.errors import store_reached
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.projections.rebuild import rebuild
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS


class PostgresRebuilds:
    """The application's `Rebuilds`; thread-safe.

    A method has the errors of the method of `Rebuilds`, and those that it names.
    """

    def __init__(self, application: OfferlogApplication) -> None:
        self._application = application

    def rebuild(
        self,
        name: str | None,
        *,
        on_progress: Callable[[RebuildProgress], None],
        accept_difference: bool,
        swap: bool,
    ) -> None:
        """Build one projection, or all, from the log, and swap it in once it is proved to be the same.

        Raises:
            UnknownProjectionError: There is no projection of that name.
            OfferlogError: As `rebuild` raises it.
        """
        projections = [projection for projection in PROJECTIONS if name in {None, projection.name}]
        if name is not None and not projections:
            raise UnknownProjectionError(name, [one.name for one in PROJECTIONS])
        with store_reached(self._application.reading):
            rebuild(
                self._application,
                projections,
                on_progress=on_progress,
                accept_difference=accept_difference,
                swap=swap,
            )
