"""Signing the tree: only as a continuation of what was signed before, inside and outside of the store."""

from collections.abc import Callable, Iterable, Iterator

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.sealed_tree import (
    AuditKeyError,
    CheckpointArchive,
    ForkError,
    KeptCheckpoint,
    SealedTree,
)
from offerlog_application.ports.signing import Signer
from offerlog_application.wording import format_count
from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError, ProofError
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.notes import NoteSignature, SignedNote
from offerlog_domain.transparency.proofs import root_hash
from offerlog_domain.transparency.tiles import Tile, list_tiles

_READ_AT_ONCE = 64
"""Number of tiles that are read from the store together."""

_LOOK_BACK = 1_000
"""Erasures whose numbers were drawn before the last one that was seen, and that were committed after it."""


class CheckpointSigning:
    """Signs checkpoints of one store; thread-safe.

    Args:
        tree: The tree.
        clock: The service's clock.
        find_signer: Returns the key of the log; None if it has none yet.
        number: The number of the server, for people; 0 for the home, and where there is one.
    """

    def __init__(
        self, tree: SealedTree, clock: Clock, find_signer: Callable[[], Signer | None], number: int = 0
    ) -> None:
        self._tree = tree
        self._clock = clock
        self._find_signer = find_signer
        self._number = number
        self._listed = 0

    @property
    def signer(self) -> Signer:
        """The key of the log.

        Raises:
            AuditKeyError: There is none yet, or it cannot be used.
        """
        signer = self._find_signer()
        if signer is None:
            whose, option = (
                (f" of shard {self._number}", f" --shard {self._number}") if self._number else ("", "")
            )
            raise AuditKeyError(
                f"no key signs checkpoints{whose} yet: make one with `offerlog audit keygen{option}`"
            )
        return signer

    @property
    def can_sign(self) -> bool:
        """True if there is a key."""
        return self._find_signer() is not None

    def sign(self, archive: CheckpointArchive | None = None) -> SignedCheckpoint:
        """Sign the tree as it is, and keep the checkpoint in the store and in a folder.

        A tree that was signed already keeps its checkpoint; the folder is completed.

        Args:
            archive: The folder; None to keep the checkpoint in the store alone.

        Raises:
            AuditKeyError: There is no key.
            ForkError: The log does not continue what was signed before; nothing was signed.
            CheckpointFolderError: The folder cannot be used.
            StoreUnavailableError: The store cannot be reached.
        """
        signer = self.signer
        if archive is not None:
            self._list_erasures(archive)
        if self._tree.is_retired(signer.key.name):
            raise ForkError(
                f"a backup was restored, and more may have been signed under the name {signer.key.name} than"
                " the log holds now: nothing was signed. Make a new key with a new name (`offerlog audit"
                " keygen --origin NAME --key FILE`), use a new folder of checkpoints, and keep the old ones"
            )
        size = self._tree.progress().size
        checkpoint = Checkpoint(signer.key.name, size, self._root(size))
        earlier = [
            self._check_continues(kept, checkpoint)
            for kept in (
                self._tree.newest_checkpoint(checkpoint.origin),
                archive.newest() if archive is not None else None,
            )
            if kept is not None
        ]
        note = SignedNote(str(checkpoint), ())
        for one in earlier:
            if one.checkpoint == checkpoint:
                note = note.signed_too(one.note.signatures)
        now = self._clock.now()
        if not note.signatures:
            note = note.signed_too([signer.sign(str(checkpoint), int(now.timestamp()))])
        signed = SignedCheckpoint(checkpoint, note)
        if archive is not None:
            newest = archive.newest()
            since = SignedCheckpoint.parse(newest.text).checkpoint.size if newest is not None else 0
            archive.write(size, str(signed), self._tiles(list_tiles(size, since=since)))
        self._tree.add_checkpoint(checkpoint.origin, size, now, str(signed))
        return signed

    def keep(self, signed: SignedCheckpoint, archive: CheckpointArchive | None) -> None:
        """Keep the cosignatures of a checkpoint that is kept already, in a folder and in the store.

        Raises:
            CheckpointFolderError: The folder cannot be used.
            StoreUnavailableError: The store cannot be reached.
        """
        checkpoint = signed.checkpoint
        if archive is not None:
            archive.write(checkpoint.size, str(signed), ())
        self._tree.add_checkpoint(checkpoint.origin, checkpoint.size, self._clock.now(), str(signed))

    def sign_joined(self, joined: Checkpoint) -> NoteSignature:
        """Return the signature of this log under the statement that it belongs to others (`joined_logs`).

        Raises:
            AuditKeyError: There is no key.
        """
        return self.signer.sign(str(joined), int(self._clock.now().timestamp()))

    def sign_first(self, size: int) -> SignedCheckpoint:
        """Return the checkpoint of the first events: a kept one, or a new one that is not kept.

        Args:
            size: Number of events, up to that of the newest checkpoint, which this tree continues.

        Raises:
            AuditKeyError: There is no key.
            ForkError: The tables of the tree are damaged.
            StoreUnavailableError: The store cannot be reached.
        """
        signer = self.signer
        checkpoint = Checkpoint(signer.key.name, size, self._root(size))
        body = str(checkpoint)
        for kept in self._tree.checkpoints():
            if kept.text.startswith(f"{body}\n"):
                return SignedCheckpoint.parse(kept.text)
        line = signer.sign(body, int(self._clock.now().timestamp()))
        return SignedCheckpoint(checkpoint, SignedNote(body, (line,)))

    def _list_erasures(self, archive: CheckpointArchive) -> None:
        """Complete the list of erasures: a process without the folder may have erased somebody."""
        erased = self._tree.tombstones(self._listed - _LOOK_BACK)
        archive.add_erasures([tombstone for _, tombstone in erased])
        self._listed = max((number for number, _ in erased), default=self._listed)

    def _root(self, size: int) -> bytes:
        try:
            return root_hash(size, self._tree.tile)
        except ProofError as error:
            raise ForkError(f"the tree is damaged: {error}; see `offerlog audit verify`") from error

    def _check_continues(self, kept: KeptCheckpoint, now: Checkpoint) -> SignedCheckpoint:
        """Check that the tree continues an earlier checkpoint, and return that.

        Raises:
            ForkError: It does not.
        """
        try:
            signed = SignedCheckpoint.parse(kept.text)
        except NoteError as error:
            raise ForkError(f"{kept.place} does not hold a checkpoint: {error}") from error
        before = signed.checkpoint
        advice = (
            "; nothing was signed. `offerlog audit verify` says what was changed. After a backup was"
            " restored, begin a new origin with a new key, and keep the old checkpoints"
        )
        if before.origin != now.origin:
            raise ForkError(
                f"{kept.place} is of the log {before.origin}, and the key of {now.origin}{advice}"
            )
        if before.size > now.size:
            raise ForkError(
                f"{kept.place} has {format_count(before.size, 'event')}, and the tree {now.size:,}:"
                f" events were lost{advice}"
            )
        if self._root(before.size) != before.root:
            raise ForkError(f"the first {before.size:,} events are not those of {kept.place}{advice}")
        return signed

    def _tiles(self, wanted: Iterable[Tile]) -> Iterator[tuple[Tile, bytes]]:
        """Read tiles, cut to the width that is asked for."""
        tiles = list(wanted)
        for at in range(0, len(tiles), _READ_AT_ONCE):
            page = tiles[at : at + _READ_AT_ONCE]
            found = self._tree.tiles(page)
            for tile in page:
                hashes = found.get((tile.level, tile.n), b"")[: tile.width * HASH_BYTES]
                if len(hashes) != tile.width * HASH_BYTES:
                    raise ForkError(
                        f"the tree is damaged: {tile.path} is missing; see `offerlog audit verify`"
                    )
                yield tile, hashes
