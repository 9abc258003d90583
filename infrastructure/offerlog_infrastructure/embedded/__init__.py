"""The default store: a PostgreSQL of offerlog's own, shared by every command on one data folder.

Nothing here may import a third-party package at import time: the guard process passes through this module
with no site-packages on its path.
"""

from offerlog_infrastructure.embedded.errors import EmbeddedError
from offerlog_infrastructure.embedded.folder import default_data_dir
from offerlog_infrastructure.embedded.server import EmbeddedServer

__all__ = ["EmbeddedError", "EmbeddedServer", "default_data_dir"]
