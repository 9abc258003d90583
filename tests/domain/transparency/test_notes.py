"""Signed notes, checkpoints, keys and proof files, read and written beside an independent library."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales import signing, tlog

from offerlog_domain.transparency.checkpoints import (
    Checkpoint,
    SignedCheckpoint,
    make_signature,
    signed_message,
    split_signature,
)
from offerlog_domain.transparency.errors import NoteError, ProofError
from offerlog_domain.transparency.hashing import hash_leaf
from offerlog_domain.transparency.notes import NoteSignature, SignatureType, SignedNote, VerifierKey
from offerlog_domain.transparency.proof_files import InclusionFile

# The example of C2SP tlog-cosignature: a checkpoint with the signature of the log and of a witness.
EXAMPLE = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501 - as the specification has it
# The vector of RFC 8032, section 7.1, test 1: a private key and its public key.
PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
CHECKPOINT = Checkpoint("example.com/offers", 5, hash_leaf(b"root"))


def test_the_example_of_the_specification_is_read_and_written_unchanged() -> None:
    """That of C2SP tlog-cosignature."""
    signed = SignedCheckpoint.parse(EXAMPLE)
    assert str(signed) == EXAMPLE
    assert (signed.checkpoint.origin, signed.checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert str(signed.checkpoint) == signed.note.text


def test_a_cosignature_says_when() -> None:
    """The time stands before the signature, and is signed."""
    witness = SignedNote.parse(EXAMPLE).signatures[1]
    key = VerifierKey(witness.name, SignatureType.COSIGNATURE_V1, PUBLIC)
    time, signature = split_signature(key, witness)
    assert (time, len(signature)) == (1_679_315_147, 64)
    assert signed_message(key, str(CHECKPOINT), time).decode() == (
        f"cosignature/v1\ntime 1679315147\n{CHECKPOINT}"
    )


@pytest.mark.parametrize("kind", [SignatureType.ED25519, SignatureType.COSIGNATURE_V1])
def test_a_key_has_the_text_and_id_that_the_independent_library_gives_it(kind: SignatureType) -> None:
    """C2SP calls it a vkey."""
    key = VerifierKey("example.com/offers", kind, PUBLIC)
    theirs = signing.Vkey("example.com/offers", None, kind.value, PUBLIC)
    assert str(key) == theirs.serialize()
    assert VerifierKey.parse(str(key)) == key


@pytest.mark.parametrize("kind", [SignatureType.ED25519, SignatureType.COSIGNATURE_V1])
def test_the_independent_library_takes_our_signatures(kind: SignatureType) -> None:
    """The signed bytes are those of the specification."""
    key = VerifierKey("example.com/offers", kind, PUBLIC)
    time = 0 if kind is SignatureType.ED25519 else 1_790_000_000
    private = Ed25519PrivateKey.from_private_bytes(PRIVATE)
    line = make_signature(key, private.sign(signed_message(key, str(CHECKPOINT), time)), time)
    note = SignedNote(str(CHECKPOINT), (line,))
    tlog.Checkpoint.from_text(str(note)).verify(signing.Vkey.from_string(str(key)))
    assert split_signature(key, line)[0] == time


def test_a_signature_is_by_the_key_with_its_name_and_id_alone() -> None:
    """Lines of other keys must be passed over."""
    key = VerifierKey("example.com/offers", SignatureType.ED25519, PUBLIC)
    line = make_signature(key, bytes(64))
    assert SignedNote("text\n", (line,)).by(key) == [line]
    assert not line.is_by(VerifierKey("example.com/other", SignatureType.ED25519, PUBLIC))
    assert not line.is_by(VerifierKey("example.com/offers", SignatureType.COSIGNATURE_V1, PUBLIC))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n\u2014 name AAAAAAA=",
        "text\n\n- name AAAAAAA=\n",
        "text\n\n\u2014 name AAAAAA==\n",  # no byte behind the id of the key
        "text\n\n\u2014 na+me AAAAAAA=\n",
        "text\n\n\u2014 na\u00a0me AAAAAAA=\n",
        "text\n\n\u2014  AAAAAAA=\n",
        "text\n\n\u2014 name AAAAAAB=\n",  # bits that are not there
        "te\txt\n\n\u2014 name AAAAAAA=\n",
        "text\n\n" + "\u2014 name AAAAAAA=\n" * 65,
    ],
)
def test_what_is_not_a_signed_note_is_refused(text: str) -> None:
    """There is one way to write a note."""
    with pytest.raises(NoteError):
        SignedNote.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n5\n",
        "origin\n05\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n\u0665\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        f"origin\n{2**63}\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        f"origin\n{'9' * 5_000}\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n5\nAAAA\n",
        "\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "origin\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nmore\n",
        "origin\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    """Three lines or more, none empty."""
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000+AQ==", "name+00000000+AA==", "na me+00000000+AQ==", "name+00000000+"],
)
def test_what_is_not_a_public_key_is_refused(text: str) -> None:
    """Its id must fit."""
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


SEED = "AXk3c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2Vj"


@pytest.mark.parametrize(
    "text",
    [
        f"PRIVATE+KEY+example.com/offers+0a0b0c0d+{SEED}",
        f"\ufeffPRIVATE+KEY+example.com/offers+0a0b0c0d+{SEED}",
        f"example.com/offers+0a0b0c0d+{SEED}",
        f"example.com/offers+{SEED}+AQ==",
        f"{SEED}+0a0b0c0d+AQ==",
        f"{{'key': '{SEED}+{SEED}+{SEED}'}}",
        SEED,
    ],
)
def test_an_error_never_quotes_a_text_that_was_given_as_a_public_key(text: str) -> None:
    """It may be the private key, or a file with other secrets."""
    with pytest.raises(NoteError) as error:
        VerifierKey.parse(text)
    assert SEED[:8] not in str(error.value)
    assert ("private key" in str(error.value)) == ("PRIVATE" in text)


@settings(max_examples=40)
@given(st.text(max_size=100))
def test_any_other_text_is_an_error_of_one_class(text: str) -> None:
    """Nobody's text ends in another error."""
    for read in (
        SignedNote.parse,
        Checkpoint.parse,
        VerifierKey.parse,
        InclusionFile.parse,
        NoteSignature.parse,
    ):
        with pytest.raises(NoteError):
            read(text)


@pytest.mark.parametrize("extra", [None, b"", b"entry"])
def test_a_proof_file_is_read_as_it_was_written(extra: bytes | None) -> None:
    """With and without the bytes that nothing proves."""
    leaves = [hash_leaf(b"one"), hash_leaf(b"two")]
    checkpoint = Checkpoint("example.com/offers", 2, bytes.fromhex("00" * 32))
    note = SignedNote(str(checkpoint), (NoteSignature("example.com/offers", bytes(4), bytes(64)),))
    file = InclusionFile(1, (leaves[0],), SignedCheckpoint(checkpoint, note), extra)
    assert InclusionFile.parse(str(file)) == file
    assert str(file).startswith("c2sp.org/tlog-proof@v1\n")
    with pytest.raises(ProofError):
        file.check(leaves[1])
