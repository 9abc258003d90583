"""The replay of the whole log on Dask: on the cores of this machine, or on a cluster."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.ports.slices import ProjectionDigest, SliceBounds, SliceSource
from offerlog_application.reading.arrow import ExtraMissingError
from offerlog_infrastructure.replaying.errors import (
    ManifestError,
    SchedulerLostError,
    SliceChangedError,
)
from offerlog_infrastructure.replaying.manifest import (
    PlannedSlice,
    ReplayManifest,
    load_manifest,
    new_manifest,
    read_digest,
    read_result,
    save_manifest,
    store_result,
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


def replay_on_dask(
    source: SliceSource, folder: Path, scheduler: str | None, on_progress: Report
) -> ComparedReplay:
    """Write the log into a folder slice by slice, replay the slices on Dask, and compare with live tables.

    A replay that was interrupted goes on where it was. One that is complete gives its result again.

    Args:
        source: The log.
        folder: Holds the files of the slices and the manifest. The workers must see it under the same path.
        scheduler: The address of a scheduler, such as `tcp://10.0.0.5:8786`; None for this machine's cores.
        on_progress: Called after each slice.

    Raises:
        ExtraMissingError: Dask or pyarrow is not installed.
        ManifestError: The folder holds a replay of another store, or by another version.
        SchedulerLostError: The scheduler is lost.
        SliceChangedError: A file is not the one that was written.
        OtherCodeError: A worker has another version of offerlog.
        StoreUnavailableError: The store cannot be reached.
        OSError: A file cannot be written or read.
    """
    distributed = _load_dask()
    folder = folder.expanduser().absolute()
    manifest = _plan(source, folder, on_progress)
    _write_slices(source, folder, manifest, on_progress)
    left = [one for one in manifest.slices if one.result is None]
    if left:
        done = len(manifest.slices) - len(left)
        with _connected(distributed, scheduler, done, len(manifest.slices)) as client:
            _replay_slices(distributed, client, folder, manifest, on_progress)
    total = sum((read_result(one.result) for one in manifest.slices if one.result), start=NOTHING)
    return ComparedReplay(
        total,
        [
            ComparedProjection(
                name, manifest.task.positions[name], total.projections[name], read_digest(live)
            )
            for name, live in manifest.live.items()
        ],
    )


def _plan(source: SliceSource, folder: Path, on_progress: Report) -> ReplayManifest:
    """Return the manifest of the folder, or a new one."""
    manifest = load_manifest(folder)
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
    manifest = new_manifest(live, source.code(), slices)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_manifest(folder, manifest)
    return manifest


def _write_slices(source: SliceSource, folder: Path, manifest: ReplayManifest, on_progress: Report) -> None:
    """Write the files that are not there yet."""
    position = max(manifest.task.positions.values())
    total = len(manifest.slices)
    for number, one in enumerate(manifest.slices):
        on_progress(RebuildProgress("writing slices", number, total))
        path = folder / one.file
        if one.result is not None:
            continue
        if one.written is not None and path.exists():
            if hash_file(path) != one.written.sha256:
                raise SliceChangedError(path)
            continue
        bounds = SliceBounds(UUID(one.low), UUID(one.high))
        one.written = write_slice(path, manifest.task, source.read(bounds, position))
        save_manifest(folder, manifest)
    on_progress(RebuildProgress("writing slices", total, total))


def _replay_slices(
    distributed: Any, client: Any, folder: Path, manifest: ReplayManifest, on_progress: Report
) -> None:
    """Replay the slices that have no result yet, and note each result when it comes."""
    total = len(manifest.slices)
    left = {str(folder / one.file): one for one in manifest.slices if one.result is None}
    done = total - len(left)
    on_progress(RebuildProgress("replaying slices", done, total))
    futures = client.map(replay_slice, list(left), pure=False)
    results = distributed.as_completed(futures, with_results=True)
    while True:
        try:
            _, result = next(results)
            if isinstance(result, Exception):  # of slices that went with the scheduler
                raise result
        except StopIteration:
            return
        except _losses() as error:
            cause = str(error) or type(error).__name__
            raise SchedulerLostError(client.scheduler.address, done, total, cause) from error
        ((path, sha256),) = result.files.items()
        one = left[path]
        if one.written is None or one.written.sha256 != sha256:
            raise SliceChangedError(Path(path))
        one.result = store_result(result)
        save_manifest(folder, manifest)
        done += 1
        on_progress(RebuildProgress("replaying slices", done, total))


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
