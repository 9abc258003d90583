"""A log of two organizations, its bundle, and an operator who changes a bundle and signs it anew."""

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from offerlog_application.evidence.bundle_parts import BundleRequest
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.transparency.checkpoints import Checkpoint
from offerlog_domain.transparency.growing import GrowingTree
from offerlog_domain.transparency.notes import SignatureType, SignedNote
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence import verify_bundle as alone
from offerlog_infrastructure.evidence.audit_key import make_audit_key, public_file
from offerlog_infrastructure.evidence.bundle_papers import write_bundle
from offerlog_infrastructure.evidence.signing_keys import SigningKey
from support.journeys import DAY, journeys

START: Final = DAY + timedelta(minutes=15)
END: Final = DAY + timedelta(minutes=60)


@dataclass(frozen=True)
class ExportedLog:
    """A log and its bundle.

    Attributes:
        folder: The bundle.
        key: The file with the private key of the log.
        old: A checkpoint from before the last events.
        middle: A position in the middle.
    """

    folder: Path
    key: Path
    old: Path
    middle: int

    @property
    def words(self) -> list[str]:
        """The options of the verifier."""
        return ["--key", str(public_file(self.key)), "--checkpoint", str(self.old)]


def open_sealed(dsn: str, key: Path) -> Offerlog:
    """Open a service with the key of the log."""
    return open_offerlog(database_url=dsn, keep_deadlines=False, audit_key=key, organization="shop")


def export_log(dsn: str, folder: Path) -> ExportedLog:
    """Record about 300 events of two organizations, and export the bundle of one."""
    key, old = folder / "audit.key", folder / "old.checkpoint"
    make_audit_key(key, "shop.example/offers", SignatureType.ED25519, None)
    signals = journeys(105)
    with open_sealed(dsn, key) as service:
        evidence = service.evidence
        assert evidence is not None
        service.record(signals[:150])
        evidence.catch_up()
        middle = service.position()
        old.write_text(str(evidence.checkpoint()))
        service.record(journeys(7), organization="other")
        service.record(signals[150:])
        request = BundleRequest(ReportQuery("shop", START, END), proved=(1, middle))
        write_bundle(evidence, request, folder / "bundle", with_parquet=True)
    return ExportedLog(folder / "bundle", key, old, middle)


def list_again(folder: Path) -> None:
    """Write the manifest anew, as whoever forges a bundle does."""
    manifest = json.loads((folder / "manifest.json").read_text())
    files = [one for one in folder.rglob("*") if one.is_file() and one.name != "manifest.json"]
    manifest["files"] = {
        one.relative_to(folder).as_posix(): sha256(one.read_bytes()).hexdigest() for one in sorted(files)
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def change_lines(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change events, and write them as the format wants it."""
    file = folder / "events.ndjson"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    change(events)
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in events]
    file.write_text("".join(lines))


def sign_again(folder: Path, key: Path) -> None:
    """Build tree, checkpoint and manifest from the events anew, as a dishonest operator can."""
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    tree = GrowingTree()
    shutil.rmtree(folder / "tile")
    shutil.rmtree(folder / "proofs")
    for tile, hashes in tree.append([alone.hash_leaf(one) for one in events]).items():
        (folder / tile.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / tile.path).write_bytes(hashes)
    signer = SigningKey.parse(key.read_text())
    text = str(Checkpoint(signer.key.name, tree.size, tree.root()))
    (folder / "checkpoint").write_text(str(SignedNote(text, (signer.sign(text, 0),))))
    list_again(folder)


def public_of(event: dict[str, Any]) -> bytes:
    """Return the public part of an event."""
    return base64.b64decode(event["public"])
