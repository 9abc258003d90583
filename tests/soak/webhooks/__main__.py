"""`python -m soak.webhooks`, from the folder `tests`; `make soak-webhooks` runs it."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from soak.webhooks.judge import judge
from soak.webhooks.run import soak


def main() -> int:
    """Run a soak; returns 1 if there were violations."""
    parser = argparse.ArgumentParser("python -m soak.webhooks")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (300)")
    parser.add_argument("--seed", type=int, help="chooses everything (drawn, and printed)")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    sys.stderr.write(f"seed {seed}\n")
    with tempfile.TemporaryDirectory(prefix="offerlog-soak-webhooks-") as folder:
        Path(folder).chmod(0o755)  # the server's user passes through
        run = soak(given.seconds, seed, Path(folder))
    violations = judge(run)
    sys.stdout.writelines(f"{one}\n" for one in violations)
    sys.stdout.write(
        f"{len(run.recorded):,} events; the receiver took {len(run.taken):,}: {run.doubled:,} again, at most "
        f"{run.may_be_doubled:,} could be ({run.lost_answers:,} lost answers, {run.kills:,} kills -9, "
        f"{run.lost_turns:,} lost turns, {run.restarts:,} restarts of the receiver); "
        f"{len(violations)} violations\n"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
