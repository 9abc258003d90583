"""`python -m soak`, from the folder `tests`; `make soak` runs it."""

import sys

from soak.command import run_soak
from soak.faults import load
from soak.run import soak

if __name__ == "__main__":
    sys.exit(run_soak(sys.argv[1:], "soak", load, soak))
