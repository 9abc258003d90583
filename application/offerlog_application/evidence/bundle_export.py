"""The export of a bundle: everything that an auditor needs to check the log without the store.

The bundle holds every event up to a checkpoint, because only then it shows that nothing was left out of a
count. Of other organizations' events it holds the hash of the leaf alone, unless it shall disclose them.

Of several servers it holds every event of every log, each in its own folder, and a statement that all of
their keys have signed: how many logs there are, and which checkpoints belong together (docs/decisions/0074).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from offerlog_application.evidence.bundle_parts import BundleRequest, BundleSink
from offerlog_application.evidence.claims import Claims
from offerlog_application.evidence.evidence import Evidence
from offerlog_application.evidence.log_export import LogExport
from offerlog_application.evidence.whole_streams import WholeStreams
from offerlog_application.ports.positions import (
    SHARD_BITS,
    LogPosition,
    by_shard,
    latest_position,
    only_position,
    shard_of_position,
)
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.sealed_tree import NotSealedError
from offerlog_application.ports.shards import HOME, NotOverShardsError
from offerlog_domain.errors import ArgumentError
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.joined_logs import join_checkpoints
from offerlog_domain.transparency.notes import SignedNote

SERVERS_FILE: Final = "servers"
"""The file of a bundle of several servers that says which logs belong together."""


class BundleContents(NamedTuple):
    """The contents of a bundle.

    Attributes:
        logs: Number of logs: 1, or one for each of several servers.
        events: Number of events.
        position: The position of the last event of each log; 0 without events.
        withheld: Number of events of which it has the hash alone.
    """

    logs: int
    events: int
    position: LogPosition
    withheld: int


class BundleExport:
    """Exports one bundle. `run` is called once.

    Args:
        evidence: The tree, the events, and the key that signs; of several servers, those of each.
        request: What it shall hold.
        sink: Where its files go.
        on_progress: Called several times a second.
    """

    def __init__(
        self,
        evidence: Evidence,
        request: BundleRequest,
        sink: BundleSink,
        on_progress: Callable[[RebuildProgress], None] = lambda _: None,
    ) -> None:
        self._evidence = evidence
        self._request = request
        self._sink = sink
        self._on_progress = on_progress

    def run(self) -> BundleContents:
        """Write events, tiles, checkpoint, proofs and reports.

        Raises:
            AuditKeyError: There is no key that signs checkpoints.
            ForkError: The log does not continue what was signed before.
            OfferlogError: A witness refuses or cannot be reached.
            ArgumentError: `as_of` is behind the end of the log; of several servers, it does not name all of
                their logs, or has positions of several moments. Or an event that shall be proved is one of
                another organization, whose events are not disclosed.
            LogChangedError: An event is not the one in the tree, or was blanked without an erasure.
            NotSealedError: An event that shall be proved is not in the bundle, or the tree does not catch up.
            CheckpointFolderError: The folder of checkpoints cannot be read or written.
            BundlePlaceError: A file cannot be written.
            NotOverShardsError: Events of the log were moved to other servers, and this is the evidence of one
                alone.
            SliceInMotionError: A slice of several servers is on its way, or has moved meanwhile.
            StoreUnavailableError: The store cannot be reached.
        """
        with self._evidence.settled() as logs:
            return self._export(logs)

    def _export(self, logs: Mapping[int, Evidence]) -> BundleContents:
        for position in self._request.proved:
            if len(logs) > 1 and shard_of_position(position) not in logs:
                raise NotSealedError(position, "no event has this position")
        for log in logs.values():
            if log.tree.moved_events():
                raise NotOverShardsError("to export a bundle of one of them alone")
            log.catch_up()
        ends = self._find_ends(logs)
        exports = {number: self._begin(log, number, ends) for number, log in logs.items()}
        sizes = {number: one.signed.checkpoint.size for number, one in exports.items()}
        events, claims, done = sum(sizes.values()), Claims(self._request.query), 0
        streams = WholeStreams() if len(logs) > 1 and self._request.as_of is not None else None
        if len(logs) > 1:
            self._sink.write(SERVERS_FILE, str(self._join(logs, exports)).encode())
        last: dict[int, int] = {}
        for number, one in exports.items():
            last[number] = one.write(claims, partial(self._show, done, events), streams)
            done += sizes[number]
        if streams is not None:
            streams.check()
        reports: dict[str, Any] = {
            "as_of": [*last.values()] if len(logs) > 1 else last[HOME],
            "events": [*sizes.values()] if len(logs) > 1 else events,
            "reports": claims.describe(),
        }
        self._sink.write("report.json", (json.dumps(reports, indent=1) + "\n").encode())
        reached = latest_position([*filter(None, last.values())]) or 0
        return BundleContents(len(logs), events, reached, sum(one.withheld for one in exports.values()))

    def _find_ends(self, logs: Mapping[int, Evidence]) -> Mapping[int, int | None]:
        """Return the last position that is wanted of each log; None for all that is in it.

        Raises:
            ArgumentError: The position that is asked for does not say it of all logs.
        """
        as_of = self._request.as_of
        if as_of is None:
            return dict.fromkeys(logs)
        if len(logs) == 1:
            return {HOME: only_position(as_of)}
        ends = by_shard(as_of)
        for number in sorted({*logs, *ends}):
            if number not in logs:
                raise ArgumentError("as_of", f"as_of: {as_of}: no server has the number {number}")
            if number not in ends:
                raise ArgumentError(
                    "as_of",
                    f"as_of: {as_of} does not say how far the log of shard {number} went. If nothing was in"
                    f" it then, add .{number << SHARD_BITS}",
                )
        return ends

    def _begin(self, log: Evidence, number: int, ends: Mapping[int, int | None]) -> LogExport:
        if len(ends) == 1:
            return LogExport(log, self._request, self._sink, ends[number])
        proved = tuple(one for one in self._request.proved if shard_of_position(one) == number)
        return LogExport(
            log, replace(self._request, proved=proved), self._sink, ends[number], f"log-{number}/"
        )

    def _show(self, before: int, total: int, events: int) -> None:
        self._on_progress(RebuildProgress("exporting events", before + events, total))

    def _join(self, logs: Mapping[int, Evidence], exports: Mapping[int, LogExport]) -> SignedCheckpoint:
        """Return the statement which checkpoints belong together, signed by the key of each log."""
        joined = join_checkpoints([one.signed.checkpoint for one in exports.values()])
        note = SignedNote(str(joined), tuple(log.sign(joined) for log in logs.values()))
        return SignedCheckpoint(joined, note)
