"""The replay of the whole log on Dask: on the cores of this machine, or on a cluster."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.slices import ProjectionDigest, SliceBounds, SliceSource, SliceSources
from offerlog_application.reading.arrow import ExtraMissingError
from offerlog_application.wording import format_count
from offerlog_infrastructure.observability.waiting import announced
from offerlog_infrastructure.replaying.errors import (
    ManifestError,
    SchedulerAddressError,
    SchedulerLostError,
    SliceChangedError,
    SlicesMovedError,
    WorkerFileError,
)
from offerlog_infrastructure.replaying.manifest import (
    FORMAT,
    PlannedSlice,
    ReplayManifest,
    ShardsManifest,
    decode_digest,
    decode_result,
    encode_result,
    load_manifest,
    load_shards_manifest,
    make_manifest,
    save_manifest,
)
from offerlog_infrastructure.replaying.slice_files import hash_file, write_slice
from offerlog_infrastructure.replaying.slice_replay import NOTHING, SliceReplay, replay_slice

_CONNECT_SECONDS: Final = 30
"""Seconds to wait for a scheduler."""

Report = Callable[[RebuildProgress], None]


@dataclass(frozen=True, slots=True)
class ComparedProjection:
    """A replayed projection beside the live one.

    Attributes:
        name: Its name.
        position: The position of the live one when the replay began.
        replayed: The contents that the log gives.
        live: The contents of the live tables.
    """

    name: str
    position: int
    replayed: ProjectionDigest
    live: ProjectionDigest

    @property
    def differences(self) -> list[str]:
        """The parts that differ: `events`, and names of tables."""
        both = (self.replayed.events, self.replayed.digest), (self.live.events, self.live.digest)
        return [
            *(["events"] if both[0] != both[1] else []),
            *(
                table
                for table, live in self.live.tables.items()
                if live != self.replayed.tables.get(table, (0, 0))
            ),
        ]


@dataclass(frozen=True, slots=True)
class ComparedReplay:
    """A replay of the whole log beside the live projections.

    Attributes:
        total: The sum of all slices.
        projections: All projections.
    """

    total: SliceReplay
    projections: list[ComparedProjection]

    @property
    def is_equal(self) -> bool:
        """True if nothing differs, and every event can be read or waits as a dead letter."""
        return not self.total.unreadable and not any(one.differences for one in self.projections)


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """The part of a replay that is of one store.

    Attributes:
        source: The log of the store.
        folder: Holds its files and its manifest.
        manifest: The manifest.
        suffix: Ends the names of its projections.
    """

    source: SliceSource
    folder: Path
    manifest: ReplayManifest
    suffix: str


def replay_on_dask(
    sources: SliceSources, folder: Path, scheduler: str | None, on_progress: Report
) -> ComparedReplay:
    """Write the log into a folder slice by slice, replay the slices on Dask, and compare with live tables.

    A replay that was interrupted goes on where it was. One that is complete gives its result again. Of
    several servers, each is compared with what its own log holds; no slice may move until all files are
    written.

    Args:
        sources: The logs.
        folder: Holds the files of the slices and the manifest. The workers must see it under the same path.
        scheduler: The address of a scheduler, such as `tcp://10.0.0.5:8786`; None for this machine's cores.
        on_progress: Called after each slice.

    Raises:
        ExtraMissingError: Dask or pyarrow is not installed.
        ManifestError: The folder holds a replay of another store, or by another version.
        SchedulerAddressError: The address of the scheduler cannot be read; nothing was done.
        SchedulerLostError: The scheduler is lost.
        WorkerFileError: A worker cannot read a file.
        SliceChangedError: A file is not the one that was written.
        SlicesMovedError: A slice has moved meanwhile.
        SliceInMotionError: A slice is on its way.
        OtherCodeError: A worker has another version of offerlog.
        StoreUnavailableError: A store cannot be reached.
        OSError: A file cannot be written or read.
    """
    distributed = _load_dask()
    if scheduler is not None:
        _check_address(distributed, scheduler)
    folder = folder.expanduser().absolute()
    placement = sources.read_placement()
    if placement is None:
        if load_shards_manifest(folder) is not None:
            raise ManifestError(folder, "of several servers")
        ((_, source),) = sources.all().items()
        parts = [ReplayPart(source, folder, _plan(source, folder, on_progress), "")]
        _write_slices(parts, on_progress)
    else:
        parts = _write_shards(sources, placement, folder, on_progress)
    slices = [one for part in parts for one in part.manifest.slices]
    left = [one for one in slices if one.result is None]
    if left:
        with _connected(distributed, scheduler, len(slices) - len(left), len(slices)) as client:
            _replay_slices(distributed, client, parts, on_progress)
    totals = [
        sum((decode_result(one.result) for one in part.manifest.slices if one.result), start=NOTHING)
        for part in parts
    ]
    return ComparedReplay(
        sum(totals, start=NOTHING),
        [
            ComparedProjection(
                f"{name}{part.suffix}",
                part.manifest.task.positions[name],
                total.projections[name],
                decode_digest(live),
            )
            for part, total in zip(parts, totals, strict=True)
            for name, live in part.manifest.live.items()
        ],
    )


def _write_shards(
    sources: SliceSources, placement: Mapping[int, Sequence[int]], folder: Path, on_progress: Report
) -> list[ReplayPart]:
    """Plan the replay of each of several servers, and write all files while no slice moves.

    What was planned before `shards.json` was there may be of another moment, and is planned anew.

    Raises:
        SlicesMovedError: A slice has moved.
    """
    if load_manifest(folder) is not None:
        raise ManifestError(folder, "of a store that is the only one")
    known = load_shards_manifest(folder)
    has_moved = known is not None and known.placement != placement
    if has_moved and not (known and known.is_written):
        raise SlicesMovedError(folder)
    parts: list[ReplayPart] = []
    for number, source in sources.all().items():
        if known is None or number in known.placement:  # else it was added later, and had no slice then
            own = folder / f"shard-{number}"
            manifest = _plan(source, own, on_progress, anew=known is None)
            parts.append(ReplayPart(source, own, manifest, f"@{number}"))
    if known is None:
        known = ShardsManifest(FORMAT, placement)
        _check_placement(sources, placement, folder)
        save_manifest(folder, known)
    _write_slices(parts, on_progress, may_read=not has_moved)
    if not known.is_written:
        _check_placement(sources, placement, folder)
        known.is_written = True
        save_manifest(folder, known)
    return parts


def _check_placement(sources: SliceSources, placement: Mapping[int, Sequence[int]], folder: Path) -> None:
    """Check that no slice has moved.

    Raises:
        SlicesMovedError: One has.
    """
    if sources.read_placement() != placement:
        raise SlicesMovedError(folder)


def _plan(source: SliceSource, folder: Path, on_progress: Report, *, anew: bool = False) -> ReplayManifest:
    """Return the manifest of the folder, or a new one.

    Args:
        source: The log.
        folder: The folder.
        on_progress: Called before the live projections are read.
        anew: True to make a new one in any case.
    """
    manifest = None if anew else load_manifest(folder)
    if manifest is not None:
        if manifest.store != source.name_store():
            raise ManifestError(folder, "of another store")
        if manifest.task.code != source.code():
            raise ManifestError(folder, "by another version of offerlog")
        return manifest
    on_progress(RebuildProgress("reading the live projections", 0, 1))
    live = source.live()
    slices = [
        PlannedSlice(str(low), str(high), f"slice={low.int >> 124:02}/{low.hex}.parquet")
        for low, high in source.divide(max(live.positions.values()))
    ]
    manifest = make_manifest(live, source.code(), slices)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_manifest(folder, manifest)
    return manifest


def _write_slices(parts: Sequence[ReplayPart], on_progress: Report, *, may_read: bool = True) -> None:
    """Write the files that are not there yet.

    Args:
        parts: What is replayed.
        on_progress: Called for each file.
        may_read: False if slices have moved since, so that the logs may not be read any more.

    Raises:
        SliceChangedError: A file has changed.
        SlicesMovedError: A file is gone, and may not be written anew.
    """
    total, done = sum(len(part.manifest.slices) for part in parts), 0
    for part in parts:
        manifest = part.manifest
        position = max(manifest.task.positions.values())
        for one in manifest.slices:
            on_progress(RebuildProgress("writing slices", done, total))
            done += 1
            path = part.folder / one.file
            if one.result is not None:
                continue
            if one.written is not None and path.exists():
                if hash_file(path) != one.written.sha256:
                    raise SliceChangedError(path)
                continue
            if not may_read:
                raise SlicesMovedError(part.folder)
            bounds = SliceBounds(UUID(one.low), UUID(one.high))
            one.written = write_slice(path, manifest.task, part.source.read(bounds, position))
            save_manifest(part.folder, manifest)
    on_progress(RebuildProgress("writing slices", total, total))


def _replay_slices(distributed: Any, client: Any, parts: Sequence[ReplayPart], on_progress: Report) -> None:
    """Replay the slices that have no result yet, and note each result when it comes."""
    total = sum(len(part.manifest.slices) for part in parts)
    left = {
        str(part.folder / one.file): (part, one)
        for part in parts
        for one in part.manifest.slices
        if one.result is None
    }
    done = total - len(left)
    on_progress(RebuildProgress("replaying slices", done, total))
    futures = client.map(replay_slice, list(left), pure=False)
    results = distributed.as_completed(futures, with_results=True)
    while True:
        try:
            result = _wait_for_result(client, results)
            if isinstance(result, Exception):  # of slices that went with the scheduler
                raise result
        except StopIteration:
            return
        except _losses() as error:
            cause = str(error) or type(error).__name__
            raise SchedulerLostError(client.scheduler.address, done, total, cause) from error
        except OSError as error:
            raise WorkerFileError(str(error)) from error
        ((path, sha256),) = result.files.items()
        part, one = left[path]
        if one.written is None or one.written.sha256 != sha256:
            raise SliceChangedError(Path(path))
        one.result = encode_result(result)
        save_manifest(part.folder, part.manifest)
        done += 1
        on_progress(RebuildProgress("replaying slices", done, total))


def _wait_for_result(client: Any, results: Iterator[tuple[Any, Any]]) -> Any:
    """Return the next result; the wait for workers that others start is announced."""
    if client.cluster is not None:
        return next(results)[1]
    with announced("the next slice") as wait:
        wait.reason = partial(_describe_workers, client)
        return next(results)[1]


def _describe_workers(client: Any) -> str:
    """Return what is at work, for the announcement of a long wait: a scheduler may have no worker at all."""
    count = len(client.scheduler_info()["workers"])
    if count:
        return f"{format_count(count, 'worker')} at work"
    address = client.scheduler.address
    return f"the scheduler {address} has no workers: start one by `dask worker {address}`"


def _check_address(distributed: Any, scheduler: str) -> None:
    """Check the address of a scheduler, before a large log is written for it.

    Raises:
        SchedulerAddressError: It cannot be read.
    """
    try:
        distributed.comm.get_address_host_port(scheduler, strict=True)
    except ValueError as error:
        raise SchedulerAddressError(scheduler, str(error)) from None


def _losses() -> tuple[type[Exception], ...]:
    """Return the errors of a scheduler that is lost, or of workers that were killed again and again."""
    from distributed.client import FutureCancelledError  # noqa: PLC0415 - an extra, which is there
    from distributed.comm import CommClosedError  # noqa: PLC0415 - as above
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 - as above

    return FutureCancelledError, CommClosedError, KilledWorker, TimeoutError


@contextmanager
def _connected(distributed: Any, scheduler: str | None, done: int, total: int) -> Iterator[Any]:
    """Connect to a scheduler, or start one with a process for each core."""
    if scheduler is None:
        with (
            distributed.LocalCluster(
                n_workers=os.cpu_count() or 1,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=50,  # its workers speak of everything; errors of slices are raised here
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError) as error:
        raise SchedulerLostError(scheduler, done, total, str(error)) from error
    with client:
        yield client


def _load_dask() -> Any:
    try:
        import dask  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ExtraMissingError("Dask", "archive") from None
    # What ends a replay is raised. Dask sets up its loggers when it is imported.
    names = ("distributed", "distributed.client", "tornado.application", "asyncio")
    dask.config.set({"logging": dict.fromkeys(names, "critical")})
    import distributed  # noqa: PLC0415 - as above

    return distributed
