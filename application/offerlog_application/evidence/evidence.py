"""The evidence of one store: the part of the service that auditors use."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

from offerlog_application.evidence.asked_witnesses import AskedWitnesses
from offerlog_application.evidence.bundle_parts import BundleSource
from offerlog_application.evidence.checkpoints import CheckpointSigning
from offerlog_application.evidence.findings import AuditReport
from offerlog_application.evidence.verification import Verification
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.sealed_tree import (
    CheckpointArchive,
    NotSealedError,
    SealedTree,
    TreeProgress,
)
from offerlog_application.ports.shards import HOME
from offerlog_application.ports.signing import SignatureCheck, Signer
from offerlog_application.schedule.periodic_thread import PeriodicThread
from offerlog_domain.errors import ArgumentError
from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.errors import ProofError
from offerlog_domain.transparency.hashing import HASH_BYTES, hash_leaf
from offerlog_domain.transparency.leaves import entry_of_event
from offerlog_domain.transparency.notes import NoteSignature, VerifierKey
from offerlog_domain.transparency.proof_files import InclusionFile
from offerlog_domain.transparency.proofs import ReadTile, prove_consistency, prove_inclusion, root_hash
from offerlog_domain.transparency.tiles import TILE_WIDTH, Tile, list_proof_tiles

USUAL_PERIOD: Final = timedelta(minutes=5)
"""The usual time between two checkpoints."""

_LOOK_SECONDS: Final = 0.05


class Consistency(NamedTuple):
    """The proof that a tree begins with an earlier one.

    Attributes:
        old_size: Leaves of the earlier tree.
        old_root: Its root.
        new_size: Leaves of the later tree.
        new_root: Its root.
        hashes: The proof (RFC 6962, section 2.1.2).
    """

    old_size: int
    old_root: bytes
    new_size: int
    new_root: bytes
    hashes: Sequence[bytes]


class CosigningWitness(Protocol):
    """A witness, as the operator of the log asks it.

    Attributes:
        key: Its public key.
    """

    @property
    def key(self) -> VerifierKey:
        """The public key."""

    def cosign(self, signed: SignedCheckpoint, prove: Callable[[int], Sequence[bytes]]) -> SignedCheckpoint:
        """Return the checkpoint with the cosignature added.

        Args:
            signed: The checkpoint.
            prove: Proves that its tree begins with a smaller one, given by the number of events.
        """


class Evidence:
    """Checkpoints, proofs and verification of one store, for all organizations; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.

    Args:
        tree: The tree over the log.
        clock: The service's clock.
        source: The events of the log, for bundles.
        find_signer: Returns the key that signs checkpoints; None if there is none yet.
        check: Checks signatures.
        archive: The folder for checkpoints outside of the store; None for none.
        period: The time between two checkpoints while a service runs; 0 for none.
        witnesses: Those that are asked for a cosignature while a service runs.
        number: The number of the server; 0 for the home, and where there is one.
        complete: Adds to the report of an audit what other servers know.

    Attributes:
        find_signer: As given.
    """

    def __init__(
        self,
        tree: SealedTree,
        clock: Clock,
        *,
        source: BundleSource,
        find_signer: Callable[[], Signer | None],
        check: SignatureCheck,
        archive: CheckpointArchive | None,
        period: timedelta = USUAL_PERIOD,
        witnesses: Sequence[CosigningWitness] = (),
        number: int = HOME,
        complete: Callable[[AuditReport], AuditReport] = lambda report: report,
    ) -> None:
        self._tree = tree
        self._clock = clock
        self.source = source
        self.find_signer = find_signer
        self._number = number
        self._complete = complete
        self._signing = CheckpointSigning(tree, clock, find_signer, number)
        self._period = period
        self._witnesses = witnesses
        self._asked: AskedWitnesses | None = None
        self._check = check
        self._archive = archive

    def of_servers(self) -> Mapping[int, "Evidence"]:
        """Return the evidence of each server's log, by number; where there is one server, this alone."""
        return {HOME: self}

    @contextmanager
    def settled(self) -> Iterator[Mapping[int, "Evidence"]]:
        """Lend the evidence of each server's log, for work during which no slice moves."""
        yield self.of_servers()

    def over(
        self, tree: SealedTree, source: BundleSource, complete: Callable[[AuditReport], AuditReport]
    ) -> "Evidence":
        """Return the evidence of the same log with its events wherever they lie; it keeps no checkpoints.

        Args:
            tree: The tree, with all events.
            source: All events.
            complete: Adds to the report of an audit what other servers know.
        """
        return Evidence(
            tree,
            self._clock,
            source=source,
            find_signer=self.find_signer,
            check=self._check,
            archive=self._archive,
            period=timedelta(),
            number=self._number,
            complete=complete,
        )

    @property
    def has_key(self) -> bool:
        """True if there is a key that signs checkpoints.

        Raises:
            AuditKeyError: There is one, and it cannot be used.
        """
        return self._signing.can_sign

    def check_key(self) -> None:
        """Check that there is a key that signs checkpoints.

        Raises:
            AuditKeyError: There is none, or it cannot be used.
        """
        _ = self._signing.signer

    def signer_name(self) -> str | None:
        """Return the name under which the log is signed here; None if there is no key yet."""
        signer = self.find_signer()
        return None if signer is None else signer.key.name

    @property
    def tree(self) -> SealedTree:
        """The tree over the log."""
        return self._tree

    def progress(self) -> TreeProgress:
        """Return how far the log is in the tree, and how much is not: the seal lag."""
        return self._tree.progress()

    def catch_up(self, timeout: float = 60.0) -> None:
        """Wait until all that is in the log now is in the tree.

        Args:
            timeout: Seconds without any progress.

        Raises:
            NotSealedError: The tree made no progress for that long.
        """
        last, reached, deadline = self._tree.last_position(), -1, time.monotonic() + timeout
        while (now := self._tree.progress().position) < last:
            if now > reached:
                reached, deadline = now, time.monotonic() + timeout
            if time.monotonic() > deadline:
                raise NotSealedError(last, f"it is not in the tree, which has stopped at position {now}")
            time.sleep(_LOOK_SECONDS)

    def checkpoint(self, archive: CheckpointArchive | None = None) -> SignedCheckpoint:
        """Sign the tree as it is; keep the checkpoint in the store and in a folder.

        Args:
            archive: The folder; None for that of the service.

        Raises:
            AuditKeyError: There is no key.
            ForkError: The log does not continue what was signed before; nothing was signed.
            CheckpointFolderError: The folder cannot be used.
        """
        return self._signing.sign(archive or self._archive)

    def keep_checkpoints(self) -> PeriodicThread | None:
        """Start to sign a checkpoint every few minutes, once there is a key; None if that is switched off.

        Other threads ask the witnesses to cosign them (`cosigned`).
        """
        if not self._period:
            return None
        if self._witnesses:
            self._asked = AskedWitnesses(self, self._witnesses, self._period)
        return PeriodicThread(
            "offerlog-checkpoints",
            self._period.total_seconds(),
            lambda _: self._sign_if_possible(),
            "no checkpoint was signed, and it will be tried again: %s",
        )

    @property
    def cosigned(self) -> Mapping[str, int]:
        """The number of events that each witness has cosigned, by its name, since this service asks."""
        return {} if self._asked is None else self._asked.cosigned

    def close(self) -> None:
        """Stop asking witnesses."""
        if self._asked is not None:
            self._asked.close()

    def _sign_if_possible(self) -> None:
        if self.has_key:
            self.checkpoint()

    def cosign(
        self, signed: SignedCheckpoint, witness: "CosigningWitness", archive: CheckpointArchive | None = None
    ) -> SignedCheckpoint:
        """Get the cosignature of a witness for a checkpoint, and keep it beside the checkpoint.

        Args:
            signed: The checkpoint, as `checkpoint` returned it.
            witness: Asks the witness.
            archive: The folder; None for that of the service.

        Raises:
            OfferlogError: The witness refuses or cannot be reached; or as in `checkpoint`.
        """
        size = signed.checkpoint.size
        cosigned = witness.cosign(signed, lambda known: self.consistency(known, size).hashes)
        self._signing.keep(cosigned, archive or self._archive)
        return cosigned

    def checkpoint_of(self, size: int) -> SignedCheckpoint:
        """Return a checkpoint of the first events, after the whole tree was signed and kept.

        Args:
            size: Number of events, up to that of the tree.

        Raises:
            AuditKeyError: There is no key.
            ForkError: The log does not continue what was signed before; nothing was signed.
            CheckpointFolderError: The folder of the service cannot be used.
        """
        newest = self.checkpoint()
        return newest if newest.checkpoint.size == size else self._signing.sign_first(size)

    def sign(self, joined: Checkpoint) -> NoteSignature:
        """Return the signature of this log under the statement that it belongs to others (`joined_logs`).

        Raises:
            AuditKeyError: There is no key.
        """
        return self._signing.sign_joined(joined)

    def newest_checkpoint(self) -> SignedCheckpoint | None:
        """Return the newest checkpoint of this log in the store; its signature is not checked.

        Raises:
            AuditKeyError: There is no key, so the log has no name.
            NoteError: The checkpoint was changed.
        """
        kept = self._tree.newest_checkpoint(self._signing.signer.key.name)
        return None if kept is None else SignedCheckpoint.parse(kept.text)

    def prove(self, position: int) -> InclusionFile:
        """Return the proof that an event is in the tree of a checkpoint; signs one if no checkpoint has it.

        The entry of the event is in the proof (`extra`).

        Raises:
            NotSealedError: The log or the tree does not have the event (yet).
            ProofError: The event or the tree was changed.
            AuditKeyError: There is no key.
            ForkError: A checkpoint was needed, and the log does not continue what was signed before.
        """
        tile = self._tree.leaf_tile_of(position)
        positions = [] if tile is None else tile.find_positions()
        if positions is None:
            raise ProofError(
                f"the tile of the event at position {position} was changed: `offerlog audit verify`"
            )
        if tile is None or position not in positions:
            reached = self._tree.progress().position
            raise NotSealedError(
                position,
                f"the log in the tree ends before it, at position {reached}"
                if position > reached
                else "no event has this position",
            )
        place = positions.index(position)
        rows = self._tree.rows(position - 1, position)
        moved = () if rows else self._tree.moved_events()
        if places := [one for one in moved if one.first <= position <= one.last]:
            shards = " or ".join(str(number) for number in sorted({one.shard for one in places}))
            raise NotSealedError(
                position, f"its leaf is here, and its event was moved to another server: to shard {shards}"
            )
        entry = entry_of_event(*rows[0]) if rows else b""
        if hash_leaf(entry) != tile.hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES]:
            raise ProofError(
                f"the event at position {position} is not the one that was sealed: `offerlog audit verify`"
            )
        index, signed = tile.n * TILE_WIDTH + place, self.newest_checkpoint()
        if signed is None or signed.checkpoint.size <= index:
            signed = self.checkpoint()
        size = signed.checkpoint.size
        proof = prove_inclusion(index, size, self._reader(list_proof_tiles(index, size)))
        found = InclusionFile(index, tuple(proof), signed, entry)
        found.check(hash_leaf(entry))
        return found

    def consistency(self, old: int, new: int) -> Consistency:
        """Return the proof that the tree of `new` leaves begins with the tree of `old` leaves.

        Raises:
            ArgumentError: The tree does not have so many leaves, or the old tree is larger.
            ProofError: The tables of the tree were changed.
        """
        size = self._tree.progress().size
        if not 0 <= old <= new <= size:
            raise ArgumentError(
                "old", f"sizes must be in ascending order, up to the {size} of the tree, not {old} and {new}"
            )
        read = self._reader()
        proof = prove_consistency(old, new, read)
        return Consistency(old, root_hash(old, read), new, root_hash(new, read), proof)

    def verify(
        self,
        *,
        keys: Sequence[VerifierKey] = (),
        archive: CheckpointArchive | None = None,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    ) -> AuditReport:
        """Compare the whole log with the tree, and the tree with all checkpoints in the store and outside.

        Args:
            keys: The public keys that may sign checkpoints. Without any, that of the service's own key.
            archive: The folder of checkpoints; None for that of the service.
            on_progress: Called several times a second.
        """
        if not keys and self.has_key:
            keys = [self._signing.signer.key]
        verification = Verification(self._tree, archive or self._archive, keys, self._check, on_progress)
        return self._complete(verification.run())

    def _reader(self, wanted: Sequence[Tile] = ()) -> ReadTile:
        """Return a function that reads each tile of the store once; those that are wanted, all at once."""
        known = dict(self._tree.tiles(wanted)) if wanted else {}

        def read(level: int, n: int) -> bytes:
            if (level, n) not in known:
                known[level, n] = self._tree.tile(level, n)
            return known[level, n]

        return read
