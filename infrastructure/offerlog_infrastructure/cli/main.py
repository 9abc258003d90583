"""The entry point of the command `offerlog`: it loads the commands and runs one.

Loading takes some tenths of a second. This module imports very little, so that a signal meanwhile ends the
process in order too.
"""

import gc

from offerlog_infrastructure.cli import ending

TYPE_CHECKING = False  # as in `typing`, which takes long to load
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line and exit."""
    ending.end_at_once()
    gc.disable()  # while modules are loaded, which all stay; `run` enables it
    from offerlog_infrastructure.cli import commands  # noqa: PLC0415 - it loads everything else

    commands.run()


if __name__ == "__main__":
    main()
