"""The embedded PostgreSQL server, the default store; all commands on one data folder share it.

No module here may import a third-party package at import time: the guard process imports them without
site-packages on its path.
"""

from offerlog_infrastructure.embedded.errors import EmbeddedError
from offerlog_infrastructure.embedded.folder import default_data_dir
from offerlog_infrastructure.embedded.server import EmbeddedServer

__all__ = ["EmbeddedError", "EmbeddedServer", "default_data_dir"]
