"""The assessments about the machine of the data folder: its disk, and the log of the embedded server."""

from typing import Final

from offerlog_application.status.levels import (
    Assessment,
    attention,
    broken,
    format_size,
    unchecked,
    well,
)
from offerlog_application.status.observation import Observation

LITTLE_SHARE: Final = 0.1
"""Share of free space of a disk below which somebody should look."""

NO_ROOM_BYTES: Final = 64 << 20
"""Free space below which the server may end at any time: it extends its write-ahead log by 16 MiB at once."""

_LINES_SHOWN: Final = 3
_TIME_LENGTH: Final = len("2026-03-02 10:00:00 ")


def assess_disk(seen: Observation) -> Assessment:
    """Assess whether the disk of the data folder has room."""
    disk = seen.disk
    if disk is None:
        return unchecked("the disk of the server is not known here")
    share = disk.free_bytes / max(disk.total_bytes, 1)
    text = f"{format_size(disk.free_bytes)} free ({share:.0%}); the store has {format_size(disk.store_bytes)}"
    advice = "free space on it, or move the store to a larger disk"
    if disk.free_bytes < NO_ROOM_BYTES:
        return broken(text, advice)
    return attention(text, advice) if share < LITTLE_SHARE else well(text)


def assess_server_log(seen: Observation) -> Assessment:
    """Assess whether the embedded server has logged faults in the last day."""
    if not seen.is_embedded:
        return unchecked("look into the log of your own server")
    if seen.server_log is None:
        return unchecked("server.log cannot be read")
    if not seen.server_log:
        return well("no fault in the last day")
    newest = {line[_TIME_LENGTH:]: line for line in seen.server_log}  # of equal messages the last one
    shown = "; ".join([*newest.values()][-_LINES_SHOWN:])
    return attention(
        f"{len(seen.server_log):,} in the last day, the newest: {shown}",
        "find the cause in server.log; the service goes on by itself after most of them",
    )
