"""The events of a bundle as Parquet, for analysts. The verifier reads the NDJSON file alone."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from offerlog_application.evidence.bundle_parts import BundlePlaceError
from offerlog_application.reading.tables import Column, ColumnKind, Row
from offerlog_infrastructure.disk_space import full_disk_hint
from offerlog_infrastructure.export.export_format import ExportFormat
from offerlog_infrastructure.export.formats import gather, open_writer

PARQUET_FILE: Final = "events.parquet"
"""The file in the bundle."""

COLUMNS: Final = (
    Column("index", ColumnKind.INTEGER),
    Column("leaf", ColumnKind.WORD),
    Column("position", ColumnKind.INTEGER),
    Column("version", ColumnKind.INTEGER),
    Column("stream", ColumnKind.UUID),
    Column("topic", ColumnKind.WORD),
    Column("organization", ColumnKind.WORD),
    Column("action_map_id", ColumnKind.UUID),
    Column("recorded_at", ColumnKind.TIME),
    Column("occurred_at", ColumnKind.TIME),
    Column("offered_at", ColumnKind.TIME),
    Column("state", ColumnKind.WORD),
    Column("stage", ColumnKind.WORD),
    Column("public", ColumnKind.WORD),
    Column("sealed_sha256", ColumnKind.WORD),
)
"""The columns: the members of a line of NDJSON."""

_READ: Final[dict[ColumnKind, Callable[[str], object]]] = {
    ColumnKind.UUID: UUID,
    ColumnKind.TIME: datetime.fromisoformat,
}
"""The function that reads the text of a value, where that is not the value itself."""


def write_parquet(folder: Path, events_file: str) -> None:
    """Write `events.parquet` beside the NDJSON file.

    Raises:
        ExtraMissingError: pyarrow is not installed.
        BundlePlaceError: The file cannot be written.
    """
    try:
        with (
            (folder / events_file).open("rb") as lines,
            (folder / PARQUET_FILE).open("wb") as file,
            open_writer(ExportFormat.PARQUET, COLUMNS, file) as writer,
        ):
            for batch in gather(map(_read_line, lines)):
                writer.write(batch)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundlePlaceError(
            f"{PARQUET_FILE} cannot be written: {reason}{full_disk_hint(folder)}"
        ) from error


def _read_line(line: bytes) -> Row:
    found: dict[str, Any] = msgspec.json.decode(line)
    row = []
    for name, kind, _ in COLUMNS:
        value, read = found.get(name), _READ.get(kind)
        row.append(value if value is None or read is None else read(value))
    return row
