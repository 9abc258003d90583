"""Comparison of a restored log with everything that was signed of it: it may be a fork."""

from collections.abc import Mapping
from typing import NamedTuple

from offerlog_application.ports.sealed_tree import CheckpointArchive, SealedTree
from offerlog_application.wording import format_count
from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError, ProofError
from offerlog_domain.transparency.proofs import root_hash
from offerlog_infrastructure.backups.errors import NotTheSignedLogError


class SignedBefore(NamedTuple):
    """Checkpoints that were signed of a log, in the store and outside.

    Attributes:
        origins: The names under which the log was signed.
        newest: The largest known checkpoint of each name.
        lost: The largest checkpoint outside that is larger than the log is now: a fork; None without one.
        unsafe: The names under which more was signed than the log holds now, or may have been.
    """

    origins: frozenset[str]
    newest: Mapping[str, str]
    lost: Checkpoint | None
    unsafe: frozenset[str]


def compare_with_outside(
    tree: SealedTree, archive: CheckpointArchive | None, own_name: str | None, listed: str | None
) -> SignedBefore:
    """Compare a restored log with every checkpoint in it and outside.

    Args:
        tree: The tree over the restored log.
        archive: The folder of checkpoints outside; None without one.
        own_name: The name under which this machine signs; None without a key.
        listed: The checkpoint in the manifest of the backup.

    Raises:
        NotTheSignedLogError: A checkpoint of the log's first events does not fit.
        CheckpointFolderError: The folder cannot be read.
    """
    size = tree.progress().size
    inside = [(one.place, one.text) for one in tree.checkpoints()]
    if listed is not None:
        inside.append(("the manifest of the backup", listed))
    outside = [] if archive is None else [(one.place, one.text) for one in archive.checkpoints()]
    newest: dict[str, tuple[int, str]] = {}
    shown: set[str] = set()
    lost: Checkpoint | None = None
    for is_outside, kept in ((False, inside), (True, outside)):
        for place, text in kept:
            checkpoint = _read(place, text)
            if checkpoint.size > size:
                if not is_outside:
                    raise NotTheSignedLogError(
                        f"{place} speaks of {format_count(checkpoint.size, 'event')}, and the log has"
                        f" {size:,}"
                    )
                lost = checkpoint if lost is None or checkpoint.size > lost.size else lost
            elif _root(tree, checkpoint.size) != checkpoint.root:
                raise NotTheSignedLogError(f"{place} does not fit its first {checkpoint.size:,} events")
            newest[checkpoint.origin] = max(newest.get(checkpoint.origin, (0, "")), (checkpoint.size, text))
            if is_outside:
                shown.add(checkpoint.origin)
    origins = frozenset(newest)
    unsafe = {origin for origin in origins if origin not in shown or newest[origin][0] > size}
    if archive is None and own_name is not None:
        unsafe.add(own_name)
    return SignedBefore(origins, {one: text for one, (_, text) in newest.items()}, lost, frozenset(unsafe))


def _read(place: str, text: str) -> Checkpoint:
    try:
        return SignedCheckpoint.parse(text).checkpoint
    except NoteError as error:
        raise NotTheSignedLogError(f"{place} is not a checkpoint: {error}") from error


def _root(tree: SealedTree, size: int) -> bytes:
    try:
        return root_hash(size, tree.tile)
    except ProofError as error:
        raise NotTheSignedLogError(f"its tree is damaged: {error}") from error
