"""The site of a witness: a request that does not end is answered, and its connection closed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from offerlog_application.evidence.witness import Witness
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.evidence import witness_site
from offerlog_infrastructure.evidence.signing_keys import check_signature
from offerlog_infrastructure.evidence.witness_folder import WitnessFolder
from offerlog_infrastructure.evidence.witness_site import WitnessSite

SCOPE: Final[dict[str, Any]] = {"type": "http", "method": "POST", "path": "/add-checkpoint"}


async def ask(site: WitnessSite, pieces: Sequence[bytes]) -> tuple[int, bytes | None]:
    """Send pieces of a body that never ends; returns the status and the header `connection`."""
    waiting, sent = list(pieces), list[Any]()

    async def receive() -> Any:
        if not waiting:
            await asyncio.sleep(20)  # longer than the site waits
        return {"type": "http.request", "body": waiting.pop(0), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await site(SCOPE, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"connection")


@pytest.mark.parametrize(("pieces", "status"), [([b"old 0"], 408), ([b"x" * 65_536] * 5, 400)])
def test_a_request_that_does_not_end_is_answered_and_its_connection_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: Sequence[bytes], status: int
) -> None:
    """After a time, and as soon as it is too long; whether it said its length or not."""
    # given
    monkeypatch.setattr(witness_site, "_BODY_SECONDS", 0.5)
    monkeypatch.setattr(witness_site, "_DISCARD_SECONDS", 0.1)
    with WitnessFolder(tmp_path, "auditor.example/w1") as folder:
        witness = Witness([], folder.key, folder, check_signature, SystemClock())
        # when
        answer = asyncio.run(ask(WitnessSite(witness, folder.key.key), pieces))
    # then
    assert answer == (status, b"close")
