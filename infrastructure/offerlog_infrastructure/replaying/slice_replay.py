"""The replay of one slice: from the events in a file to the contents of all projections."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from uuid import UUID

from offerlog_application.ports.positions import shard_of_position
from offerlog_application.ports.slices import ProjectionDigest, StoredRow
from offerlog_application.projections.page import Page
from offerlog_application.projections.proof import prove
from offerlog_domain.events import LifecycleEvent
from offerlog_infrastructure.postgres.log.mapper import EventMapper
from offerlog_infrastructure.postgres.log.pages import (
    DecodedPage,
    cut_between_visitors,
    decode_whole_streams,
)
from offerlog_infrastructure.postgres.projections.rebuild.staging import fingerprint_code
from offerlog_infrastructure.postgres.projections.row_digests import digest_change
from offerlog_infrastructure.postgres.projections.tables import PROJECTIONS, Projection
from offerlog_infrastructure.replaying.errors import OtherCodeError
from offerlog_infrastructure.replaying.slice_files import SliceTask, hash_file, read_slice, read_task

_MOST_NAMED: Final = 20
"""Positions of unreadable events that a result names, at most."""


@dataclass(frozen=True, slots=True)
class SliceReplay:
    """The result of a slice, or of several: results add up.

    Attributes:
        events: The number of events that were read.
        counts: For each state, the number of actions that reached it.
        projections: What each projection has applied, and what that came to.
        unreadable: Positions of events that cannot be read and do not wait as dead letters; 20 at most.
        files: The SHA-256 of each file that was read, by its path.
    """

    events: int
    counts: Mapping[str, int]
    projections: Mapping[str, ProjectionDigest]
    unreadable: Sequence[int]
    files: Mapping[str, str]

    def __add__(self, other: "SliceReplay") -> "SliceReplay":
        return SliceReplay(
            self.events + other.events,
            dict(Counter(self.counts) + Counter(other.counts)),
            {name: one + other.projections[name] for name, one in self.projections.items()},
            sorted([*self.unreadable, *other.unreadable])[:_MOST_NAMED],
            {**self.files, **other.files},
        )


NOTHING: Final = SliceReplay(0, {}, {one.name: ProjectionDigest(0, 0, {}) for one in PROJECTIONS}, [], {})
"""The result of no slice."""


def replay_slice(path: str) -> SliceReplay:
    """Compute all projections from the file of a slice; the file brings its task along.

    Raises:
        OtherCodeError: Another version of offerlog wrote the file.
        OSError: The file cannot be read.
    """
    file = Path(path)
    task = read_task(file)
    if task.code != _own_code():
        raise OtherCodeError(path)
    total, mapper = NOTHING, EventMapper()
    for rows in cut_between_visitors(read_slice(file)):
        total += _replay_rows(mapper, task, rows)
    return total + SliceReplay(0, {}, NOTHING.projections, [], {path: hash_file(file)})


@cache
def _own_code() -> str:
    return fingerprint_code(PROJECTIONS)


def _replay_rows(mapper: EventMapper, task: SliceTask, rows: Sequence[StoredRow]) -> SliceReplay:
    """Replay whole visitors. Each projection stands at a position of its own."""
    pages = {
        position: decode_whole_streams(
            mapper, [row for row in rows if row[0] <= position or shard_of_position(row[0]) != task.shard]
        )
        for position in set(task.positions.values())
    }
    last = pages[max(pages)]
    waiting = {UUID(stream) for streams in task.waiting.values() for stream in streams}
    named = sorted(one.position for one in last.unreadable if one.stream not in waiting)
    return SliceReplay(
        len(last.rows),
        _count_states(last),
        {
            one.name: _digest(one, pages[task.positions[one.name]], task.waiting.get(one.name, {}))
            for one in PROJECTIONS
        },
        named[:_MOST_NAMED],
        {},
    )


def _count_states(page: DecodedPage) -> dict[str, int]:
    events = (one.recorded.event for one in page.events)
    return dict(Counter(event.state.value for event in events if isinstance(event, LifecycleEvent)))


def _digest(projection: Projection, page: DecodedPage, waiting: Mapping[str, int]) -> ProjectionDigest:
    """Fold a page, without what waits as dead letters, and without streams from an unreadable event on."""
    ends = {UUID(stream): version for stream, version in waiting.items()}
    for one in page.unreadable:
        ends[one.stream] = min(one.version, ends.get(one.stream, one.version))
    rows, events = page.rows, page.events
    if ends:
        rows = [row for row in rows if row[2] < ends.get(row[1], row[2] + 1)]
        events = [
            one
            for one in events
            if one.recorded.originator_version
            < ends.get(one.recorded.originator_id, one.recorded.originator_version + 1)
        ]
    proofs = prove((row[0], row[1]) for row in rows).values()
    return ProjectionDigest(
        sum(one.events for one in proofs),
        sum(one.digest for one in proofs),
        digest_change(projection, projection.change(Page(events, page.earlier))),
    )
