"""`python -m soak.shards`, from the folder `tests`; `make soak-shards` runs it."""

import sys

from soak.command import run_soak
from soak.shards.faults import load
from soak.shards.run import soak

if __name__ == "__main__":
    sys.exit(run_soak(sys.argv[1:], "soak-shards", load, soak))
