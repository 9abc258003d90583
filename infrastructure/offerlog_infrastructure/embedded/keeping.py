"""A lease without a connection: a process keeps the server running for its children."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offerlog_infrastructure.embedded.folder import DataFolder
from offerlog_infrastructure.embedded.lease import Lease

if TYPE_CHECKING:
    from pathlib import Path


def keep_server(data_dir: Path) -> Lease:
    """Take a lease on the server of a data folder, which runs.

    Raises:
        EmbeddedError: The folder cannot be used.
        StoreMissingError: There is no store in it.
    """
    return Lease.take(DataFolder.prepare(data_dir, create=False))
