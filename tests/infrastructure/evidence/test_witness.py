"""The witness: what it cosigns, what it refuses with which status, and what it remembers."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from offerlog_application.evidence.witness import Witness, WitnessStatus
from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import EMPTY_ROOT, hash_leaf
from offerlog_domain.transparency.notes import SignatureType, SignedNote
from offerlog_domain.transparency.proofs import prove_consistency
from offerlog_domain.transparency.witness_requests import AddCheckpoint
from offerlog_infrastructure.evidence import witness_folder
from offerlog_infrastructure.evidence.signing_keys import SigningKey, check_signature
from offerlog_infrastructure.evidence.witness_folder import WitnessFolder, WitnessFolderError

NOW: Final = datetime(2026, 11, 26, 16, tzinfo=UTC)
LOG: Final = SigningKey("shop.example/offers", SignatureType.ED25519, bytes(range(32)))
OTHER: Final = SigningKey("other.example/offers", SignatureType.ED25519, bytes(range(1, 33)))


class FixedClock:
    """A clock that stands."""

    def now(self) -> datetime:
        """Return the one time."""
        return NOW


class Log:
    """A log of some entries, as its operator has it."""

    def __init__(self, *entries: str, key: SigningKey = LOG) -> None:
        self._leaves = [hash_leaf(one.encode()) for one in entries]
        self._key = key

    def signed(self, size: int, root: bytes | None = None) -> SignedCheckpoint:
        """Sign the tree of the first entries."""
        tree = GrowingTree()
        tree.append(self._leaves[:size])
        checkpoint = Checkpoint(self._key.key.name, size, tree.root() if root is None else root)
        note = SignedNote(str(checkpoint), (self._key.sign(str(checkpoint), 0),))
        return SignedCheckpoint(checkpoint, note)

    def request(self, old: int, new: int) -> str:
        """Make a request with its proof."""
        tiles = {(one.level, one.n): hashes for one, hashes in GrowingTree().append(self._leaves).items()}
        proof = prove_consistency(old, new, lambda level, n: tiles[level, n])
        return str(AddCheckpoint(old, tuple(proof), self.signed(new)))


HONEST: Final = Log(*"abcdefgh")
REWRITTEN: Final = Log(*"abXdefgh")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[WitnessFolder]:
    """The folder of a new witness."""
    with WitnessFolder(tmp_path / "witness", "auditor.example/w1") as made:
        yield made


@pytest.fixture
def witness(folder: WitnessFolder) -> Witness:
    """A witness of one log."""
    return Witness([LOG.key], folder.key, folder, check_signature, FixedClock())


def test_a_growing_log_is_cosigned_with_the_time(witness: Witness, folder: WitnessFolder) -> None:
    """C2SP tlog-cosignature, version 1."""
    for old, new in ((0, 3), (3, 3), (3, 8)):
        # when
        answer = witness.add_checkpoint(HONEST.request(old, new))
        # then
        assert answer.status is WitnessStatus.COSIGNED
        signed = SignedCheckpoint.parse(f"{HONEST.signed(new)}{answer.text}")
        assert check_signature(signed, folder.key.key) == NOW.timestamp()


def test_a_second_tree_of_the_same_size_is_refused_and_kept(
    witness: Witness, folder: WitnessFolder, tmp_path: Path
) -> None:
    """The log has signed both: that is evidence. It is kept once."""
    # given
    witness.add_checkpoint(HONEST.request(0, 5))
    # when
    for _ in range(2):
        answer = witness.add_checkpoint(REWRITTEN.request(5, 5))
    # then
    assert (answer.status, answer.is_fork) == (WitnessStatus.INCONSISTENT, True)
    assert folder.latest(LOG.key.name) is not None
    assert witness.add_checkpoint(HONEST.request(5, 8)).status is WitnessStatus.COSIGNED
    (kept,) = (tmp_path / "witness" / "refused").iterdir()
    assert kept.read_text() == REWRITTEN.request(5, 5)


@pytest.mark.parametrize("request_of", [HONEST.signed, REWRITTEN.signed])
def test_a_proof_that_does_not_fit_says_nothing_of_the_log(
    witness: Witness, tmp_path: Path, request_of: Callable[[int], SignedCheckpoint]
) -> None:
    """Anybody can send a true checkpoint with a false proof, so nothing is kept against the log."""
    # given
    witness.add_checkpoint(HONEST.request(0, 5))
    # when
    false = str(AddCheckpoint(5, (bytes(32),), request_of(8)))
    same_size = str(AddCheckpoint(5, (bytes(32),), HONEST.signed(5)))
    answers = [witness.add_checkpoint(one) for one in (false, same_size, REWRITTEN.request(5, 8))]
    # then
    assert {(one.status, one.is_fork) for one in answers} == {(WitnessStatus.INCONSISTENT, False)}
    assert all("the proof is false" in one.text for one in answers)
    assert list((tmp_path / "witness" / "refused").iterdir()) == []


def test_only_so_many_refused_requests_are_kept(
    witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is evidence enough, and the disk is not filled."""
    # given
    monkeypatch.setattr(witness_folder, "_MOST_REFUSED", 2)
    witness.add_checkpoint(HONEST.request(0, 1))
    # when
    for entry in "wxyz":
        witness.add_checkpoint(Log(entry).request(1, 1))
    # then
    assert len(list((tmp_path / "witness" / "refused").iterdir())) == 2


def test_a_proof_from_a_size_that_the_witness_does_not_know_is_answered_with_the_one_that_it_knows(
    witness: Witness,
) -> None:
    """So a sender who forgot can ask with 0. A log that became shorter gets no further either."""
    # given
    witness.add_checkpoint(HONEST.request(0, 5))
    # when
    answers = [witness.add_checkpoint(HONEST.request(old, new)) for old, new in ((0, 8), (3, 8), (3, 3))]
    # then
    assert [(one.status, one.text) for one in answers] == [(WitnessStatus.BEHIND, "5\n")] * 3


def test_what_is_not_signed_by_a_known_log_is_refused(witness: Witness) -> None:
    """The status says why, and nothing is remembered."""
    # given
    unknown = Log("a", key=OTHER).request(0, 1)
    unsigned = str(HONEST.signed(1)).replace("\N{EM DASH} shop", "\N{EM DASH} shoe")
    false = SignedNote(str(HONEST.signed(2).checkpoint), HONEST.signed(1).note.signatures)
    # when
    answers = [witness.add_checkpoint(one) for one in (unknown, f"old 0\n\n{unsigned}", f"old 0\n\n{false}")]
    # then
    statuses = [WitnessStatus.UNKNOWN_LOG, WitnessStatus.NOT_SIGNED, WitnessStatus.NOT_SIGNED]
    assert [one.status for one in answers] == statuses
    assert witness.add_checkpoint(HONEST.request(0, 1)).status is WitnessStatus.COSIGNED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("old 0", "old 00"),
        lambda text: text.replace("old 0", "new 0"),
        lambda text: text.replace("\n\n", "\nnot base64\n\n", 1),
        lambda text: text.replace("\n\n", f"\n{'A' * 43}=" * 64 + "\n\n", 1),
        lambda text: text.replace("old 0", "old 9"),
        lambda text: text[:4],
    ],
)
def test_what_is_not_a_request_is_malformed(witness: Witness, spoil: "type[str]") -> None:
    """An old size above the new one is, too."""
    assert witness.add_checkpoint(spoil(HONEST.request(0, 8))).status is WitnessStatus.MALFORMED


def test_an_empty_tree_has_the_root_of_an_empty_tree(witness: Witness) -> None:
    """And a proof from nothing is empty."""
    false = AddCheckpoint(0, (), HONEST.signed(0, bytes(32)))
    proved = AddCheckpoint(0, (bytes(32),), HONEST.signed(3))
    true = AddCheckpoint(0, (), HONEST.signed(0, EMPTY_ROOT))
    statuses = [witness.add_checkpoint(str(one)).status for one in (false, proved, true)]
    refused = WitnessStatus.INCONSISTENT
    assert statuses == [refused, refused, WitnessStatus.COSIGNED]


def test_a_witness_that_starts_again_knows_what_it_has_cosigned(tmp_path: Path) -> None:
    """The folder holds its key too."""
    # given
    with WitnessFolder(tmp_path, "auditor.example/w1") as folder:
        key = folder.key.key
        Witness([LOG.key], folder.key, folder, check_signature, FixedClock()).add_checkpoint(
            HONEST.request(0, 5)
        )
        (tmp_path / "logs" / ".half.new").write_text("what a crash left")
    # when
    with WitnessFolder(tmp_path, None) as folder:
        again = Witness([LOG.key], folder.key, folder, check_signature, FixedClock())
        answer = again.add_checkpoint(REWRITTEN.request(5, 8))
        # then
        assert answer.status is WitnessStatus.INCONSISTENT
        assert folder.key.key == key
        assert (tmp_path / "witness.key").stat().st_mode & 0o777 == 0o600


def test_a_folder_is_used_by_one_process_and_must_be_whole(tmp_path: Path) -> None:
    """Each mistake has its own message."""
    with pytest.raises(WitnessFolderError, match="--name"):
        WitnessFolder(tmp_path, None)
    with WitnessFolder(tmp_path, "auditor.example/w1") as folder:
        Witness([LOG.key], folder.key, folder, check_signature, FixedClock()).add_checkpoint(
            HONEST.request(0, 5)
        )
        with pytest.raises(WitnessFolderError, match="another witness is at work"):
            WitnessFolder(tmp_path, None)
    with pytest.raises(WitnessFolderError, match="holds the witness"):
        WitnessFolder(tmp_path, "other.example")
    (state,) = (tmp_path / "logs").iterdir()
    state.write_text(str(REWRITTEN.signed(5)))
    with pytest.raises(WitnessFolderError, match="not a checkpoint that this witness has cosigned"):
        WitnessFolder(tmp_path, None)
    (tmp_path / "witness.key").unlink()
    with pytest.raises(WitnessFolderError, match="is missing"):
        WitnessFolder(tmp_path, "auditor.example/w1")


@pytest.mark.parametrize("name", ["a b", "a+b", ""])
def test_a_witness_with_a_name_that_no_key_can_have_is_not_made(tmp_path: Path, name: str) -> None:
    """The folder can be used with another name afterwards."""
    # when
    with pytest.raises(WitnessFolderError, match="cannot be a name"):
        WitnessFolder(tmp_path, name)
    # then
    with WitnessFolder(tmp_path, "auditor.example/w1") as folder:
        assert folder.key.key.name == "auditor.example/w1"


def test_nothing_is_answered_before_it_is_on_the_disk(
    witness: Witness, folder: WitnessFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cosignature that the witness could forget would be worth nothing."""

    # given
    def full_disk(_: SignedCheckpoint) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "keep", full_disk)
    # when
    with pytest.raises(OSError, match="No space left"):
        witness.add_checkpoint(HONEST.request(0, 5))
    # then
    monkeypatch.undo()
    assert witness.add_checkpoint(REWRITTEN.request(0, 5)).status is WitnessStatus.COSIGNED
