"""Make the shared test vectors anew: `.venv/bin/python tests/vectors/make_vectors.py`.

tests/domain/transparency/test_vectors.py shows them to three implementations: the domain, the verifier that
stands alone, and the package `tlog-scales`. The seeds of the keys are for tests alone.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from offerlog_domain.event_fields import Event
from offerlog_domain.events import Engaged, LifecycleEvent, Offered, Rejected, SignalParked
from offerlog_domain.lifecycle import Stage, State
from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.hashing import hash_leaf
from offerlog_domain.transparency.leaves import entry_of_event, sealed_digest, split_state
from offerlog_domain.transparency.notes import SignatureType, SignedNote
from offerlog_domain.transparency.proof_files import InclusionFile
from offerlog_domain.transparency.proofs import prove_consistency, prove_inclusion, root_hash
from offerlog_domain.transparency.tiles import Tile, list_tiles
from offerlog_infrastructure.evidence.signing_keys import SigningKey
from offerlog_infrastructure.postgres.log.event_encoding import encode_compact, encode_plain
from offerlog_infrastructure.presentation.documents import format_time

HERE: Final = Path(__file__).parent
ORIGIN: Final = "log.example/offers"
SIZES: Final = (0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 600)
INCLUSIONS: Final = ((0, 1), (0, 2), (2, 3), (4, 7), (255, 256), (256, 257), (0, 600), (311, 600), (599, 600))
CONSISTENCIES: Final = ((0, 5), (1, 2), (3, 7), (4, 8), (255, 256), (256, 257), (257, 600), (600, 600))
MOMENT: Final = datetime(2026, 11, 22, 10, 0, 0, 123000, UTC)
NOVEMBER: Final = 1_763_805_600
"""A time that cosignatures sign, in seconds since 1970."""

KEYS: Final = {
    "log": SigningKey(ORIGIN, SignatureType.ED25519, bytes(range(32))),
    "log-mldsa": SigningKey(ORIGIN, SignatureType.MLDSA44, bytes(range(1, 33))),
    "witness": SigningKey("witness.example/w1", SignatureType.COSIGNATURE_V1, bytes(range(2, 34))),
    "stranger": SigningKey("stranger.example", SignatureType.ED25519, bytes(range(3, 35))),
}


def _tree() -> tuple[list[bytes], dict[tuple[int, int], bytes]]:
    """Return the leaves and the tiles of the tree whose entries are the numbers, 4 bytes each."""
    leaves = [hash_leaf(number.to_bytes(4, "big")) for number in range(SIZES[-1])]
    changed = GrowingTree().append(leaves)
    return leaves, {(tile.level, tile.n): hashes for tile, hashes in changed.items()}


def trees() -> dict[str, Any]:
    """Roots, proofs and the names of tiles."""
    _, tiles = _tree()

    def read(level: int, n: int) -> bytes:
        return tiles[level, n]

    named = [Tile(0, 0), Tile(0, 999), Tile(0, 1000, 1), Tile(1, 1_234_067), Tile(2, 273, 112)]
    return {
        "about": "RFC 6962 over the entries 0, 1, 2, ..., each 4 bytes, big-endian. Hashes are hexadecimal.",
        "roots": [{"size": size, "root": root_hash(size, read).hex()} for size in SIZES],
        "inclusion": [
            {"index": index, "size": size, "hashes": [h.hex() for h in prove_inclusion(index, size, read)]}
            for index, size in INCLUSIONS
        ],
        "consistency": [
            {"old": old, "new": new, "hashes": [h.hex() for h in prove_consistency(old, new, read)]}
            for old, new in CONSISTENCIES
        ],
        "tiles": [{"level": one.level, "n": one.n, "width": one.width, "path": one.path} for one in named],
        "tiles_of_600": [one.path for one in list_tiles(600)],
    }


def notes() -> dict[str, Any]:
    """Checkpoints with signatures, true and false."""
    _, tiles = _tree()
    checkpoint = Checkpoint(ORIGIN, 600, root_hash(600, lambda level, n: tiles[level, n]))
    text = str(checkpoint)
    lines = {name: key.sign(text, NOVEMBER) for name, key in KEYS.items()}
    signed = str(SignedNote(text, tuple(lines[name] for name in ("log", "log-mldsa", "witness"))))
    other = str(SignedNote(str(Checkpoint(ORIGIN, 600, bytes(32))), (lines["log"], lines["witness"])))
    stranger = str(SignedNote(text, (lines["stranger"],)))
    proof = InclusionFile(
        311,
        tuple(prove_inclusion(311, 600, lambda level, n: tiles[level, n])),
        SignedCheckpoint.parse(signed),
        b"extra",
    )
    return {
        "about": "C2SP signed notes. `signed`: keys whose signature is true; `false`: keys whose is false.",
        "keys": {name: str(key.key) for name, key in KEYS.items()},
        "notes": [
            {"text": signed, "signed": ["log", "log-mldsa", "witness"], "false": []},
            {"text": other, "signed": [], "false": ["log", "witness"]},
            {"text": stranger, "signed": ["stranger"], "false": []},
        ],
        "proof_file": {"text": str(proof), "leaf": hash_leaf((311).to_bytes(4, "big")).hex()},
    }


def _readable(event: LifecycleEvent) -> dict[str, str | None]:
    return {
        "organization": event.organization,
        "action_map_id": str(event.action_map_id),
        "recorded_at": format_time(event.recorded_at),
        "occurred_at": format_time(event.occurred_at),
        "offered_at": format_time(event.offered_at),
        "state": event.state.value,
        "stage": event.stage,
    }


def events() -> dict[str, Any]:
    """Stored events with their leaves."""
    action_map = UUID("3b5e0000-0000-4000-8000-000000000001")
    common: dict[str, Any] = {
        "organization": "default",
        "action_map_id": action_map,
        "recorded_at": MOMENT,
        "media_type": "webchat",
        "occurred_at": MOMENT,
    }
    lifecycle = common | {"action_number": 1, "offered_at": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)}
    long = common | {"occurred_at": datetime(9999, 12, 31, tzinfo=UTC), "action_map_version": 70_000}
    made: list[tuple[str, Event, bytes]] = [
        (
            "offered.2",
            Offered(**lifecycle, action_map_name="Hilfe für Käufer", timeout_seconds=45),
            b"x" * 90,
        ),
        ("rejected.2", Rejected(**lifecycle, rejected_stage=Stage.FORM, action_map_version=300), b"y" * 300),
        ("offered.2", Offered(**(lifecycle | long), parked_version=3), b"\0" + bytes(range(32))),
        ("signal-parked.2", SignalParked(**long, parked_state=State.STARTED, raw_length=5_000), b""),
    ]
    # The compact form: distances of every width and sign, all usual values, and none of them.
    usual = common | {"action_number": 1, "offered_at": MOMENT}
    unusual = lifecycle | long | {"organization": "acme", "media_type": "contentOffer", "dated": False}
    recorded_at = MOMENT.replace(microsecond=123_456)
    since = usual | {"recorded_at": recorded_at, "timeout_seconds": 45}
    made += [("offered.3", Offered(**usual), b"z" * 65)]
    for before in (40, 300, 70_000, 10**10, -5, -100, -30_000, -(10**6), -(10**10)):
        moment = MOMENT - timedelta(milliseconds=before)
        made.append(("engaged.3", Engaged(**since | {"occurred_at": moment}), b"z" * 65))
    made += [
        ("rejected.3", Rejected(**unusual, rejected_stage=Stage.FORM, parked_version=3), b"z" * 200),
        ("rejected.3", Rejected(**lifecycle, rejected_stage=Stage.INVITATION), b"\0" + bytes(range(32))),
    ]
    described = []
    for number, (topic, event, sealed) in enumerate(made, 1):
        stream = UUID(int=number << 90 | number).bytes
        if topic.endswith(".3"):
            assert isinstance(event, LifecycleEvent)
            state = encode_compact(event, sealed)
        else:
            state = encode_plain(event, sealed)
        parts = split_state(state)
        assert parts is not None
        row = (1_000 * number, stream, number, topic, state)
        entry = entry_of_event(*row)
        described.append(
            {
                "position": row[0],
                "version": number,
                "stream": str(UUID(bytes=stream)),
                "topic": topic,
                "state": state.hex(),
                "public": parts[0].hex(),
                "sealed_sha256": sealed_digest(sealed).hex(),
                "entry": entry.hex(),
                "leaf": hash_leaf(entry).hex(),
                "readable": _readable(event) if isinstance(event, LifecycleEvent) else {},
            }
        )
    about = "Leaves of events: the layout is in docs/verifier.md. The third has an erased sealed part."
    return {"about": about, "events": described}


def main() -> None:
    """Write the files."""
    for make in (trees, notes, events):
        text = json.dumps(make(), indent=1, ensure_ascii=False)
        (HERE / f"{make.__name__}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
