"""The part of the service that operators and monitors use: figures about the store, and its connections."""

from collections.abc import Sequence

from offerlog_application.ports.store_figures import PoolUse, StoreFigures, StoreFiguresReader
from offerlog_domain.context import Rules


class Operations:
    """Figures about the store of an open service, for all organizations; thread-safe.

    Args:
        reader: Reads the figures.
        rules: The periods of the service.
    """

    def __init__(self, reader: StoreFiguresReader, rules: Rules) -> None:
        self._reader = reader
        self._rules = rules

    def figures(self) -> StoreFigures:
        """Return what operators watch: backlog, lag, refusals, checkpoints, keys, backup, connections.

        The cost does not grow with the log.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return self._reader.read_figures(self._rules)

    def figures_of_servers(self) -> Sequence[StoreFigures]:
        """Return the figures of the store of each of several servers, the home first; of one, its own.

        Raises:
            StoreUnavailableError: A store cannot be reached, or does not answer within some seconds.
        """
        return self._reader.read_each(self._rules)

    def pools(self) -> Sequence[PoolUse]:
        """Return the use of the pools of connections of this process, without asking the store."""
        return self._reader.pools()
