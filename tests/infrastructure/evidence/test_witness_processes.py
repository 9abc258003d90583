"""A log and its witness as two processes: growth is cosigned, and a rewritten log is refused."""

from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import hash_leaf
from offerlog_domain.transparency.notes import SignatureType, SignedNote
from offerlog_domain.transparency.proofs import prove_consistency
from offerlog_infrastructure.evidence.signing_keys import SigningKey, check_signature
from offerlog_infrastructure.evidence.witness_client import (
    RewrittenLogError,
    WitnessClient,
    WitnessError,
    WitnessUnreachableError,
)
from support.witness_process import witness_process

LOG: Final = SigningKey("shop.example/offers", SignatureType.ED25519, bytes(range(32)))


class OperatorOfLog:
    """The operator's side, with the events of the log."""

    def __init__(self, *entries: str) -> None:
        self._tree = GrowingTree()
        changed = self._tree.append([hash_leaf(one.encode()) for one in entries])
        self._tiles = {(one.level, one.n): hashes for one, hashes in changed.items()}

    def signed(self) -> SignedCheckpoint:
        """Sign the tree as it is."""
        checkpoint = Checkpoint(LOG.key.name, self._tree.size, self._tree.root())
        line = LOG.sign(str(checkpoint), 0)
        return SignedCheckpoint(checkpoint, SignedNote(str(checkpoint), (line,)))

    @property
    def prove(self) -> Callable[[int], Sequence[bytes]]:
        """Proves that the tree begins with a smaller one."""
        return lambda old: prove_consistency(old, self._tree.size, lambda level, n: self._tiles[level, n])


def test_a_witness_in_another_process_cosigns_growth_and_refuses_a_rewritten_log(tmp_path: Path) -> None:
    """It is started again in between: what it has cosigned is on the disk."""
    # given
    before, after = OperatorOfLog(*"abcde"), OperatorOfLog(*"abcdefgh")
    rewritten, shorter = OperatorOfLog(*"abXdefgh"), OperatorOfLog(*"abc")
    words = ("--log", str(LOG.key), "--name", "auditor.example/w1")
    # when
    with witness_process(tmp_path / "w", *words) as (url, key):
        first = WitnessClient(url, key).cosign(before.signed(), before.prove)
    with witness_process(tmp_path / "w", *words) as (url, key):
        client = WitnessClient(url, key)
        second = client.cosign(after.signed(), after.prove)
        # then
        for signed in (first, second):
            assert check_signature(signed, LOG.key) == 0
            assert check_signature(signed, key)
        with pytest.raises(RewrittenLogError, match="the earlier tree was changed; the log has signed both"):
            client.cosign(rewritten.signed(), rewritten.prove)
        with pytest.raises(RewrittenLogError, match="has cosigned 8 events, and these are 3"):
            client.cosign(shorter.signed(), shorter.prove)
        stranger = SigningKey("stranger.example", SignatureType.COSIGNATURE_V1, bytes(32))
        with pytest.raises(WitnessError, match="not signed by stranger"):
            WitnessClient(url, stranger.key).cosign(after.signed(), after.prove)
        _check_http(url)
    with pytest.raises(WitnessUnreachableError, match="refused"):
        client.cosign(after.signed(), after.prove)


def _check_http(url: str) -> None:
    """Ask what C2SP tlog-witness says of HTTP, on one connection."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    asked = [
        ("POST", "/add-checkpoint", b"old 0\n", 400, "text/plain; charset=utf-8"),
        ("POST", "/add-checkpoint", b"\xff", 400, "text/plain; charset=utf-8"),
        ("POST", "/add-checkpoint", _stale(), 409, "text/x.tlog.size"),
        ("GET", "/vkey", b"", 200, "text/plain; charset=utf-8"),
        ("GET", "/add-checkpoint", b"", 405, "text/plain; charset=utf-8"),
        ("GET", "/", b"", 404, "text/plain; charset=utf-8"),
        ("POST", "/add-checkpoint", b"x" * (300 << 10), 400, "text/plain; charset=utf-8"),
    ]
    for method, path, body, status, kind in asked:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        assert (answer.status, answer.getheader("content-type")) == (status, kind)
        assert status != 409 or text == b"8\n"
    connection.close()


def _stale() -> bytes:
    return f"old 0\n\n{OperatorOfLog(*'abcdefgh').signed()}".encode()
