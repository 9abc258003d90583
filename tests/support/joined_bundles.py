"""A bundle of several servers, and an operator who leaves out a log or shows one twice, and signs it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.joined_logs import join_checkpoints
from offerlog_domain.transparency.notes import SignedNote
from offerlog_infrastructure.evidence.audit_key import public_file
from offerlog_infrastructure.evidence.signing_keys import SigningKey
from offerlog_infrastructure.shard_places import place_of_shard
from support.bundles import list_again


def key_options(key: Path, shards: Sequence[int]) -> list[str]:
    """The options of the verifier for the public keys of these shards."""
    return [word for one in shards for word in ("--key", str(public_file(place_of_shard(key, one))))]


def forge_logs(bundle: Path, forged: Path, key: Path, logs: Sequence[int]) -> None:
    """Make a bundle of some of the logs of another, whose statement all of their keys have signed."""
    shutil.copytree(bundle, forged, ignore=shutil.ignore_patterns("log-*"))
    for place, number in enumerate(logs):
        shutil.copytree(bundle / f"log-{number}", forged / f"log-{place}")
    texts = [(bundle / f"log-{number}" / "checkpoint").read_text() for number in logs]
    joined = str(join_checkpoints([SignedCheckpoint.parse(one).checkpoint for one in texts]))
    signers = [SigningKey.parse(place_of_shard(key, one).read_text()) for one in sorted({*logs})]
    note = SignedNote(joined, tuple(one.sign(joined, 0) for one in signers))
    (forged / "servers").write_text(str(note))
    report = json.loads((bundle / "report.json").read_text())
    for name in ("as_of", "events"):
        report[name] = [report[name][one] for one in logs]
    (forged / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    list_again(forged)
