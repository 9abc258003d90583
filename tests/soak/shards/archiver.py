"""The process that archives the servers of a soak: `python -m soak.shards.archiver FOLDER ROUNDS`.

Everything that is cold goes into files, whatever its age. It says on standard output what it is at. A server
that cannot be archived is named on standard error; the exit code is 1 if that was so in the last round.
"""

import os
import sys
import time
from datetime import timedelta
from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.archive.places import place_of_server
from offerlog_infrastructure.composition import open_offerlog

_ANY_AGE: Final = timedelta(days=-36_500)
_PAUSE_SECONDS: Final = 1.0


def main() -> int:
    """Archive all servers; returns the exit code."""
    folder, rounds = sys.argv[1], int(sys.argv[2])
    failed = False
    with open_offerlog(
        database_url=os.environ["OFFERLOG_DATABASE_URL"], keep_deadlines=False, project=False
    ) as service:
        for one in range(rounds):
            time.sleep(_PAUSE_SECONDS if one else 0.0)
            failed = False
            for number, server in service.services_of_servers().items():
                try:
                    _archive(server, number, folder)
                except OfferlogError as error:
                    failed = True
                    sys.stderr.write(f"shard {number}: {error}\n")
    return int(failed)


def _archive(server: object, number: int, folder: str) -> None:
    if not isinstance(server, Offerlog):
        assert isinstance(server, OfferlogError), server
        raise server
    assert server.archiver is not None
    _say(f"moving on shard {number}")
    part = server.archiver.move(_ANY_AGE, place_of_server(folder, number), lambda _: None)
    _say(f"moved {part.events} in {part.files}")
    server.archiver.shrink(lambda _: None)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OfferlogError as error:
        sys.exit(f"offerlog: {error}")
