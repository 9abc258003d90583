"""The statement which logs of several servers belong together: a checkpoint over their checkpoints."""

from collections.abc import Sequence

from offerlog_domain.transparency.checkpoints import Checkpoint
from offerlog_domain.transparency.hashing import hash_leaf, hash_tree


def join_checkpoints(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """Return the checkpoint of a tree whose leaf `n` is the text of the checkpoint of log `n`.

    Its size is the number of the logs. Its name is that of the first log with "/servers" behind it, so it is
    never taken for the checkpoint of a log.

    Args:
        checkpoints: That of each log, the home first; at least one.
    """
    leaves = [hash_leaf(str(one).encode()) for one in checkpoints]
    return Checkpoint(f"{checkpoints[0].origin}/servers", len(leaves), hash_tree(leaves))
