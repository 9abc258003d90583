"""The shared vectors: the domain, the verifier that stands alone and `tlog-scales` agree on all of them."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.exceptions import InvalidSignature
from tlog_scales import tiles as scales_tiles
from tlog_scales.signing import Vkey
from tlog_scales.tlog import Checkpoint as ScalesCheckpoint
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import SignatureError
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import hash_leaf
from offerlog_domain.transparency.leaves import entry_of_event
from offerlog_domain.transparency.notes import VerifierKey, encode_base64
from offerlog_domain.transparency.proof_files import InclusionFile
from offerlog_domain.transparency.proofs import check_consistency, check_inclusion
from offerlog_domain.transparency.tiles import Tile, list_tiles
from offerlog_infrastructure.evidence import verify_bundle as alone
from offerlog_infrastructure.evidence.signing_keys import check_signature

VECTORS: Final = Path(__file__).parents[2] / "vectors"
LEAVES: Final = [hash_leaf(number.to_bytes(4, "big")) for number in range(600)]


def load(name: str) -> Any:
    """Read a file of vectors."""
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


TREES, NOTES, EVENTS = load("trees"), load("notes"), load("events")


def root(size: int) -> bytes:
    """Return the root that the vectors give for a size."""
    return next(bytes.fromhex(one["root"]) for one in TREES["roots"] if one["size"] == size)


def hashes(vector: Mapping[str, Any]) -> list[bytes]:
    """Return the hashes of a proof."""
    return [bytes.fromhex(one) for one in vector["hashes"]]


@pytest.mark.parametrize("vector", TREES["roots"], ids=lambda one: str(one["size"]))
def test_all_three_find_the_root_of_a_tree(vector: Mapping[str, Any]) -> None:
    """RFC 6962, section 2.1."""
    size, expected = vector["size"], bytes.fromhex(vector["root"])
    tree = GrowingTree()
    tree.append(LEAVES[:size])
    assert tree.root() == expected
    assert alone.root_of((0, leaf) for leaf in LEAVES[:size]) == expected
    for one in TREES["inclusion"]:  # tlog-scales has no function of leaves alone
        if one["size"] == size:
            InclusionProof(one["index"], size, hashes(one)).check(LEAVES[one["index"]], expected)


@pytest.mark.parametrize("vector", TREES["inclusion"], ids=lambda one: f"{one['index']} of {one['size']}")
def test_all_three_accept_a_proof_of_inclusion_and_refuse_another_leaf(
    vector: Mapping[str, Any],
) -> None:
    """RFC 6962, section 2.1.1."""
    index, size, path = vector["index"], vector["size"], hashes(vector)
    accept: list[Callable[[bytes], object]] = [
        lambda leaf: check_inclusion(leaf, index, size, path, root(size)),
        lambda leaf: InclusionProof(index, size, path).check(leaf, root(size)),
        lambda leaf: _check_alone(leaf, index, size, path),
    ]
    for check in accept:
        check(LEAVES[index])
        with pytest.raises(Exception, match=r".*"):
            check(hash_leaf(b"another"))


def _check_alone(leaf: bytes, index: int, size: int, path: list[bytes]) -> None:
    """Let the verifier climb from a leaf to the root."""
    if alone.climb(leaf, index, size - 1, path) != root(size):
        raise ValueError("another root")


@pytest.mark.parametrize("vector", TREES["consistency"], ids=lambda one: f"{one['old']} to {one['new']}")
def test_all_three_see_that_a_tree_begins_with_an_earlier_one(vector: Mapping[str, Any]) -> None:
    """RFC 6962, section 2.1.2. The verifier has all events, so it builds the earlier tree itself."""
    old, new, path = vector["old"], vector["new"], hashes(vector)
    check_consistency(old, root(old), new, root(new), path)
    ConsistencyProof(old, new, path).check(root(old), root(new))
    assert alone.root_of((0, leaf) for leaf in LEAVES[:old]) == root(old)


def test_all_three_name_tiles_alike() -> None:
    """C2SP tlog-tiles."""
    for one in TREES["tiles"]:
        level, n, width = one["level"], one["n"], one["width"]
        assert Tile(level, n, width).path == one["path"]
        tree = alone.Tree({})
        tree.open[level], tree.full[level] = [bytes(32)] * width, n
        tree.compare(level)
        assert tree.known == {one["path"]}
        assert "/".join(scales_tiles.tile_path(level, n, width % 256)) == one["path"]
    assert [one.path for one in list_tiles(600)] == TREES["tiles_of_600"]


@pytest.mark.parametrize("number", range(len(NOTES["notes"])))
def test_all_three_judge_a_signature_alike(number: int) -> None:
    """C2SP signed-note and tlog-cosignature, Ed25519 and ML-DSA-44."""
    vector = NOTES["notes"][number]
    text = vector["text"]
    for name, vkey in NOTES["keys"].items():
        judgements = {
            _judge_in_domain(text, vkey),
            _judge_alone(text, vkey),
            _judge_by_scales(text, vkey),
        }
        expected = "true" if name in vector["signed"] else "false" if name in vector["false"] else "none"
        assert judgements == {expected}, name


def _judge_in_domain(text: str, vkey: str) -> str:
    try:
        time = check_signature(SignedCheckpoint.parse(text), VerifierKey.parse(vkey))
    except SignatureError:
        return "false"
    return "none" if time is None else "true"


def _judge_alone(text: str, vkey: str) -> str:
    try:
        key = alone.read_key(vkey, alone.LOG_KEYS | alone.WITNESS_KEYS)
        return "true" if alone.is_signed(alone.read_checkpoint(text), key) else "none"
    except ValueError:
        return "false"


def _judge_by_scales(text: str, vkey: str) -> str:
    try:
        ScalesCheckpoint.from_text(text).verify(Vkey.from_string(vkey))
    except InvalidSignature:
        return "false"
    except RuntimeError:  # no signature matched
        return "none"
    return "true"


@pytest.mark.parametrize("vector", EVENTS["events"], ids=lambda one: one["topic"])
def test_domain_and_verifier_find_the_leaf_of_an_event(vector: Mapping[str, Any]) -> None:
    """The layout is ours, so the third has only the hash of the whole entry in common."""
    # given
    stream = bytes.fromhex(vector["stream"].replace("-", ""))
    state, public = bytes.fromhex(vector["state"]), bytes.fromhex(vector["public"])
    line = {name: vector[name] for name in ("position", "version", "stream", "topic", "sealed_sha256")}
    readable = dict.fromkeys(alone.READABLE) | vector["readable"]
    columns = {"index": 0, **line, **readable, "public": encode_base64(public)}
    # when
    entry = entry_of_event(vector["position"], stream, vector["version"], vector["topic"], state)
    leaf = alone.hash_leaf({name: columns[name] for name in alone.COLUMNS})
    # then
    assert entry.hex() == vector["entry"]
    assert leaf.hex() == vector["leaf"]
    assert scales_tiles.leaf_hash(entry) == leaf


def test_domain_and_verifier_read_a_proof_file() -> None:
    """C2SP tlog-proof, with extra data."""
    # given
    text, leaf = NOTES["proof_file"]["text"], bytes.fromhex(NOTES["proof_file"]["leaf"])
    head = alone.read_checkpoint(NOTES["notes"][0]["text"])
    # when
    InclusionFile.parse(text).check(leaf)
    found = re.fullmatch(alone.PROOF, text, re.DOTALL)
    # then
    assert found is not None
    path = [alone.decode_base64(one) for one in found[3].split()]
    assert alone.climb(leaf, int(found[2]), head.size - 1, path) == head.root
