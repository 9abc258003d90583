"""A visit to the store of a data folder: a short look that changes nothing and does not wait for long."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded import locks, roles
from offerlog_infrastructure.embedded.errors import EmbeddedError, ServerNotStartedError
from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.holders import stopped_keeper
from offerlog_infrastructure.embedded.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OlderStoreError(EmbeddedError):
    """An older offerlog made the store; its next opening changes it, so a visit leaves it alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the store in {path} was made by an older offerlog, and was not opened since")


@contextmanager
def visited(data_dir: Path, patience: float) -> Iterator[str]:
    """Connect to the server of a data folder during a block; start it if nobody else uses it.

    Args:
        data_dir: The data folder.
        patience: Most seconds to wait for an answer.

    Yields:
        A libpq connection string, password included: do not log it.

    Raises:
        StoreMissingError: There is no store.
        OlderStoreError: The next opening would change the store.
        EmbeddedError: The server cannot be used, or does not answer in time.
    """
    folder = DataFolder.prepare(data_dir, create=False)
    with suppress(FileNotFoundError):  # the next start makes another one
        if roles.read_password(folder)[0] == roles.SUPERUSER:
            raise OlderStoreError(folder.path)
    if not locks.is_free(folder.guard):
        stopped = stopped_keeper(folder)
        if stopped is not None:
            raise ServerNotStartedError(folder.path, f"it cannot answer: {stopped}")
    with EmbeddedServer.acquire(folder.path, create=False, patience=patience) as server:
        yield server.dsn
